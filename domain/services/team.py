"""The team of an owner: who belongs to it, with which role."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from domain.errors import Conflict, FieldProblem, Invalid, NotFound
from domain.ports import PasswordHasher
from domain.repositories import Once, OpenUnitOfWork, UnitOfWork
from domain.services.keys import require_person
from domain.services.users import email_problems, password_problems, time_zone_problems
from domain.users import Caller, Permission, Role, User, UserId

MEMBERS_MAX = 200


@dataclass(frozen=True)
class NewMember:
    """Who joins."""

    email: str
    role: Role
    password: str
    time_zone: str = "UTC"


@dataclass(frozen=True)
class MemberChange:
    """What changes; None stays as it is."""

    role: Role | None = None
    time_zone: str | None = None
    password: str | None = None


@dataclass(frozen=True)
class Added:
    """A member; `replayed` says that an Idempotency-Key brought back an earlier answer."""

    member: User
    replayed: bool = False


class TeamService:
    """The use cases of teams. Each takes effect on requests that come later than the memory of a
    web process (see api/auth.py)."""

    def __init__(self, open_unit_of_work: OpenUnitOfWork, hasher: PasswordHasher) -> None:
        self._open = open_unit_of_work
        self._hasher = hasher

    def list_members(self, caller: Caller) -> Sequence[User]:
        """Everybody who may log in, the owner first."""
        caller.require(Permission.TEAM)
        with self._open() as work:
            return work.users.team(caller.owner_id)

    def names(self, caller: Caller) -> Mapping[UserId, str]:
        """Who is who in histories, those who left too."""
        caller.require(Permission.READ)
        with self._open() as work:
            return work.users.emails(caller.owner_id)

    def add(self, caller: Caller, new: NewMember, once: Once | None = None) -> Added:
        """Let somebody log in with a role below the owner's.

        Raises Invalid (fields), Conflict (`email_taken`, `team_full`), Forbidden."""
        caller.require(Permission.TEAM)
        require_person(caller)
        _refuse(
            *email_problems(new.email),
            *password_problems(new.password),
            *time_zone_problems(new.time_zone),
            *_role_problems(new.role),
        )
        password_hash = self._hasher.hash(new.password)
        with self._open() as work:
            if once and (stored := work.idempotency.claim(caller.user_id, once)):
                return Added(self._member(work, caller, UserId(int(stored))), replayed=True)
            # Two at once must not both find room for one.
            work.users.lock(UserId(caller.owner_id))
            if len(work.users.team(caller.owner_id)) >= MEMBERS_MAX:
                raise Conflict(f"a team has at most {MEMBERS_MAX} members", code="team_full")
            member = work.users.add(
                new.email, password_hash, new.role, caller.owner_id, new.time_zone
            )
            work.audit.add(caller, "member.added", "user", member.id, {"role": member.role})
            if once:
                work.idempotency.store(caller.user_id, once, str(member.id))
            work.commit()
        return Added(member)

    def change(self, caller: Caller, user_id: UserId, change: MemberChange, now: datetime) -> User:
        """Change a member's role, time zone or password; the owner keeps the role, and a new
        password ends the member's logins.

        Raises Invalid, NotFound, Conflict (`owner_stays`), Forbidden."""
        caller.require(Permission.TEAM)
        require_person(caller)
        if change == MemberChange():
            raise Invalid(FieldProblem("body", "name at least one of role, timeZone, password"))
        if change.password is not None:
            _refuse(*password_problems(change.password))
        if change.time_zone is not None:
            _refuse(*time_zone_problems(change.time_zone))
        if change.role is not None:
            _refuse(*_role_problems(change.role))
        password_hash = None if change.password is None else self._hasher.hash(change.password)
        with self._open() as work:
            member = self._member(work, caller, user_id)
            if change.role is not None:
                _refuse_owner(member)
            work.users.change(
                user_id,
                role=change.role,
                time_zone=change.time_zone,
                password_hash=password_hash,
                tokens_after=None if password_hash is None else now,
            )
            fields = [name for name, value in vars(change).items() if value is not None]
            detail = {"fields": fields} | ({"role": change.role} if change.role else {})
            work.audit.add(caller, "member.changed", "user", user_id, detail)
            changed = self._member(work, caller, user_id)
            work.commit()
        return changed

    def remove(self, caller: Caller, user_id: UserId) -> None:
        """End a member's logins and keys; the email may join again as somebody new.

        Raises NotFound, Conflict (`owner_stays`), Forbidden."""
        caller.require(Permission.TEAM)
        require_person(caller)
        with self._open() as work:
            _refuse_owner(self._member(work, caller, user_id))
            if not work.users.remove(user_id):
                raise NotFound(f"no member {user_id}")
            keys = work.keys.revoke_of(user_id)
            work.audit.add(caller, "member.removed", "user", user_id, {"keysRevoked": keys})
            work.commit()

    @staticmethod
    def _member(work: UnitOfWork, caller: Caller, user_id: UserId) -> User:
        found = work.users.get(user_id)
        if found is None or found.owner_id != caller.owner_id:
            raise NotFound(f"no member {user_id}")
        return found


def _role_problems(role: Role) -> Sequence[FieldProblem]:
    if role is Role.OWNER:
        return [FieldProblem("role", "use manager, chatter or analyst: a team has one owner")]
    return []


def _refuse(*problems: FieldProblem) -> None:
    if problems:
        raise Invalid(*problems)


def _refuse_owner(member: User) -> None:
    if member.role is Role.OWNER:
        raise Conflict("the owner stays the owner of the team", code="owner_stays")
