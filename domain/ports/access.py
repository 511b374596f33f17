"""What the domain needs to let somebody in, and to count what they ask."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from domain.users import User


@dataclass(frozen=True)
class Taken:
    """A request that was counted, or refused (`allowed` is False) and then not counted.

    `reset_after` is how long the oldest counted one still counts; of a refused request, how long
    until it would be allowed."""

    subject: str
    mark: str
    allowed: bool
    limit: int
    remaining: int
    reset_after: timedelta


class QuotaUnavailable(Exception):
    """Nobody counts at the moment."""


class RequestQuota(Protocol):
    """How often something was asked for within the last so many seconds."""

    def take(self, subject: str, limit: int, window: timedelta) -> Taken:
        """Count one request of the subject unless `limit` were counted within the window that ends
        now: in no window are there ever more, however many processes ask at once. Raises
        QuotaUnavailable, quickly, while Redis is away."""
        ...

    def give_back(self, taken: Taken, *, half: bool = False) -> None:
        """Count it no longer, or only as one half; a second time changes nothing. Never raises."""
        ...


class PasswordHasher(Protocol):
    """Slow, salted password hashes."""

    def hash(self, password: str) -> str: ...

    def verify(self, password_hash: str, password: str) -> bool:
        """Whether the password fits; False also for a hash that is none."""
        ...


@dataclass(frozen=True)
class Token:
    """A signed login that proves who its holder is until `expires_at`."""

    text: str
    expires_at: datetime


class TokenIssuer(Protocol):
    """Signs logins."""

    def issue(self, user: User, now: datetime) -> Token: ...
