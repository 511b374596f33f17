"""Who logs in. Rows belong to an owner; a role says what somebody of the owner's team may do."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NewType

from domain.errors import Forbidden

UserId = NewType("UserId", int)
OwnerId = NewType("OwnerId", int)


class Role(StrEnum):
    """What a user may do; the permissions stand in PERMISSIONS."""

    OWNER = "owner"
    MANAGER = "manager"
    CHATTER = "chatter"
    ANALYST = "analyst"


class Permission(StrEnum):
    """One kind of action; the value completes "your role may not ..."."""

    READ = "see fans and messages"
    SEND = "send messages"
    EDIT = "change fans"
    IMPORT = "import files"
    EXPORT = "export data"
    MONEY = "see money"
    MANAGE = "change accounts and settings"
    AUDIT = "read the audit log"
    KEYS = "make API keys"
    TEAM = "change the team"
    ERASE = "erase for good"


_CHATTER = frozenset({Permission.READ, Permission.SEND, Permission.EDIT})

# The one table of who may do what.
PERMISSIONS: dict[Role, frozenset[Permission]] = {
    Role.OWNER: frozenset(Permission),
    Role.MANAGER: frozenset(Permission) - {Permission.TEAM, Permission.ERASE},
    Role.CHATTER: _CHATTER,
    Role.ANALYST: frozenset({Permission.READ, Permission.EXPORT, Permission.MONEY}),
}


@dataclass(frozen=True)
class User:
    """An account. `owner_id` is the id of the owner whose rows the user works on (self for one)."""

    id: UserId
    owner_id: OwnerId
    email: str
    role: Role
    time_zone: str
    created_at: datetime
    # Logins from before then are over; None: none are.
    tokens_after: datetime | None = None

    def caller(self, key_id: int | None = None) -> "Caller":
        """The account as somebody who asks."""
        return Caller(self.id, self.owner_id, self.role, key_id)


@dataclass(frozen=True)
class Caller:
    """Who asks: every query uses `owner_id`, every permission the role. `key_id` is the API key
    that a program came with; None for a login."""

    user_id: UserId
    owner_id: OwnerId
    role: Role
    key_id: int | None = None

    def may(self, permission: Permission) -> bool:
        return permission in PERMISSIONS[self.role]

    def require(self, permission: Permission) -> None:
        """Raise Forbidden unless the role allows it."""
        if not self.may(permission):
            raise Forbidden(f"your role {self.role} may not {permission}")
