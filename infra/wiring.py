"""The composition root: settings in, services out. Nothing else constructs an adapter."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

from prometheus_client import start_http_server
from sqlalchemy import Engine, text
from sqlalchemy.orm import sessionmaker

from domain.media import MediaHosts
from domain.pacing import RoomRules, interval_ms
from domain.ports import Journal
from domain.repositories import OpenUnitOfWork
from domain.services.analytics import AnalyticsService
from domain.services.audit import AuditService
from domain.services.audit_log import AuditLogService
from domain.services.bulk_limits import BulkLimitService
from domain.services.campaigns import CampaignService
from domain.services.connections import ConnectionService
from domain.services.conversations import ConversationService
from domain.services.dead_letters import DeadLetterService
from domain.services.delivery import DeliveryService
from domain.services.departures import DepartureService
from domain.services.fans import FanService
from domain.services.healing import HealingService
from domain.services.importing import ImportingService
from domain.services.imports import ImportService
from domain.services.inbound import InboundService
from domain.services.keys import KeyService
from domain.services.limits import LimitService
from domain.services.linking import LinkingService
from domain.services.logins import LoginService
from domain.services.media import MediaService
from domain.services.merges import MergeService
from domain.services.messages import MessageService
from domain.services.money import MoneyService
from domain.services.monitoring import MonitoringService, Probes
from domain.services.notifications import NotificationService
from domain.services.read_marks import ReadMarkService
from domain.services.rules import SendingRules
from domain.services.saved_views import SavedViewService
from domain.services.screening import ScreeningService
from domain.services.segments import SegmentService
from domain.services.snippets import SnippetService
from domain.services.sync import SyncService
from domain.services.team import TeamService
from domain.services.telemetry import TelemetryService
from domain.services.threads import ThreadService
from domain.services.tiers import TierService
from domain.services.unsending import UnsendingService
from domain.services.users import UserService
from infra.bus.dead_letters import SqsDeadLetters
from infra.bus.publisher import SqsBus
from infra.cipher import Cipher
from infra.db.adopting import TablesDiffer
from infra.db.engine import HealingTurn, make_engine
from infra.db.migrate import pending, upgrade
from infra.db.unit_of_work import SqlUnitOfWork
from infra.doctor import Doctor, Finding, probe_key
from infra.journal import LogJournal
from infra.media.guard import MediaGuard
from infra.metrics import OperatorMetrics
from infra.passwords import Argon2PasswordHasher
from infra.platform.ofapi import OfapiPlatform
from infra.platform.ofapi_accounts import OfapiAccounts
from infra.platform.webhooks import WebhookReader
from infra.redis.client import connect
from infra.redis.quota import RedisRequestQuota
from infra.redis.status_cache import RedisStatusCache
from infra.redis.waiting_room import RedisWaitingRoom
from infra.redis.worker_errors import RedisWorkerErrors
from infra.rotation import KeyRotation
from infra.s3 import S3FileStore
from infra.settings import Settings
from infra.tokens import JwtIssuer

# What commands and tests name of the layers below.
__all__ = [
    "Finding",
    "JwtIssuer",
    "Services",
    "TablesDiffer",
    "build",
    "migrate_database",
    "probe_key",
    "serve_metrics",
]


# A request waits for it, and passes without it.
QUOTA_SECONDS = 0.3


@dataclass(frozen=True)
class Services:
    """Everything an entry point may use."""

    settings: Settings
    engine: Engine
    open_unit_of_work: OpenUnitOfWork
    room: RedisWaitingRoom
    bus: SqsBus
    journal: Journal
    rules: SendingRules
    messages: MessageService
    connections: ConnectionService
    linking: LinkingService
    sync: SyncService
    delivery: DeliveryService
    healing: HealingService
    audit: AuditService
    audit_log: AuditLogService
    doctor: Doctor
    cache: RedisStatusCache
    worker_errors: RedisWorkerErrors
    healing_turn: HealingTurn
    tokens: JwtIssuer
    users: UserService
    logins: LoginService
    limits: LimitService
    keys: KeyService
    team: TeamService
    rotation: KeyRotation
    fans: FanService
    departures: DepartureService
    merges: MergeService
    segments: SegmentService
    tiers: TierService
    inbound: InboundService
    importing: ImportingService
    imports: ImportService
    bulk_limits: BulkLimitService
    campaigns: CampaignService
    money: MoneyService
    analytics: AnalyticsService
    conversations: ConversationService
    threads: ThreadService
    saved_views: SavedViewService
    notifications: NotificationService
    snippets: SnippetService
    dead_letters: DeadLetterService
    read_marks: ReadMarkService
    unsending: UnsendingService
    monitoring: MonitoringService
    media: MediaService
    screening: ScreeningService
    telemetry: TelemetryService
    # What the healing timer does besides messages, each pass; every one may be repeated.
    sweeps: Mapping[str, Callable[[], int]]

    def close(self) -> None:
        """Give every connection back; used once, at the end of a process."""
        self.healing_turn.give_up()
        self.engine.dispose()


def rules_of(settings: Settings) -> SendingRules:
    """The sending rules that the settings say."""
    return SendingRules(
        enabled=settings.rate_limiter_enabled and settings.onlyfans_crm_enabled,
        rate_per_minute=settings.rate_limit_per_minute,
        burst=settings.rate_limit_burst,
        max_failures=settings.send_max_attempts,
        lease=timedelta(seconds=settings.send_lease_seconds),
        platform_timeout=timedelta(seconds=settings.platform_timeout_seconds),
        deadline=timedelta(seconds=settings.delivery_deadline_seconds),
        unknown_grace=timedelta(seconds=settings.unknown_grace_seconds),
        wake_after=timedelta(seconds=settings.wake_after_seconds),
        media_hosts=MediaHosts.parse(settings.media_allowed_hosts),
    )


def room_rules_of(settings: Settings) -> RoomRules:
    """The waiting room's numbers that the settings say."""
    return RoomRules(
        lead_ms=settings.release_lead_ms,
        permit_lease_ms=settings.permit_lease_seconds * 1000,
        send_lease_ms=settings.send_lease_seconds * 1000,
        interval_ms=interval_ms(settings.rate_limit_per_minute),
        burst=settings.rate_limit_burst,
    )


@dataclass(frozen=True)
class Adapters:
    """Stand-ins for what a test does not want to be real; None = the real one."""

    engine: Engine | None = None
    bus: Any = None
    room: Any = None
    platform: Any = None
    quota: Any = None
    accounts: Any = None
    inbound: Any = None
    files: Any = None
    media_source: Any = None
    metrics: Any = None


def build(
    settings: Settings, *, patient_bus: bool = False, adapters: Adapters = Adapters()
) -> Services:
    """Every service, connected to what the settings name. Nothing is contacted yet.

    `patient_bus`: for background processes, which may wait longer for SQS than a request may."""
    rules = rules_of(settings)
    engine = adapters.engine or make_engine(settings)
    bus = adapters.bus or SqsBus(settings, patient=patient_bus)
    redis = connect(settings)
    room = adapters.room or RedisWaitingRoom(redis, room_rules_of(settings))
    platform = adapters.platform or OfapiPlatform.from_settings(settings)
    accounts = adapters.accounts or OfapiAccounts.from_settings(settings)
    cache = RedisStatusCache(redis)
    worker_errors = RedisWorkerErrors(connect(settings, timeout_seconds=QUOTA_SECONDS))
    journal = LogJournal()
    cipher = Cipher(settings.encryption_keys)
    open_unit_of_work = partial(SqlUnitOfWork, sessionmaker(engine), bus, cipher)
    seconds = timedelta(seconds=settings.media_timeout_seconds)
    media = MediaService(
        open_unit_of_work,
        source=adapters.media_source
        or MediaGuard(rules.media_hosts, max_bytes=settings.media_max_bytes, deadline=seconds),
        accounts=accounts,
        room=room,
        rules=rules,
        journal=journal,
        upload_deadline=seconds,
    )
    files = adapters.files or S3FileStore.from_settings(settings)
    importing = ImportingService(
        open_unit_of_work,
        files=files,
        journal=journal,
        lease=timedelta(seconds=settings.import_lease_seconds),
    )
    messages = MessageService(open_unit_of_work, room=room, bus=bus, cache=cache, rules=rules)
    bulk_limits = BulkLimitService(open_unit_of_work, room)
    campaigns = CampaignService(
        open_unit_of_work,
        room=room,
        media=media,
        messages=messages,
        rules=rules,
        journal=journal,
        max_recipients=settings.bulk_max_recipients,
    )
    connections = ConnectionService(open_unit_of_work, room, rules, accounts)
    inbound = InboundService(
        open_unit_of_work,
        reader=WebhookReader(settings.onlyfans_webhook_secret),
        room=room,
        rules=rules,
        journal=journal,
    )
    sync = SyncService(
        open_unit_of_work,
        accounts=accounts,
        inbound=adapters.inbound or inbound,
        room=room,
        rules=rules,
        journal=journal,
        every=timedelta(seconds=settings.sync_every_seconds),
    )
    telemetry = TelemetryService(
        open_unit_of_work,
        bus=bus,
        metrics=adapters.metrics or OperatorMetrics(settings),
        errors=worker_errors,
        journal=journal,
        every=timedelta(seconds=settings.metrics_every_seconds),
        lag=timedelta(seconds=settings.send_lease_seconds),
    )
    tiers = TierService(open_unit_of_work)
    threads = ThreadService(open_unit_of_work, room, rules)
    read_marks = ReadMarkService(open_unit_of_work, accounts, journal)
    notifications = NotificationService(open_unit_of_work)
    unsending = UnsendingService(open_unit_of_work, accounts, journal)
    tokens = JwtIssuer(settings.jwt_secret, timedelta(seconds=settings.access_token_seconds))
    hasher = Argon2PasswordHasher()
    users = UserService(open_unit_of_work, hasher, tokens)
    quota = adapters.quota or RedisRequestQuota(
        connect(settings, timeout_seconds=min(QUOTA_SECONDS, settings.redis_timeout_seconds))
    )
    limits = LimitService(quota, journal, settings.api_rate_limit_per_minute)
    probes = Probes({"postgres": partial(ping, engine), "redis": room.cold, "sqs": bus.depths})
    return Services(
        settings=settings,
        engine=engine,
        open_unit_of_work=open_unit_of_work,
        room=room,
        bus=bus,
        journal=journal,
        rules=rules,
        messages=messages,
        connections=connections,
        linking=LinkingService(open_unit_of_work, accounts),
        sync=sync,
        delivery=DeliveryService(
            open_unit_of_work,
            room=room,
            platform=platform,
            messages=messages,
            rules=rules,
            journal=journal,
            limits=bulk_limits,
        ),
        healing=HealingService(
            open_unit_of_work,
            room=room,
            bus=bus,
            platform=platform,
            rules=rules,
            journal=journal,
            proofs=inbound.proofs,
        ),
        audit=AuditService(open_unit_of_work, platform, rules),
        audit_log=AuditLogService(open_unit_of_work),
        doctor=Doctor(settings, engine=engine, redis=redis, room=room, bus=bus, cache=cache),
        cache=cache,
        worker_errors=worker_errors,
        healing_turn=HealingTurn(engine),
        tokens=tokens,
        users=users,
        logins=LoginService(users, limits),
        limits=limits,
        keys=KeyService(open_unit_of_work),
        team=TeamService(open_unit_of_work, hasher),
        rotation=KeyRotation(engine, cipher),
        fans=FanService(open_unit_of_work),
        departures=DepartureService(open_unit_of_work, room, settings.fan_delete_mode),
        merges=MergeService(open_unit_of_work),
        segments=SegmentService(open_unit_of_work),
        tiers=tiers,
        inbound=inbound,
        importing=importing,
        imports=ImportService(open_unit_of_work, files),
        bulk_limits=bulk_limits,
        campaigns=campaigns,
        money=MoneyService(open_unit_of_work),
        analytics=AnalyticsService(open_unit_of_work, cache),
        monitoring=MonitoringService(
            open_unit_of_work, bus, connections, rules, probes, worker_errors=worker_errors
        ),
        sweeps={
            "media": media.wake_overdue,
            "bulk_limits": bulk_limits.sweep,
            "campaigns": campaigns.wake_overdue,
            "campaign_hours": campaigns.turn_hours,
            "campaign_progress": campaigns.announce_progress,
            "imports": importing.wake_overdue,
            "import_files": importing.forget_files,
            "platform_events": inbound.wake_events,
            "event_bodies": inbound.forget_bodies,
            "read_marks": read_marks.sweep,
            "sync": sync.announce_due,
            "tiers": tiers.sweep,
            "unsending": unsending.sweep,
            "notifications": notifications.sweep,
            "metrics": telemetry.sweep,
        },
        conversations=ConversationService(open_unit_of_work, messages, threads),
        threads=threads,
        saved_views=SavedViewService(open_unit_of_work),
        notifications=notifications,
        snippets=SnippetService(open_unit_of_work),
        dead_letters=DeadLetterService(
            open_unit_of_work, messages, SqsDeadLetters(settings), journal
        ),
        read_marks=read_marks,
        unsending=unsending,
        media=media,
        screening=ScreeningService(open_unit_of_work),
        telemetry=telemetry,
    )


def ping(engine: Engine) -> None:
    """Raises unless PostgreSQL answers."""
    with engine.connect() as connection:
        connection.execute(text("SELECT 1"))


def serve_metrics(settings: Settings) -> None:
    """Answer Prometheus on METRICS_PORT; 0 leaves it off."""
    if settings.metrics_port:
        start_http_server(settings.metrics_port, addr=settings.metrics_host)


def migrate_database(settings: Settings) -> list[str]:
    """Bring the schema up to date; returns the revisions that were missing."""
    engine = make_engine(settings)
    missing = pending(engine)
    upgrade(engine)
    engine.dispose()
    return missing
