"""API keys: made, listed, revoked, and found again when one comes in."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from domain.errors import Conflict, FieldProblem, Forbidden, Invalid, NotFound
from domain.keys import (
    LIVE_MAX,
    NAME_MAX,
    SECRET,
    SHOWN_CHARACTERS,
    ApiKey,
    ApiKeyId,
    digest,
    new_secret,
)
from domain.repositories import Once, OpenUnitOfWork
from domain.users import Caller, Permission, UserId

# When a key was last used is known to the minute.
USED_EVERY = timedelta(minutes=1)


@dataclass(frozen=True)
class MadeKey:
    """A key and its text, which is shown now and never again: `secret` is None when an
    Idempotency-Key brought the answer back."""

    key: ApiKey
    secret: str | None

    @property
    def replayed(self) -> bool:
        return self.secret is None


class KeyService:
    """The use cases of API keys."""

    def __init__(self, open_unit_of_work: OpenUnitOfWork) -> None:
        self._open = open_unit_of_work

    def list_keys(self, caller: Caller) -> Sequence[ApiKey]:
        """The live keys of the whole team, oldest first."""
        caller.require(Permission.KEYS)
        with self._open() as work:
            return work.keys.live(caller.owner_id)

    def make(self, caller: Caller, name: str, once: Once | None = None) -> MadeKey:
        """A new key that acts as the caller, with the role the caller has at that time.

        Raises Invalid, Forbidden (`login_needed`), Conflict (`too_many_keys`)."""
        caller.require(Permission.KEYS)
        require_person(caller)
        name = name.strip()
        if not 1 <= len(name) <= NAME_MAX or not name.isprintable():
            raise Invalid(FieldProblem("name", f"use 1 to {NAME_MAX} printable characters"))
        secret = new_secret()
        with self._open() as work:
            if once and (stored := work.idempotency.claim(caller.user_id, once)):
                made = work.keys.get(caller.owner_id, ApiKeyId(int(stored)))
                assert made is not None
                return MadeKey(made, None)
            # Two at once must not both find room for one.
            work.users.lock(UserId(caller.owner_id))
            if len(work.keys.live(caller.owner_id)) >= LIVE_MAX:
                raise Conflict(
                    f"the team has {LIVE_MAX} keys: revoke one first", code="too_many_keys"
                )
            shown = secret[:SHOWN_CHARACTERS]
            made = work.keys.add(caller, name, shown, digest(secret))
            work.audit.add(caller, "key.made", "key", made.id)
            if once:
                work.idempotency.store(caller.user_id, once, str(made.id))
            work.commit()
        return MadeKey(made, secret)

    def revoke(self, caller: Caller, key_id: ApiKeyId) -> None:
        """End a key of the team; a request that comes with it later than the memory of a web
        process is refused. Raises NotFound, also for one that was revoked before."""
        caller.require(Permission.KEYS)
        with self._open() as work:
            if not work.keys.revoke(caller.owner_id, key_id):
                raise NotFound(f"no key {key_id}")
            work.audit.add(caller, "key.revoked", "key", key_id)
            work.commit()

    def find(self, secret: str) -> ApiKey | None:
        """The live key with this text; None when it is none, or revoked."""
        if not SECRET.fullmatch(secret):
            return None
        with self._open() as work:
            return work.keys.by_hash(digest(secret))

    def used(self, key_id: ApiKeyId) -> None:
        """Remember that it was used just now; at most one write a minute."""
        with self._open() as work:
            if work.keys.used(key_id, USED_EVERY):
                work.commit()


def require_person(caller: Caller) -> None:
    """Raise Forbidden for a program: what a stolen key did ends when it is revoked, so it may
    neither make keys nor change who belongs to the team."""
    if caller.key_id is not None:
        raise Forbidden(
            "an API key may neither make keys nor change the team: log in",
            code="login_needed",
        )
