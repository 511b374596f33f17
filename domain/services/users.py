"""Accounts: adding them, logging in. A failed login takes as long for an unknown email as for a
wrong password, so that nobody can list our users with a stopwatch."""

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import available_timezones

from domain.errors import FieldProblem, Invalid, NotFound
from domain.ports import PasswordHasher, Token, TokenIssuer
from domain.repositories import OpenUnitOfWork
from domain.services.keys import require_person
from domain.users import Caller, OwnerId, Role, User, UserId

EMAIL = re.compile(r"[^\s@\x00]{1,64}@[^\s@\x00]{1,189}")
PASSWORD_MIN, PASSWORD_MAX = 8, 1024


@dataclass(frozen=True)
class Login:
    """A user and the token that stands for it."""

    user: User
    token: Token


class UserService:
    """The use cases of accounts."""

    def __init__(
        self, open_unit_of_work: OpenUnitOfWork, hasher: PasswordHasher, tokens: TokenIssuer
    ) -> None:
        self._open = open_unit_of_work
        self._hasher = hasher
        self._tokens = tokens
        self._nobodys_hash = hasher.hash(secrets.token_urlsafe())

    def login(self, email: str, password: str, now: datetime) -> Login | None:
        """A token for the account with this email and password; None when there is none."""
        with self._open() as work:
            found = work.users.by_email(email)
        user, password_hash = found or (None, self._nobodys_hash)
        # Outside the transaction: a hash takes longer than the query.
        fits = self._hasher.verify(password_hash, password)
        if user is None or not fits:
            return None
        with self._open() as work:
            work.audit.add(user.caller(), "login.succeeded", "user", user.id)
            work.commit()
        return Login(user, self._tokens.issue(user, now))

    def change_password(self, caller: Caller, current: str, new: str, now: datetime) -> bool:
        """Change one's own password and end all one's logins; False when `current` is wrong.

        Raises Invalid (fields) and Forbidden (an API key asks)."""
        require_person(caller)
        if problems := password_problems(new, "new"):
            raise Invalid(*problems)
        with self._open() as work:
            user = work.users.get(caller.user_id)
            found = work.users.by_email(user.email) if user else None
        if found is None or not self._hasher.verify(found[1], current):
            return False
        password_hash = self._hasher.hash(new)
        with self._open() as work:
            work.users.change(caller.user_id, password_hash=password_hash, tokens_after=now)
            work.audit.add(caller, "password.changed", "user", caller.user_id)
            work.commit()
        return True

    def end_logins(self, caller: Caller, now: datetime) -> None:
        """End every login of who asks. Raises Forbidden (an API key asks)."""
        require_person(caller)
        with self._open() as work:
            work.users.change(caller.user_id, tokens_after=now)
            work.audit.add(caller, "logins.ended", "user", caller.user_id)
            work.commit()

    def note_failed_login(self, email: str) -> None:
        """Write a failed login into the log of the account's owner; nothing without an account."""
        with self._open() as work:
            found = work.users.by_email(email)
            if found is not None:
                user, _ = found
                work.audit.add(user.owner_id, "login.failed", "user", user.id)
                work.commit()

    def get(self, user_id: UserId) -> User | None:
        """The account as it is now; None once it is removed."""
        with self._open() as work:
            return work.users.get(user_id)

    def caller_of(self, email: str) -> Caller | None:
        """The account with this email as somebody who asks, for operators."""
        with self._open() as work:
            found = work.users.by_email(email)
        return found[0].caller() if found else None

    def issue_token(self, email: str, now: datetime) -> Login:
        """A token without a password, for operators; raises NotFound."""
        with self._open() as work:
            found = work.users.by_email(email)
        if found is None:
            raise NotFound(f"no user {email}", code="user_not_found")
        return Login(found[0], self._tokens.issue(found[0], now))

    def add(
        self,
        email: str,
        password: str,
        role: Role = Role.OWNER,
        owner_email: str | None = None,
        time_zone: str = "UTC",
    ) -> User:
        """Add an account: an owner, or a member of an owner's team with another role.

        Raises Invalid (fields), NotFound (the owner), Conflict (`email_taken`)."""
        _check(email, password, role, owner_email, time_zone)
        password_hash = self._hasher.hash(password)
        with self._open() as work:
            owner_id = None
            if owner_email is not None:
                owner = work.users.by_email(owner_email)
                if owner is None:
                    raise NotFound(f"no user {owner_email}", code="user_not_found")
                owner_id = OwnerId(owner[0].owner_id)
            user = work.users.add(email, password_hash, role, owner_id, time_zone)
            work.commit()
        return user


def _check(email: str, password: str, role: Role, owner_email: str | None, time_zone: str) -> None:
    problems = [*email_problems(email), *password_problems(password)]
    if (role is Role.OWNER) != (owner_email is None):
        problems.append(FieldProblem("owner", "name the owner of every role but owner itself"))
    problems += time_zone_problems(time_zone)
    if problems:
        raise Invalid(*problems)


def email_problems(email: str) -> Sequence[FieldProblem]:
    if EMAIL.fullmatch(email):
        return []
    return [FieldProblem("email", "use an address such as ann@example.com")]


def password_problems(password: str, name: str = "password") -> Sequence[FieldProblem]:
    if PASSWORD_MIN <= len(password) <= PASSWORD_MAX:
        return []
    return [FieldProblem(name, f"use {PASSWORD_MIN} to {PASSWORD_MAX} characters")]


def time_zone_problems(time_zone: str) -> Sequence[FieldProblem]:
    if time_zone in available_timezones():
        return []
    return [FieldProblem("timeZone", "use a name such as Europe/Paris")]
