"""Typed declarative rows. Domain dataclasses are made from them in the repositories.

Constraint names follow one convention, since errors are told apart by them. Rows' `user_id` is the
owner's id; indexes end in the sort key of the list they serve.
"""

from infra.db.tables.base import Row
from infra.db.tables.messages import AttemptRow, CampaignRow, IdempotencyKeyRow, MessageRow
from infra.db.tables.people import ConnectionRow, ConversationRow, FanRow, UserRow

__all__ = [
    "AttemptRow",
    "CampaignRow",
    "ConnectionRow",
    "ConversationRow",
    "FanRow",
    "IdempotencyKeyRow",
    "MessageRow",
    "Row",
    "UserRow",
]
