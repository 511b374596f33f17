"""How connections are made: the account behind each, its key, and who may connect it."""

from collections.abc import Mapping
from typing import Protocol

from domain.connections import Connection, ConnectionDraft, ConnectionId
from domain.ports import Account, Profile
from domain.users import OwnerId


class AccountRepository(Protocol):
    """Accounts of connections. Keys are encrypted at rest, and leave only by `of`."""

    def of(self, connection_id: ConnectionId) -> Account:
        """The account with its key, for a call to the gateway; raises NotFound."""
        ...

    def live(self, owner_id: OwnerId, platform: str, account_id: str) -> Connection | None:
        """The owner's connection of this account, unless it is disconnected."""
        ...

    def connect(self, owner_id: OwnerId, draft: ConnectionDraft, profile: Profile) -> ConnectionId:
        """Store the account as connected. The owner's newest disconnected row of the same account
        comes back to life with everything that waits on it. Raises Conflict: `connection_exists`
        (this owner has it), `account_taken` (somebody else has)."""
        ...

    def change(self, connection_id: ConnectionId, changes: Mapping[str, object]) -> None:
        """Set `name`, `rate_per_minute` or `burst`."""
        ...

    def set_key(self, connection_id: ConnectionId, access_key: str | None) -> None:
        """Replace the key, or forget it."""
        ...
