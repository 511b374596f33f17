"""Changing the key that access keys are encrypted with, while everything runs."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from sqlalchemy import Engine, select, update

from infra.cipher import Cipher
from infra.db.tables import ConnectionRow

BATCH = 200


@dataclass
class Rotated:
    """How many secrets were encrypted anew, how many needed it no more, and the connections whose
    secret no key opens."""

    renewed: int = 0
    current: int = 0
    unreadable: list[int] = field(default_factory=list)


class KeyRotation:
    """Brings every access key under the first of ENCRYPTION_KEYS. May be ended and run again at any
    time: each row is a transaction of its own, and changes only what it has read."""

    def __init__(self, engine: Engine, cipher: Cipher) -> None:
        self._engine = engine
        self._cipher = cipher

    def run(self) -> Rotated:
        """Every connection, also disconnected ones."""
        done = Rotated()
        for connection_id, sealed in self._sealed():
            try:
                renewed = self._cipher.renewed(sealed)
            except ValueError:
                done.unreadable.append(connection_id)
                continue
            if renewed is None:
                done.current += 1
            else:
                done.renewed += self._replace(connection_id, sealed, renewed)
        return done

    def _sealed(self) -> Iterator[tuple[int, bytes]]:
        last = 0
        while True:
            with self._engine.connect() as database:
                page = database.execute(
                    select(ConnectionRow.id, ConnectionRow.access_key)
                    .where(ConnectionRow.id > last, ConnectionRow.access_key.is_not(None))
                    .order_by(ConnectionRow.id)
                    .limit(BATCH)
                ).all()
            yield from ((row.id, bytes(row.access_key)) for row in page)
            if len(page) < BATCH:
                return
            last = page[-1].id

    def _replace(self, connection_id: int, before: bytes, after: bytes) -> int:
        """1, or 0 when somebody connected the account anew meanwhile."""
        with self._engine.begin() as database:
            return database.execute(
                update(ConnectionRow)
                .where(ConnectionRow.id == connection_id, ConnectionRow.access_key == before)
                .values(access_key=after)
            ).rowcount
