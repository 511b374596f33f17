"""What users read about a message that waits or failed: notice, reason, remedy.

The three notices are the product owner's words; every one comes with a reason and what to do.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from domain.bulk_limits import Held
from domain.campaigns import CampaignStatus, Standing
from domain.connections import Connection, ConnectionState
from domain.media import remedy_of
from domain.messages import Delay, Hold, Message, Outcome, State
from domain.pacing import BucketView

WAITING = "Queued, will be sent shortly"
UNAVAILABLE = "Service temporarily unavailable"
FAILED = "Message failed to send"
UNPROVEN = "the platform did not say whether it was sent, and its chat does not prove it"


class WaitReason(StrEnum):
    """Why a message has not been sent yet."""

    TURN = "turn"
    STARTING = "starting"
    MEDIA = "media"
    DISABLED = "disabled"
    CAMPAIGN_PAUSED = "campaign_paused"
    SENDING_HOURS = "sending_hours"
    HOUR_CAP = "hour_cap"
    DAY_CAP = "day_cap"
    WARM_UP = "warm_up"
    FAN_LIMIT = "fan_limit"
    CONNECTION_PAUSED = "connection_paused"
    CONNECTION_AUTH = "paused_auth"
    CONNECTION_QUOTA = "paused_quota"
    DISCONNECTED = "disconnected"
    RATE_LIMITED = "rate_limited"
    BREAKER = "breaker"
    REBUILDING = "rebuilding"
    SENDING = "sending"
    SETTLING = "settling"
    UNPROVEN = "unproven"


@dataclass(frozen=True)
class Wait:
    """Why a message waits, until when as far as known, and how many go before it."""

    reason: WaitReason
    text: str
    until: datetime | None = None
    ahead: int | None = None


@dataclass(frozen=True)
class Notice:
    """A short notice with its reason and remedy."""

    text: str
    reason: str
    remedy: str


ACCEPTED = Notice(WAITING, "stored; it goes at its turn", "nothing to do")

_PAUSES: Mapping[ConnectionState, tuple[WaitReason, str]] = {
    ConnectionState.PAUSED: (WaitReason.CONNECTION_PAUSED, "the account is paused: resume it"),
    ConnectionState.PAUSED_AUTH: (
        WaitReason.CONNECTION_AUTH,
        "the platform no longer accepts its login: reconnect it, and every waiting message goes",
    ),
    ConnectionState.PAUSED_QUOTA: (
        WaitReason.CONNECTION_QUOTA,
        "the gateway's credits are used up: top them up and resume the account",
    ),
    ConnectionState.DISCONNECTED: (
        WaitReason.DISCONNECTED,
        "the account is disconnected: connect it again, or cancel",
    ),
}

_LIMITS: Mapping[Held, tuple[WaitReason, str]] = {
    Held.HOURS: (
        WaitReason.SENDING_HOURS,
        "it is outside the hours in which the account sends campaigns",
    ),
    Held.PER_HOUR: (WaitReason.HOUR_CAP, "the account has sent as much as it may within an hour"),
    Held.PER_DAY: (WaitReason.DAY_CAP, "the account has sent as much as it may within a day"),
    Held.WARM_UP: (
        WaitReason.WARM_UP,
        "the account is warming up and has sent as much as it may within a day",
    ),
}

_FAILURES: Mapping[str, tuple[str, str]] = {
    "queue_unavailable": (
        "the queue did not answer three times in a row; nothing was sent",
        "press Retry: one click sends it",
    ),
    Outcome.NOT_SENT: (
        "the platform reported a fault each time, and proved that nothing was sent",
        "retry later",
    ),
    Outcome.REFUSED: (
        "the platform refused the message",
        "change what it names, or check that this fan can receive messages, then retry",
    ),
    "media_refused": ("one of its files cannot be sent; nothing was sent", ""),
    "media_unavailable": (
        "one of its files could not be fetched or stored, six times in a row; nothing was sent",
        "check that the address opens, then retry",
    ),
    "not_sent_by_person": ("somebody settled it as not sent", "retry to send it"),
}


def failure_notice(message: Message) -> Notice | None:
    """What to tell about a failed message; None when it has not failed."""
    if message.state is not State.FAILED:
        return None
    return failure(message.error_code, message.error_detail)


def failure(code: str | None, detail: str | None) -> Notice:
    """What to tell about a failure of this code."""
    code = code or Outcome.REFUSED
    reason, remedy = _FAILURES.get(code, _FAILURES[Outcome.REFUSED])
    if code == "media_refused":
        remedy = remedy_of(detail)
    if detail:
        reason = f"{reason} ({detail})"
    return Notice(UNAVAILABLE if code == "queue_unavailable" else FAILED, reason, remedy)


def unproven_notice() -> Notice:
    """What to tell about a message that waits for a person."""
    return waiting_notice(Wait(WaitReason.UNPROVEN, UNPROVEN))


def pause_notice(state: ConnectionState) -> Notice:
    """What to tell about an account that does not send."""
    reason, _, remedy = _PAUSES[state][1].partition(": ")
    return Notice(WAITING, reason, remedy or "connect it again")


def waiting_notice(wait: Wait) -> Notice:
    """What to tell about a message that waits."""
    remedies = {
        WaitReason.UNPROVEN: "look into the chat, then choose: it was sent, or send again",
        WaitReason.MEDIA: "nothing to do: it goes when its media are ready",
        WaitReason.CAMPAIGN_PAUSED: "resume the campaign, or cancel this message",
        WaitReason.DISABLED: "an operator has switched sending off: nothing is lost",
    }
    return Notice(WAITING, wait.text, remedies.get(wait.reason, "nothing to do"))


def notice_of(message: Message, wait: Wait | None) -> Notice | None:
    """What to tell about this message now; None when all is well."""
    return waiting_notice(wait) if wait else failure_notice(message)


def explain_wait(
    message: Message,
    connection: Connection,
    view: BucketView | None,
    ahead: int | None,
    *,
    enabled: bool,
    campaign: Standing | None = None,
) -> Wait | None:
    """Why this message is not sent yet; None once it is, or never will be.

    `view` is None while Redis is away, `ahead` is None for a message that is not in its lane."""
    if message.state is State.SENDING:
        return Wait(WaitReason.SENDING, "on its way to the platform", message.estimated_send_at)
    if message.state is State.UNKNOWN:
        return _explain_unknown(message)
    if message.state is not State.QUEUED:
        return None
    if message.hold is Hold.MEDIA:
        return _explain_media(message)
    if message.hold is Hold.FAN_LIMIT:
        why = "its fan has had as many messages of campaigns as the account allows in 24 hours"
        return Wait(WaitReason.FAN_LIMIT, why, message.wake_after)
    if not enabled:
        return Wait(WaitReason.DISABLED, "sending is switched off")
    if connection.state is not ConnectionState.ACTIVE:
        return explain_account(connection)
    if campaign is not None:
        wait = _explain_campaign(campaign) or explain_limits(connection)
        if wait is not None:
            return wait
    return _explain_pace(message, view, ahead)


def _explain_campaign(campaign: Standing) -> Wait | None:
    if campaign.status is CampaignStatus.PAUSED:
        why = f": {campaign.reason}" if campaign.reason else ""
        return Wait(WaitReason.CAMPAIGN_PAUSED, f"its campaign is paused{why}")
    if campaign.held_until is not None:
        return Wait(
            WaitReason.SENDING_HOURS,
            "it is outside the hours in which its campaign sends",
            campaign.held_until,
        )
    return None


def explain_account(connection: Connection) -> Wait | None:
    """Why this account sends nothing of its campaigns now; None: it does."""
    if connection.state is not ConnectionState.ACTIVE:
        reason, text = _PAUSES[connection.state]
        return Wait(reason, text)
    return explain_limits(connection)


def explain_limits(connection: Connection) -> Wait | None:
    """Which of its limits holds this account's campaigns now; None: none does."""
    if connection.bulk_held_until is None or connection.bulk_held_why is None:
        return None
    reason, text = _LIMITS[connection.bulk_held_why]
    return Wait(reason, text, connection.bulk_held_until)


def _explain_media(message: Message) -> Wait:
    if not message.wake_tries:
        return Wait(WaitReason.MEDIA, "its media are not on the platform yet")
    return Wait(
        WaitReason.MEDIA,
        f"its media could not be fetched or stored so far (tries: {message.wake_tries})",
        message.wake_after,
    )


def _explain_unknown(message: Message) -> Wait:
    if message.wake_after is None:
        return Wait(WaitReason.UNPROVEN, UNPROVEN)
    return Wait(
        WaitReason.SETTLING,
        "the platform did not say whether it was sent: its chat is read before anything is sent"
        " again",
        message.wake_after,
    )


def _explain_pace(message: Message, view: BucketView | None, ahead: int | None) -> Wait:
    until = message.estimated_send_at
    if view is None:
        return Wait(WaitReason.REBUILDING, "the waiting room is being rebuilt", until, ahead)
    if view.blocked_until_ms > view.now_ms:
        blocked = datetime.fromtimestamp(view.blocked_until_ms / 1000, tz=message.queued_at.tzinfo)
        later = max(blocked, until) if until else blocked
        if message.delay is Delay.BREAKER or view.failures >= 5:
            return Wait(
                WaitReason.BREAKER,
                f"the platform failed {view.failures} times in a row: the next try is at"
                f" {blocked:%H:%M:%S} UTC",
                later,
                ahead,
            )
        return Wait(
            WaitReason.RATE_LIMITED,
            f"the platform asked us to slow down: nothing leaves before {blocked:%H:%M:%S} UTC",
            later,
            ahead,
        )
    if message.admitted_at is None:
        return Wait(WaitReason.STARTING, "on its way into the queue", until, ahead)
    behind = f" after {ahead} message{'s' if ahead != 1 else ''}" if ahead else ""
    return Wait(WaitReason.TURN, f"next free slot{behind}", until, ahead)
