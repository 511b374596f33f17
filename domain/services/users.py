"""Accounts: adding them, logging in. A failed login takes as long for an unknown email as for a
wrong password, so that nobody can list our users with a stopwatch."""

import re
import secrets
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import available_timezones

from domain.errors import FieldProblem, Invalid, NotFound
from domain.ports import PasswordHasher, Token, TokenIssuer
from domain.repositories import OpenUnitOfWork
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
        return Login(user, self._tokens.issue(user, now)) if user and fits else None

    def get(self, user_id: UserId) -> User | None:
        """The account as it is now; None once it is removed."""
        with self._open() as work:
            return work.users.get(user_id)

    def caller_of(self, email: str) -> Caller | None:
        """The account with this email as somebody who asks, for operators."""
        with self._open() as work:
            found = work.users.by_email(email)
        return Caller(found[0].id, found[0].owner_id, found[0].role) if found else None

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
    problems = []
    if not EMAIL.fullmatch(email):
        problems.append(FieldProblem("email", "use an address such as ann@example.com"))
    if not PASSWORD_MIN <= len(password) <= PASSWORD_MAX:
        problems.append(FieldProblem("password", f"use at least {PASSWORD_MIN} characters"))
    if (role is Role.OWNER) != (owner_email is None):
        problems.append(FieldProblem("owner", "name the owner of every role but owner itself"))
    if time_zone not in available_timezones():
        problems.append(FieldProblem("timeZone", "use a name such as Europe/Paris"))
    if problems:
        raise Invalid(*problems)
