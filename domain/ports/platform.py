"""What the domain needs of the platform and its gateway."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import BinaryIO, Generic, Protocol, TypeVar

from domain.inbound import Fact, FanSeen, MoneyMoved
from domain.messages import Attachment, Outcome

T = TypeVar("T")


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


class Unreadable(Exception):
    """An event of the platform's that makes no sense; the text says why and quotes nothing."""


@dataclass(frozen=True)
class Envelope:
    """What a webhook says of itself. `is_ephemeral`: worth nothing a minute later."""

    event: str
    account_id: str
    is_ephemeral: bool


class EventReader(Protocol):
    """Understands the platform's webhooks."""

    def genuine(self, body: bytes, signature: str | None) -> bool:
        """Whether the platform signed these bytes; False for all while no secret is set."""
        ...

    def envelope(self, body: bytes) -> Envelope:
        """Raises Invalid, code `malformed_json` for what is no JSON."""
        ...

    def facts(self, event: str, body: str, told_at: datetime) -> Sequence[Fact]:
        """What it says, in our terms; nothing for an event that concerns nobody. `told_at` is its
        time where it names none. Raises Unreadable."""
        ...


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
