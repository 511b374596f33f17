"""Rows, as the domain needs them: one repository per kind, and the unit of work that holds them.

Each docstring is a contract: `tests/contract` runs one suite on PostgreSQL and on the fake."""

from contextlib import AbstractContextManager
from typing import Protocol, Self

from domain.events import Event
from domain.repositories.access import ApiKeyRepository, AuditLine, AuditRepository
from domain.repositories.accounts import AccountRepository
from domain.repositories.analytics import AnalyticsRepository
from domain.repositories.bulk_limits import BulkLimitRepository, Lanes
from domain.repositories.campaigns import (
    CampaignRepository,
    Delivery,
    NewCampaign,
    Part,
    WaitingOn,
    Written,
)
from domain.repositories.conversations import ConversationRepository, ReadMark
from domain.repositories.dead_letters import DeadLetterRepository
from domain.repositories.fans import (
    FanChange,
    FanHistoryRepository,
    FanRepository,
    Recipient,
    TagCounts,
)
from domain.repositories.imports import (
    ImportLease,
    ImportRepository,
    KeptFan,
    NewImport,
    PreviewLine,
)
from domain.repositories.inbound import (
    HeldMessage,
    InboundRepository,
    KnownFan,
    NewPlatformEvent,
    PlatformEvent,
    PlatformEventRepository,
)
from domain.repositories.ledger import LedgerCall, LedgerRepository, SentMessage
from domain.repositories.links import LinkRepository
from domain.repositories.media import MediaRepository, Staging, StoredMedia
from domain.repositories.merges import (
    DepartureRepository,
    Duplicate,
    Merge,
    MergeId,
    MergeRepository,
    Stakes,
)
from domain.repositories.messages import (
    KEPT_WITHIN,
    Doubtful,
    MessageRepository,
    PromiseReport,
    QueueRepository,
    Result,
    StatusCounts,
    Unsettled,
    WaitingLine,
)
from domain.repositories.notifications import NotificationRepository
from domain.repositories.people import (
    ConnectionRepository,
    IdempotencyRepository,
    Once,
    UserRepository,
)
from domain.repositories.purchases import PurchaseRepository
from domain.repositories.saved_views import SavedView, SavedViewRepository
from domain.repositories.screening import BannedWordRepository
from domain.repositories.segments import SegmentRepository, TierRepository
from domain.repositories.snippets import SnippetRepository
from domain.repositories.sync import SyncLease, SyncRepository
from domain.repositories.telemetry import TelemetryRepository
from domain.repositories.threads import ThreadRepository
from domain.repositories.transactions import TransactionRepository
from domain.repositories.unsending import Unsend, UnsendingRepository

__all__ = [
    "KEPT_WITHIN",
    "AccountRepository",
    "AnalyticsRepository",
    "ApiKeyRepository",
    "AuditLine",
    "AuditRepository",
    "BannedWordRepository",
    "BulkLimitRepository",
    "CampaignRepository",
    "ConnectionRepository",
    "ConversationRepository",
    "DeadLetterRepository",
    "Delivery",
    "DepartureRepository",
    "Doubtful",
    "Duplicate",
    "FanChange",
    "FanHistoryRepository",
    "FanRepository",
    "HeldMessage",
    "IdempotencyRepository",
    "ImportLease",
    "ImportRepository",
    "InboundRepository",
    "KeptFan",
    "KnownFan",
    "Lanes",
    "LedgerCall",
    "LedgerRepository",
    "LinkRepository",
    "MediaRepository",
    "Merge",
    "MergeId",
    "MergeRepository",
    "MessageRepository",
    "NewCampaign",
    "NewImport",
    "NewPlatformEvent",
    "NotificationRepository",
    "Once",
    "OpenUnitOfWork",
    "Part",
    "PlatformEvent",
    "PlatformEventRepository",
    "PreviewLine",
    "PromiseReport",
    "PurchaseRepository",
    "QueueRepository",
    "ReadMark",
    "Recipient",
    "Result",
    "SavedView",
    "SavedViewRepository",
    "SegmentRepository",
    "SentMessage",
    "SnippetRepository",
    "Staging",
    "Stakes",
    "StatusCounts",
    "StoredMedia",
    "SyncLease",
    "SyncRepository",
    "TagCounts",
    "TelemetryRepository",
    "ThreadRepository",
    "TierRepository",
    "TransactionRepository",
    "UnitOfWork",
    "Unsend",
    "UnsendingRepository",
    "Unsettled",
    "UserRepository",
    "WaitingLine",
    "WaitingOn",
    "Written",
]


class UnitOfWork(AbstractContextManager["UnitOfWork"], Protocol):
    """One transaction: leaving the block without commit rolls back."""

    users: UserRepository
    connections: ConnectionRepository
    fans: FanRepository
    fan_history: FanHistoryRepository
    segments: SegmentRepository
    tiers: TierRepository
    merges: MergeRepository
    departures: DepartureRepository
    messages: MessageRepository
    queue: QueueRepository
    idempotency: IdempotencyRepository
    ledger: LedgerRepository
    audit: AuditRepository
    keys: ApiKeyRepository
    accounts: AccountRepository
    links: LinkRepository
    sync: SyncRepository
    conversations: ConversationRepository
    telemetry: TelemetryRepository
    threads: ThreadRepository
    saved_views: SavedViewRepository
    notifications: NotificationRepository
    snippets: SnippetRepository
    dead_letters: DeadLetterRepository
    unsending: UnsendingRepository
    media: MediaRepository
    banned_words: BannedWordRepository
    platform_events: PlatformEventRepository
    inbound: InboundRepository
    purchases: PurchaseRepository
    transactions: TransactionRepository
    analytics: AnalyticsRepository
    imports: ImportRepository
    campaigns: CampaignRepository
    bulk_limits: BulkLimitRepository

    def __enter__(self) -> Self: ...

    def emit(self, event: Event) -> None:
        """Publish after commit; a refused one sets its row's `wake_after` to one second."""
        ...

    def commit(self) -> None: ...


class OpenUnitOfWork(Protocol):
    """Makes units of work."""

    def __call__(self) -> UnitOfWork: ...
