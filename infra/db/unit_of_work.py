"""One transaction, and the events that follow it.

Events leave only after COMMIT. A refused event costs nothing but a delay: its row is set to be
looked at again in a second, which the healing timer does.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from types import TracebackType
from typing import Self

from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session, sessionmaker

from domain.errors import Unavailable
from domain.events import Event
from domain.messages import MessageId
from domain.ports import Bus
from domain.repositories import (
    AccountRepository,
    AnalyticsRepository,
    ApiKeyRepository,
    AuditRepository,
    BannedWordRepository,
    BulkLimitRepository,
    CampaignRepository,
    ConnectionRepository,
    ConversationRepository,
    DeadLetterRepository,
    DepartureRepository,
    FanHistoryRepository,
    FanRepository,
    IdempotencyRepository,
    ImportRepository,
    InboundRepository,
    LedgerRepository,
    LinkRepository,
    MediaRepository,
    MergeRepository,
    MessageRepository,
    NotificationRepository,
    PlatformEventRepository,
    PurchaseRepository,
    QueueRepository,
    SavedViewRepository,
    SegmentRepository,
    SnippetRepository,
    SyncRepository,
    TelemetryRepository,
    ThreadRepository,
    TierRepository,
    TransactionRepository,
    UnsendingRepository,
    UserRepository,
)
from infra.cipher import Cipher
from infra.db.engine import is_away
from infra.db.repositories.access import SqlApiKeyRepository, SqlAuditRepository
from infra.db.repositories.accounts import SqlAccountRepository
from infra.db.repositories.analytics import SqlAnalyticsRepository
from infra.db.repositories.bulk_limits import SqlBulkLimitRepository
from infra.db.repositories.campaigns import SqlCampaignRepository
from infra.db.repositories.conversations import SqlConversationRepository
from infra.db.repositories.dead_letters import SqlDeadLetterRepository
from infra.db.repositories.departures import SqlDepartureRepository
from infra.db.repositories.fans import SqlFanHistoryRepository, SqlFanRepository
from infra.db.repositories.idempotency import SqlIdempotencyRepository
from infra.db.repositories.imports import SqlImportRepository
from infra.db.repositories.inbound import SqlInboundRepository
from infra.db.repositories.ledger import SqlLedgerRepository
from infra.db.repositories.links import SqlLinkRepository
from infra.db.repositories.media import SqlMediaRepository
from infra.db.repositories.merges import SqlMergeRepository
from infra.db.repositories.messages import SqlMessageRepository
from infra.db.repositories.notifications import SqlNotificationRepository
from infra.db.repositories.people import SqlConnectionRepository, SqlUserRepository
from infra.db.repositories.platform_events import SqlPlatformEventRepository
from infra.db.repositories.purchases import SqlPurchaseRepository
from infra.db.repositories.queue import SqlQueueRepository
from infra.db.repositories.raising import tell
from infra.db.repositories.saved_views import SqlSavedViewRepository
from infra.db.repositories.screening import SqlBannedWordRepository
from infra.db.repositories.segments import SqlSegmentRepository
from infra.db.repositories.snippets import SqlSnippetRepository
from infra.db.repositories.sync import SqlSyncRepository
from infra.db.repositories.telemetry import SqlTelemetryRepository
from infra.db.repositories.threads import SqlThreadRepository
from infra.db.repositories.tiers import SqlTierRepository
from infra.db.repositories.transactions import SqlTransactionRepository
from infra.db.repositories.unsending import SqlUnsendingRepository
from infra.logging import correlation_id

# The healing timer's first try after a refused publish.
RETRY_PUBLISH = timedelta(seconds=1)


class SqlUnitOfWork:
    """UnitOfWork on PostgreSQL. A database that is away raises Unavailable at the door."""

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

    def __init__(self, sessions: sessionmaker[Session], bus: Bus, cipher: Cipher) -> None:
        self._sessions = sessions
        self._bus = bus
        self._cipher = cipher
        self._events: list[Event] = []

    def __enter__(self) -> Self:
        self._session = self._sessions()
        self.users = SqlUserRepository(self._session)
        self.connections = SqlConnectionRepository(self._session)
        self.fans = SqlFanRepository(self._session)
        self.fan_history = SqlFanHistoryRepository(self._session)
        self.segments = SqlSegmentRepository(self._session)
        self.tiers = SqlTierRepository(self._session)
        self.merges = SqlMergeRepository(self._session)
        self.departures = SqlDepartureRepository(self._session)
        self.messages = SqlMessageRepository(self._session, self._cipher)
        self.queue = SqlQueueRepository(self._session, self._cipher)
        self.idempotency = SqlIdempotencyRepository(self._session)
        self.ledger = SqlLedgerRepository(self._session, self._cipher)
        self.audit = SqlAuditRepository(self._session)
        self.keys = SqlApiKeyRepository(self._session)
        self.accounts = SqlAccountRepository(self._session, self._cipher)
        self.links = SqlLinkRepository(self._session)
        self.sync = SqlSyncRepository(self._session, self._cipher)
        self.conversations = SqlConversationRepository(self._session, self._cipher)
        self.telemetry = SqlTelemetryRepository(self._session)
        self.threads = SqlThreadRepository(self._session, self._cipher)
        self.saved_views = SqlSavedViewRepository(self._session)
        self.notifications = SqlNotificationRepository(self._session)
        self.snippets = SqlSnippetRepository(self._session)
        self.dead_letters = SqlDeadLetterRepository(self._session)
        self.unsending = SqlUnsendingRepository(self._session, self._cipher)
        self.media = SqlMediaRepository(self._session, self._cipher)
        self.banned_words = SqlBannedWordRepository(self._session)
        self.platform_events = SqlPlatformEventRepository(self._session)
        self.inbound = SqlInboundRepository(self._session)
        self.purchases = SqlPurchaseRepository(self._session)
        self.transactions = SqlTransactionRepository(self._session)
        self.analytics = SqlAnalyticsRepository(self._session)
        self.imports = SqlImportRepository(self._session)
        self.campaigns = SqlCampaignRepository(self._session)
        self.bulk_limits = SqlBulkLimitRepository(self._session)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._session.close()
        if is_away(problem):
            raise Unavailable("the database does not answer; nothing was changed") from problem

    def emit(self, event: Event) -> None:
        self._events.append(replace(event, correlation_id=event.correlation_id or correlation_id()))

    def commit(self) -> None:
        tell(self._session)
        self._session.commit()
        events, self._events = self._events, []
        if events:
            self._wake_soon(self._bus.publish(events))

    def _wake_soon(self, refused: Sequence[Event]) -> None:
        rows = [MessageId(event.row) for event in refused if event.row is not None]
        if not rows:
            return
        try:
            self.queue.wake(rows, RETRY_PUBLISH)
            self._session.commit()
        except DBAPIError:
            # The row keeps its ordinary wake-up: a longer delay, and nothing lost.
            self._session.rollback()
