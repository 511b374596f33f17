"""A message: what may be written, the states it goes through, and what each platform answer means.

The two tables here are the product's promise of "exactly once": TRANSITIONS says which state may
follow which, and RULES says what every answer of the platform does to a message.
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NewType
from uuid import UUID, uuid4

from domain.campaigns import CampaignId
from domain.connections import ConnectionId, ConnectionState
from domain.conversations import ConversationId
from domain.errors import FieldProblem, IllegalTransition, Invalid
from domain.fans import FanId
from domain.media import MediaHosts
from domain.users import OwnerId

MessageId = NewType("MessageId", int)
PublicId = NewType("PublicId", UUID)

CONTENT_MAX = 5000
METADATA_MAX_BYTES = 4096
MEDIA_MAX = 20
DIRECT_PRIORITY, BULK_PRIORITY = 5, 8


class State(StrEnum):
    """Where an outgoing message stands."""

    QUEUED = "queued"
    SENDING = "sending"
    SENT = "sent"
    DELIVERED = "delivered"
    FAILED = "failed"
    UNKNOWN = "unknown"  # called, and no proof either way yet
    CANCELLED = "cancelled"
    UNSENT = "unsent"


TRANSITIONS: Mapping[State, frozenset[State]] = {
    State.QUEUED: frozenset({State.SENDING, State.CANCELLED, State.FAILED}),
    State.SENDING: frozenset(
        {
            *(State.SENT, State.DELIVERED, State.QUEUED, State.FAILED, State.UNKNOWN),
            State.CANCELLED,  # Its fan was deleted meanwhile: it must not be sent again.
        }
    ),
    State.UNKNOWN: frozenset(
        {State.SENT, State.DELIVERED, State.FAILED, State.QUEUED, State.CANCELLED}
    ),
    State.SENT: frozenset({State.DELIVERED, State.UNSENT}),
    State.DELIVERED: frozenset({State.UNSENT}),
    State.FAILED: frozenset({State.QUEUED}),
    State.CANCELLED: frozenset(),
    State.UNSENT: frozenset(),
}

# Proof that a message was sent wins over whatever we believed, from these states.
PROVABLE = frozenset({State.QUEUED, State.SENDING, State.UNKNOWN, State.FAILED, State.CANCELLED})


def check_transition(old: State, new: State) -> None:
    """Raise IllegalTransition unless `new` may follow `old`."""
    if new not in TRANSITIONS[old]:
        raise IllegalTransition(f"a message that is {old} cannot become {new}")


class Outcome(StrEnum):
    """What one call (or its absence) proved; the ledger keeps one per attempt."""

    SENT = "sent"
    RATE_LIMITED = "rate_limited"  # 429, or the platform's "allow 3 seconds"
    REFUSED = "refused"  # 400, 403, 404, 422, banned words, canSendMessage false
    NOT_SENT = "not_sent"  # a fault that carries request_outcome "not_sent"
    UNREACHABLE = "unreachable"  # refused, DNS, TLS or connect timeout: no request left
    AUTH_LOST = "auth_lost"  # 401, session expired
    QUOTA_EXHAUSTED = "quota_exhausted"  # 402
    IN_PROGRESS = "in_progress"  # 409: an earlier call with this key still runs
    UNCLEAR = "unclear"  # 408, 5xx, HTML, timeout, reset, 2xx without id, anything not listed
    KEY_REJECTED = "key_rejected"  # the gateway disputes our idempotency key
    NOT_CALLED = "not_called"  # the permit was stale or parked, or Redis was away


class RoomSignal(StrEnum):
    """What the waiting room learns from an outcome."""

    CLEAN = "clean"  # sent: ten of them halve a widened interval
    ANSWERED = "answered"  # refused in good order: neither good nor bad for the pace
    THROTTLED = "throttled"  # widens the interval
    TROUBLED = "troubled"  # five in a row open the breaker


@dataclass(frozen=True)
class Rule:
    """What an outcome does. `counts`: a proof of not sent that SEND_MAX_ATTEMPTS limits.
    `stored`: the gateway keeps and would replay this answer, so the next try needs a new key.
    `pauses`: the state the whole connection goes to. `alert`: an engineer must look."""

    state: State
    signal: RoomSignal
    counts: bool = False
    stored: bool = False
    pauses: ConnectionState | None = None
    alert: bool = False


RULES: Mapping[Outcome, Rule] = {
    Outcome.SENT: Rule(State.SENT, RoomSignal.CLEAN),
    Outcome.RATE_LIMITED: Rule(State.QUEUED, RoomSignal.THROTTLED),
    Outcome.REFUSED: Rule(State.FAILED, RoomSignal.ANSWERED, stored=True),
    Outcome.NOT_SENT: Rule(State.QUEUED, RoomSignal.TROUBLED, counts=True),
    Outcome.UNREACHABLE: Rule(State.QUEUED, RoomSignal.TROUBLED),
    Outcome.AUTH_LOST: Rule(
        State.QUEUED, RoomSignal.ANSWERED, stored=True, pauses=ConnectionState.PAUSED_AUTH
    ),
    Outcome.QUOTA_EXHAUSTED: Rule(
        State.QUEUED, RoomSignal.ANSWERED, stored=True, pauses=ConnectionState.PAUSED_QUOTA
    ),
    Outcome.IN_PROGRESS: Rule(State.UNKNOWN, RoomSignal.ANSWERED),
    Outcome.UNCLEAR: Rule(State.UNKNOWN, RoomSignal.TROUBLED),
    Outcome.KEY_REJECTED: Rule(State.UNKNOWN, RoomSignal.ANSWERED, alert=True),
}


def next_state(outcome: Outcome, failures: int, max_failures: int) -> State:
    """The state after `outcome`; `failures` counts the proofs of not sent, this one included."""
    rule = RULES[outcome]
    return State.FAILED if rule.counts and failures >= max_failures else rule.state


def send_key(public_id: UUID, key_no: int) -> str:
    """The Idempotency-Key of a call: the message's id, or id.n after n stored refusals."""
    return str(public_id) if key_no == 0 else f"{public_id}.{key_no}"


class Hold(StrEnum):
    """A reason of the message itself to wait, whatever the pace."""

    MEDIA = "media"
    FAN_LIMIT = "fan_limit"  # the fan has had as many messages of campaigns as it may a day


class Delay(StrEnum):
    """Why a message moved later than promised."""

    RATE_LIMITED = "rate_limited"
    BREAKER = "breaker"
    PAUSED = "paused"
    OVERTAKEN = "overtaken"  # a more urgent message, or aging, went before
    RETRY = "retry"  # an attempt ended without sending
    LIMITED = "limited"  # by hours or caps of the account, or by what its fan may get a day
    RECOVERY = "recovery"  # the waiting room was rebuilt, or a wake-up was lost


@dataclass(frozen=True)
class Attachment:
    """A file that goes with the text; `media_id` is its id in the account's vault, once there."""

    type: str
    url: str
    media_id: str | None = None


@dataclass(frozen=True)
class DraftFields:
    """What a request calls the parts of a draft, so that a refusal names them as it did. A text may
    be empty beside an attachment where `blank_with_media` says so."""

    text: str = "content"
    media: str = "mediaUrls"
    url: str = ""
    blank_with_media: bool = False


@dataclass(frozen=True)
class Draft:
    """What a caller asks to send, checked by `validate`."""

    content: str
    attachments: tuple[Attachment, ...] = ()
    priority: int = DIRECT_PRIORITY
    price_cents: int | None = None
    metadata: Mapping[str, object] = field(default_factory=dict)
    sent_by_ai: bool = False
    snippet_id: int | None = None
    fields: DraftFields = DraftFields()

    @property
    def media_urls(self) -> tuple[str, ...]:
        return tuple(one.url for one in self.attachments)


@dataclass(frozen=True)
class NewMessage:
    """A message about to be stored."""

    public_id: PublicId
    owner_id: OwnerId
    connection_id: ConnectionId
    conversation_id: ConversationId
    fan_id: FanId
    campaign_id: CampaignId | None
    text: str
    price_cents: int | None
    attachments: tuple[Attachment, ...]
    metadata: Mapping[str, object]
    priority: int
    hold: Hold | None
    queued_at: datetime
    promised_at: datetime | None
    sent_by_ai: bool = False
    snippet_id: int | None = None


@dataclass(frozen=True)
class Message:
    """An outgoing message as stored.

    `promised_at` is what the sender was told first and never changes; `estimated_send_at` is the
    present estimate and `delay` says why it is later. `attempt_no` numbers claims and fences
    writers; `failures` counts answers proving not sent.
    """

    id: MessageId
    public_id: PublicId
    owner_id: OwnerId
    connection_id: ConnectionId
    conversation_id: ConversationId
    fan_id: FanId
    campaign_id: CampaignId | None
    text: str
    price_cents: int | None
    attachments: tuple[Attachment, ...]
    metadata: Mapping[str, object]
    priority: int
    state: State
    hold: Hold | None
    queued_at: datetime
    promised_at: datetime | None
    estimated_send_at: datetime | None
    delay: Delay | None
    admitted_at: datetime | None
    wake_after: datetime | None
    wake_tries: int
    lease_until: datetime | None
    attempt_no: int
    failures: int
    key_no: int
    platform_message_id: str | None
    error_code: str | None
    error_detail: str | None
    sent_at: datetime | None
    dead_lettered_at: datetime | None
    sent_by_ai: bool = False
    snippet_id: int | None = None


@dataclass(frozen=True)
class Attempt:
    """One line of the ledger: a claim, and what its call proved."""

    message_id: MessageId
    attempt_no: int
    send_key: str
    claimed_at: datetime
    slot_at: datetime | None
    interval_ms: float | None
    started_at: datetime | None
    finished_at: datetime | None
    outcome: Outcome | None
    http_status: int | None
    error_code: str | None
    detail: str | None
    platform_message_id: str | None


@dataclass(frozen=True)
class Claim:
    """A message taken for sending, with all that the call needs; the fence is `attempt_no`."""

    message_id: MessageId
    public_id: PublicId
    owner_id: OwnerId
    connection_id: ConnectionId
    campaign_id: CampaignId | None
    fan_id: FanId
    priority: int
    attempt_no: int
    failures: int
    key_no: int
    account_id: str
    access_key: str | None
    platform_user_id: str
    text: str
    price_cents: int | None
    media_ids: tuple[str, ...]
    queued_at: datetime

    @property
    def send_key(self) -> str:
        return send_key(self.public_id, self.key_no)


def generate_message_id() -> PublicId:
    """A new random id (UUID version 4)."""
    return PublicId(uuid4())


def normalised(text: str) -> str:
    """NFC, so that one text has one length and one spelling."""
    return unicodedata.normalize("NFC", text)


def validate(draft: Draft, metadata_bytes: int, hosts: MediaHosts) -> Draft:
    """The draft with its text normalised; raises Invalid naming every bad field.

    Lengths count code points after NFC. A price is 0 or 300..20000 cents and needs media, as on
    the platform.
    """
    content = normalised(draft.content)
    problems = [
        *_content_problems(content, draft),
        *_media_problems(draft.media_urls, draft.fields, hosts),
        *_price_problems(draft.price_cents, has_media=bool(draft.media_urls)),
    ]
    if not 1 <= draft.priority <= 10:
        problems.append(FieldProblem("priority", "use 1 (most urgent) to 10"))
    if metadata_bytes > METADATA_MAX_BYTES:
        problems.append(FieldProblem("metadata", "use at most 4096 bytes of JSON"))
    if problems:
        raise Invalid(*problems)
    return replace(draft, content=content)


def _content_problems(content: str, draft: Draft) -> list[FieldProblem]:
    name = draft.fields.text
    if not content.strip() and not (draft.attachments and draft.fields.blank_with_media):
        return [FieldProblem(name, "write at least one visible character")]
    if len(content) > CONTENT_MAX:
        return [FieldProblem(name, f"use at most {CONTENT_MAX} characters")]
    if "\x00" in content:
        return [FieldProblem(name, "remove the NUL character")]
    if any("\ud800" <= char <= "\udfff" for char in content):
        return [FieldProblem(name, "remove the lone surrogate: it is not a character")]
    return []


def _media_problems(
    urls: Sequence[str], fields: DraftFields, hosts: MediaHosts
) -> list[FieldProblem]:
    problems = []
    if len(urls) > MEDIA_MAX:
        problems.append(FieldProblem(fields.media, f"use at most {MEDIA_MAX} files"))
    problems += [
        FieldProblem(f"{fields.media}.{number}{fields.url}", f"use an https:// address of {hosts}")
        for number, url in enumerate(urls[:MEDIA_MAX])
        if not hosts.permits(url)
    ]
    return problems


def _price_problems(price_cents: int | None, *, has_media: bool) -> list[FieldProblem]:
    if not price_cents:
        return []
    if not 300 <= price_cents <= 20_000:
        return [FieldProblem("priceCents", "use 0 or 300 to 20000")]
    if not has_media:
        return [FieldProblem("priceCents", "a priced message needs media")]
    return []


def attachments_of(media_urls: Sequence[str]) -> tuple[Attachment, ...]:
    """The stored form of `mediaUrls`; the type is guessed from the ending until staged."""
    return tuple(Attachment(_media_type(url), url) for url in media_urls)


def _media_type(url: str) -> str:
    # Not parsed here: an address that is none is refused by `validate`, with its name.
    ending = re.split(r"[?#]", url)[0].rpartition(".")[2].lower()
    if ending in {"mp4", "mov", "webm", "m4v"}:
        return "video"
    return "audio" if ending in {"mp3", "m4a", "wav", "ogg"} else "image"


SETTLE_MAX_CALLS = 3
# The gateway stores an answer for 24 h; an hour less, so that a key is never asked for too late.
KEY_LIFETIME = timedelta(hours=23)
# "newer than the attempt's start minus 2 s": the two clocks may differ by that much.
MATCH_SLACK = timedelta(seconds=2)
