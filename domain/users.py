"""Who logs in. Rows belong to an owner; a role says what somebody of the owner's team may do."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NewType

UserId = NewType("UserId", int)
OwnerId = NewType("OwnerId", int)


class Role(StrEnum):
    """What a user may do; the permissions stand in PERMISSIONS."""

    OWNER = "owner"
    MANAGER = "manager"
    CHATTER = "chatter"
    ANALYST = "analyst"


class Permission(StrEnum):
    """One kind of action."""

    READ = "read"
    SEND = "send"
    MANAGE = "manage"


PERMISSIONS: dict[Role, frozenset[Permission]] = {
    Role.OWNER: frozenset(Permission),
    Role.MANAGER: frozenset(Permission),
    Role.CHATTER: frozenset({Permission.READ, Permission.SEND}),
    Role.ANALYST: frozenset({Permission.READ}),
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


@dataclass(frozen=True)
class Caller:
    """Who asks, as the token says: every query uses `owner_id`, every permission the role."""

    user_id: UserId
    owner_id: OwnerId
    role: Role

    def may(self, permission: Permission) -> bool:
        return permission in PERMISSIONS[self.role]
