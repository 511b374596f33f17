"""Typed declarative rows. Domain dataclasses are made from them in the repositories.

Constraint names follow one convention, since errors are told apart by them. Rows' `user_id` is the
owner's id; indexes end in the sort key of the list they serve.
"""

from infra.db.tables.access import ApiKeyRow, AuditRow
from infra.db.tables.base import Row
from infra.db.tables.crm import (
    BannedWordRow,
    FanChangeRow,
    FanMergeRow,
    NotificationMarkRow,
    NotificationRow,
    SavedFilterRow,
    SnippetRow,
    TierRulesRow,
)
from infra.db.tables.imports import (
    ImportErrorRow,
    ImportKeptRow,
    ImportMappingRow,
    ImportPreviewRow,
    ImportRow,
)
from infra.db.tables.messages import (
    MESSAGE_SEARCH,
    AttemptRow,
    CampaignRecipientRow,
    CampaignRow,
    IdempotencyKeyRow,
    MessageRow,
)
from infra.db.tables.people import (
    ConnectionRow,
    ConversationRow,
    FanRow,
    UserRow,
)
from infra.db.tables.platform import (
    DeletedMessageRow,
    ErasedFanRow,
    MediaRow,
    MediaSourceRow,
    PlatformEventRow,
    PurchaseRow,
    TelemetryRow,
    TransactionRow,
)

__all__ = [
    "MESSAGE_SEARCH",
    "ApiKeyRow",
    "AttemptRow",
    "AuditRow",
    "BannedWordRow",
    "CampaignRecipientRow",
    "CampaignRow",
    "ConnectionRow",
    "ConversationRow",
    "DeletedMessageRow",
    "ErasedFanRow",
    "FanChangeRow",
    "FanMergeRow",
    "FanRow",
    "IdempotencyKeyRow",
    "ImportErrorRow",
    "ImportKeptRow",
    "ImportMappingRow",
    "ImportPreviewRow",
    "ImportRow",
    "MediaRow",
    "MediaSourceRow",
    "MessageRow",
    "NotificationMarkRow",
    "NotificationRow",
    "PlatformEventRow",
    "PurchaseRow",
    "Row",
    "SavedFilterRow",
    "SnippetRow",
    "TelemetryRow",
    "TierRulesRow",
    "TransactionRow",
    "UserRow",
]
