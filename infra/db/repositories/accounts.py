"""How connections are made, as rows."""

from collections.abc import Mapping

from sqlalchemy import func, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from domain.connections import Connection, ConnectionDraft, ConnectionId, ConnectionState
from domain.errors import Conflict, NotFound
from domain.ports import Account, Profile
from domain.users import OwnerId
from infra.cipher import Cipher
from infra.db.repositories.people import SqlConnectionRepository, connection_of
from infra.db.tables import ConnectionRow

DISCONNECTED = ConnectionState.DISCONNECTED.value


class SqlAccountRepository:
    """AccountRepository on PostgreSQL."""

    def __init__(self, session: Session, cipher: Cipher) -> None:
        self._session = session
        self._cipher = cipher

    def of(self, connection_id: ConnectionId) -> Account:
        row = self._session.get(ConnectionRow, connection_id)
        if row is None:
            raise NotFound(f"connection {connection_id} does not exist")
        return Account(row.account_id, self._cipher.decrypt(row.access_key))

    def live(self, owner_id: OwnerId, platform: str, account_id: str) -> Connection | None:
        row = self._session.scalar(
            select(ConnectionRow).where(
                ConnectionRow.user_id == owner_id,
                ConnectionRow.platform == platform,
                ConnectionRow.account_id == account_id,
                ConnectionRow.state != DISCONNECTED,
            )
        )
        return connection_of(row) if row else None

    def connect(self, owner_id: OwnerId, draft: ConnectionDraft, profile: Profile) -> ConnectionId:
        key = draft.access_key
        fields: dict[str, object] = {
            "access_key": None if key is None else self._cipher.encrypt(key),
            "username": profile.username,
            "platform_user_id": profile.platform_user_id,
            "sync_after": func.now(),
            "sync_error": None,
        }
        try:
            with self._session.begin_nested():
                former = self._former(owner_id, draft)
                if former is None:
                    return self._add(owner_id, draft, profile, fields)
                return self._revive(former, draft, fields)
        except IntegrityError as problem:
            if "uq_platform_connections_account_id" not in str(problem.orig):
                raise
        if self.live(owner_id, draft.platform, draft.account_id):
            raise Conflict("this account is connected already", code="connection_exists")
        raise Conflict("this account cannot be connected here", code="account_taken")

    def _former(self, owner_id: OwnerId, draft: ConnectionDraft) -> ConnectionId | None:
        found = self._session.scalar(
            select(ConnectionRow.id)
            .where(
                ConnectionRow.user_id == owner_id,
                ConnectionRow.platform == draft.platform,
                ConnectionRow.account_id == draft.account_id,
                ConnectionRow.state == DISCONNECTED,
            )
            .order_by(ConnectionRow.id.desc())
            .limit(1)
            .with_for_update(key_share=True)
        )
        return None if found is None else ConnectionId(found)

    def _add(
        self,
        owner_id: OwnerId,
        draft: ConnectionDraft,
        profile: Profile,
        fields: Mapping[str, object],
    ) -> ConnectionId:
        made = self._session.scalar(
            insert(ConnectionRow)
            .values(
                user_id=owner_id,
                platform=draft.platform,
                account_id=draft.account_id,
                name=draft.name or profile.name,
                **fields,
            )
            .returning(ConnectionRow.id)
        )
        assert made is not None
        return ConnectionId(made)

    def _revive(
        self, connection_id: ConnectionId, draft: ConnectionDraft, fields: Mapping[str, object]
    ) -> ConnectionId:
        named = {"name": draft.name} if draft.name else {}
        self.change(connection_id, {**fields, **named})
        rows = SqlConnectionRepository(self._session)
        rows.set_state(connection_id, ConnectionState.ACTIVE, None)
        return connection_id

    def change(self, connection_id: ConnectionId, changes: Mapping[str, object]) -> None:
        self._session.execute(
            update(ConnectionRow).where(ConnectionRow.id == connection_id).values(**changes),
            execution_options={"synchronize_session": False},
        )

    def set_key(self, connection_id: ConnectionId, access_key: str | None) -> None:
        sealed = None if access_key is None else self._cipher.encrypt(access_key)
        self.change(connection_id, {"access_key": sealed})
