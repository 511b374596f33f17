"""What the domain needs of the world. Each method's docstring is its contract: `tests/contract`
runs one suite on every fake and its real adapter."""

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import BinaryIO, Generic, Protocol, TypeVar

from domain.campaigns import CampaignId
from domain.connections import ConnectionId
from domain.events import Event
from domain.inbound import FanSeen, MoneyMoved
from domain.messages import Attachment, Outcome, RoomSignal
from domain.pacing import (
    Admission,
    Begun,
    BucketView,
    LaneVerb,
    Learned,
    Pace,
    Permit,
    Release,
    Waiting,
)
from domain.users import User

T = TypeVar("T")


class RoomUnavailable(Exception):
    """Redis does not answer. Nothing may be sent; everything waits in PostgreSQL."""


class RoomCold(RoomUnavailable):
    """Redis answers but knows nothing (flushed, restarted, failed over): a rebuild comes first."""


class WaitingRoom(Protocol):
    """The index of who waits and when the next may go. Every method is atomic and O(log n) in what
    waits; every method but `rebuild` raises RoomCold or RoomUnavailable and then changed nothing,
    or nothing that a lease does not undo."""

    def admit(self, pace: Pace, waiting: Sequence[Waiting], *, go: bool = False) -> Admission:
        """Put messages into their lanes; those already waiting or in flight are left as they are.

        Also takes over `pace` (a changed rate keeps earned tokens; `paused` stops and starts the
        connection), so an empty `waiting` just tells the room of a change. With `go`, the head of
        the queue gets a permit if its slot is at most the release lead away."""
        ...

    def release(self, limit: int) -> Release:
        """Hand out up to `limit` permits whose slots are at most the release lead away, and put
        permits whose lease ran out back in their place."""
        ...

    def begin(self, permit: Permit) -> Begun:
        """Charge the token: take slot = max(next free, now). The last moment before a call. A
        second begin of the same permit gives the first slot up and takes a new one."""
        ...

    def done(
        self,
        permit: Permit,
        signal: RoomSignal | None,
        *,
        put_back: bool = False,
        retry_after: timedelta | None = None,
    ) -> Learned:
        """Free a permit. `signal` is what the platform's answer says of the pace (None: no call
        was made); `put_back` returns the message to its place. A stale permit changes nothing."""
        ...

    def give_back(self, permits: Sequence[Permit]) -> None:
        """Return permits that could not be published: each message goes back to its place, as by
        `done` without a call. Stale ones change nothing."""
        ...

    def remove(self, connection_id: ConnectionId, waiting: Waiting) -> bool:
        """Take one message out of its lane; False when it was not waiting there."""
        ...

    def lane(self, connection_id: ConnectionId, campaign_id: CampaignId, verb: LaneVerb) -> int:
        """Pause, resume or cancel a campaign's lane; the cost does not depend on what waits.
        Returns how many messages that affects."""
        ...

    def place(self, connection_id: ConnectionId, waiting: Waiting) -> tuple[int, float] | None:
        """How many go before this waiting message, and its estimated slot in ms; None when it
        does not wait here."""
        ...

    def view(self, connection_ids: Sequence[ConnectionId]) -> Sequence[BucketView]:
        """Look at buckets, in the order asked; an unknown one shows the defaults."""
        ...

    def cold(self) -> bool:
        """Whether the index must be rebuilt; raises RoomUnavailable."""
        ...

    def rebuild(self, rows: Iterable[tuple[Pace, Learned, Sequence[Waiting]]]) -> int:
        """Start a new epoch in which every bucket is empty, admit `rows` without releasing, then
        open. One process at a time does it (others return 0 at once); safe to repeat after a
        crash at any point. Returns how many messages wait."""
        ...


@dataclass(frozen=True)
class SendRequest:
    """One message as the gateway needs it."""

    account_id: str
    access_key: str | None
    platform_user_id: str
    text: str
    price_cents: int | None
    media_ids: tuple[str, ...]
    send_key: str


@dataclass(frozen=True)
class SendAnswer:
    """What the platform's answer proved. `detail` is short, for people, and free of message text
    and secrets; `replayed` says that the gateway repeated a stored answer."""

    outcome: Outcome
    http_status: int | None = None
    platform_message_id: str | None = None
    error_code: str | None = None
    detail: str | None = None
    retry_after: timedelta | None = None
    replayed: bool = False


@dataclass(frozen=True)
class PlatformMessage:
    """A message as the platform's own list shows it; `text` is what a person reads."""

    id: str
    from_us: bool
    text: str
    price_cents: int
    media_count: int
    created_at: datetime
    attachments: tuple[Attachment, ...] = ()
    is_opened: bool = False


class PlatformUnavailable(Exception):
    """A call did not get a usable answer; nothing follows from it."""


class PlatformRefused(Exception):
    """The gateway understood and said no. `outcome` says in which way (AUTH_LOST, QUOTA_EXHAUSTED,
    RATE_LIMITED or REFUSED); the text is ours, short, and for people."""

    def __init__(
        self, outcome: Outcome, detail: str, *, retry_after: timedelta | None = None
    ) -> None:
        super().__init__(detail)
        self.outcome = outcome
        self.detail = detail
        self.retry_after = retry_after


@dataclass(frozen=True)
class Account:
    """How the gateway knows a connected account: its id there, and the access key for it."""

    account_id: str
    access_key: str | None


@dataclass(frozen=True)
class Profile:
    """The creator behind an account."""

    platform_user_id: str
    username: str
    name: str


@dataclass(frozen=True)
class Chat:
    """One chat of an account's list: the fan, the newest message, and how many it holds unread."""

    fan: FanSeen
    last_message: PlatformMessage | None
    unread_count: int


@dataclass(frozen=True)
class Listed(Generic[T]):
    """A part of a list of the platform's; `next_mark` asks for the next part, None = the end.
    `skipped` counts items that nobody could read: one of them must not hide the others."""

    items: Sequence[T]
    next_mark: str | None
    skipped: int = 0


class Platform(Protocol):
    """The gateway to the creators' platform. No method retries, every method ends within the
    deadline it is given, a dripping body included."""

    def send(self, request: SendRequest, deadline: timedelta) -> SendAnswer:
        """Send one message. Never raises: what cannot be told is Outcome.UNCLEAR."""
        ...

    def recent_messages(
        self,
        account_id: str,
        access_key: str | None,
        platform_user_id: str,
        *,
        newer_than: datetime,
        deadline: timedelta,
    ) -> Sequence[PlatformMessage]:
        """The chat's messages newer than an instant, newest first; raises PlatformUnavailable
        unless the list is complete back to that instant."""
        ...


class PlatformAccounts(Protocol):
    """What the gateway does for a connected account besides sending. No method retries, each ends
    within its deadline, and each raises PlatformRefused or PlatformUnavailable."""

    def profile(self, account: Account, deadline: timedelta) -> Profile:
        """Whose account it is: proof that the id and the key are good."""
        ...

    def chats(self, account: Account, mark: str | None, deadline: timedelta) -> Listed[Chat]:
        """The account's chats, the most recently active first."""
        ...

    def messages(
        self, account: Account, platform_user_id: str, mark: str | None, deadline: timedelta
    ) -> Listed[PlatformMessage]:
        """The messages of one chat, newest first."""
        ...

    def fans(self, account: Account, mark: str | None, deadline: timedelta) -> Listed[FanSeen]:
        """Every fan of the account, past ones included."""
        ...

    def find_fan(self, account: Account, handle: str, deadline: timedelta) -> FanSeen | None:
        """The fan of the account with exactly this handle (without @, whatever its case)."""
        ...

    def transactions(
        self, account: Account, since: datetime, mark: str | None, deadline: timedelta
    ) -> Listed[MoneyMoved]:
        """The account's transactions since an instant, newest first."""
        ...

    def unsend(
        self, account: Account, platform_user_id: str, message_id: str, deadline: timedelta
    ) -> None:
        """Take a sent message back; one that is gone already is no error."""
        ...

    def mark_read(self, account: Account, platform_user_id: str, deadline: timedelta) -> None:
        """Tell the platform that the creator has read the chat."""
        ...

    def upload(self, account: Account, file: BinaryIO, name: str, deadline: timedelta) -> str:
        """Put a file into the account's vault; returns its id there, good for any message."""
        ...


@dataclass(frozen=True)
class FetchedMedia:
    """A file as its host gave it, checked; `kind` is image, video or audio by its first bytes,
    `name` ends in what it is and tells nothing of where it came from."""

    file: BinaryIO
    name: str
    kind: str
    size: int
    content_hash: str


class MediaSource(Protocol):
    """Where media come from: the outside, which is hostile."""

    def fetch(self, url: str) -> AbstractContextManager[FetchedMedia]:
        """Fetch a file and keep it until the block ends. Raises MediaRefused when it will never do,
        MediaUnavailable when it may later; ends in time whatever the host does."""
        ...


@dataclass(frozen=True)
class QueueDepth:
    """A queue as SQS counts it (approximately)."""

    name: str
    depth: int
    in_flight: int
    oldest_age_seconds: int | None
    dead_letters: int


class Bus(Protocol):
    """Where events go."""

    def publish(self, events: Sequence[Event]) -> Sequence[Event]:
        """Publish in batches, trying once; returns the events that were refused. Never raises.
        After a failure it refuses at once for two seconds, so an outage slows nobody down."""
        ...

    def depths(self, *queues: str) -> Sequence[QueueDepth]:
        """The depth of these queues, or of all; raises BusUnavailable."""
        ...


class BusUnavailable(Exception):
    """SQS does not answer."""


@dataclass(frozen=True)
class Taken:
    """A request that was counted, or refused (`allowed` is False) and then not counted.

    `reset_after` is how long the oldest counted one still counts; of a refused request, how long
    until it would be allowed."""

    subject: str
    mark: str
    allowed: bool
    limit: int
    remaining: int
    reset_after: timedelta


class QuotaUnavailable(Exception):
    """Nobody counts at the moment."""


class RequestQuota(Protocol):
    """How often something was asked for within the last so many seconds."""

    def take(self, subject: str, limit: int, window: timedelta) -> Taken:
        """Count one request of the subject unless `limit` were counted within the window that ends
        now: in no window are there ever more, however many processes ask at once. Raises
        QuotaUnavailable, quickly, while Redis is away."""
        ...

    def give_back(self, taken: Taken, *, half: bool = False) -> None:
        """Count it no longer, or only as one half; a second time changes nothing. Never raises."""
        ...


class StatusCache(Protocol):
    """A short memory; never raises, and forgets when Redis is away."""

    def get(self, key: str) -> str | None: ...

    def put(self, key: str, value: str, keep: timedelta) -> None: ...


class Journal(Protocol):
    """What operators see: one structured line, and the counters that belong to it."""

    def note(self, action: str, **facts: object) -> None:
        """`action` is a static name such as `message_sent`; never pass text, names or secrets."""
        ...

    def alert(self, action: str, **facts: object) -> None:
        """Like note, for what an engineer must look at."""
        ...


class PasswordHasher(Protocol):
    """Slow, salted password hashes."""

    def hash(self, password: str) -> str: ...

    def verify(self, password_hash: str, password: str) -> bool:
        """Whether the password fits; False also for a hash that is none."""
        ...


@dataclass(frozen=True)
class Token:
    """A signed login that proves who its holder is until `expires_at`."""

    text: str
    expires_at: datetime


class TokenIssuer(Protocol):
    """Signs logins."""

    def issue(self, user: User, now: datetime) -> Token: ...
