"""How often somebody may ask: requests of a user, failed logins of an email and of an address.

While nobody counts (Redis is away) everything passes: a limit protects the service, it is not the
service."""

import hashlib
import time
from collections.abc import Callable, Sequence
from datetime import timedelta

from domain.errors import TooMany
from domain.ports import Journal, QuotaUnavailable, RequestQuota, Taken
from domain.users import UserId

MINUTE = timedelta(minutes=1)
# An open page asks 24 times a minute; a person opens some more.
PAGES_PER_MINUTE = 600
LOGIN_WINDOW = timedelta(minutes=15)
FAILURES_OF_EMAIL, FAILURES_OF_ADDRESS = 10, 50
# An outage is told about once in a while, not once a request.
TELL_EVERY_SECONDS = 60.0


class LimitService:
    """Counts, and refuses what is too much."""

    def __init__(
        self,
        quota: RequestQuota,
        journal: Journal,
        requests_per_minute: int,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._quota = quota
        self._journal = journal
        self._per_minute = requests_per_minute
        self._monotonic = monotonic
        self._tell_after = float("-inf")

    def request(self, user_id: UserId) -> Taken | None:
        """Count a request of a user, by whatever login or key; None while nobody counts."""
        return self._take(f"user:{user_id}", self._per_minute, MINUTE)

    def page(self, user_id: UserId) -> Taken | None:
        """Count a request for a page or a part of one, apart from those of programs."""
        return self._take(f"pages:{user_id}", PAGES_PER_MINUTE, MINUTE)

    def unchanged(self, taken: Taken) -> None:
        """The answer was that nothing changed: polling costs half."""
        self._quota.give_back(taken, half=True)

    def login(self, email: str, address: str) -> Sequence[Taken]:
        """Count an attempt to log in as a failure, before it is known to be one: many attempts at
        once then find no gap. Raises TooMany, whether or not the email has an account."""
        of_address = self._attempt("address", address, FAILURES_OF_ADDRESS)
        try:
            of_email = self._attempt("email", email.lower(), FAILURES_OF_EMAIL)
        except TooMany:
            self.forgive(of_address)
            raise
        return [*of_address, *of_email]

    def forgive(self, attempts: Sequence[Taken]) -> None:
        """These were no failures after all."""
        for one in attempts:
            self._quota.give_back(one)

    def _attempt(self, kind: str, who: str, limit: int) -> Sequence[Taken]:
        # Hashed: neither emails nor addresses lie about in Redis.
        subject = f"login:{kind}:{hashlib.sha256(who.encode()).hexdigest()[:32]}"
        taken = self._take(subject, limit, LOGIN_WINDOW)
        if taken is None:
            return []
        if not taken.allowed:
            raise TooMany(
                "Too many failed logins: wait, or ask the owner of your team",
                reason=f"login_failures_of_{kind}",
                limit=limit,
                retry_after=taken.reset_after,
            )
        return [taken]

    def _take(self, subject: str, limit: int, window: timedelta) -> Taken | None:
        try:
            return self._quota.take(subject, limit, window)
        except QuotaUnavailable as problem:
            if self._monotonic() >= self._tell_after:
                self._tell_after = self._monotonic() + TELL_EVERY_SECONDS
                self._journal.note("requests_uncounted", reason=str(problem))
            return None
