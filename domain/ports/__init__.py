"""What the domain needs of the world. Each method's docstring is its contract: `tests/contract`
runs one suite on every fake and its real adapter."""

from domain.ports.access import (
    PasswordHasher,
    QuotaUnavailable,
    RequestQuota,
    Taken,
    Token,
    TokenIssuer,
)
from domain.ports.bus import Bus, BusUnavailable, QueueDepth
from domain.ports.dead_letters import DeadLetterQueues
from domain.ports.files import FileMissing, FileStore, FilesUnavailable
from domain.ports.media import FetchedMedia, MediaSource
from domain.ports.observing import (
    Journal,
    Metrics,
    MetricsUnavailable,
    StatusCache,
    WorkerErrors,
)
from domain.ports.platform import (
    Account,
    Chat,
    Envelope,
    EventReader,
    Listed,
    Platform,
    PlatformAccounts,
    PlatformMessage,
    PlatformRefused,
    PlatformUnavailable,
    Profile,
    SendAnswer,
    SendRequest,
    Unreadable,
)
from domain.ports.waiting_room import RoomCold, RoomUnavailable, WaitingRoom

__all__ = [
    "Account",
    "Bus",
    "BusUnavailable",
    "Chat",
    "DeadLetterQueues",
    "Envelope",
    "EventReader",
    "FetchedMedia",
    "FileMissing",
    "FileStore",
    "FilesUnavailable",
    "Journal",
    "Listed",
    "MediaSource",
    "Metrics",
    "MetricsUnavailable",
    "PasswordHasher",
    "Platform",
    "PlatformAccounts",
    "PlatformMessage",
    "PlatformRefused",
    "PlatformUnavailable",
    "Profile",
    "QueueDepth",
    "QuotaUnavailable",
    "RequestQuota",
    "RoomCold",
    "RoomUnavailable",
    "SendAnswer",
    "SendRequest",
    "StatusCache",
    "Taken",
    "Token",
    "TokenIssuer",
    "Unreadable",
    "WaitingRoom",
    "WorkerErrors",
]
