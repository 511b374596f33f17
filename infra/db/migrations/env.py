"""Runs migrations: one at a time (advisory lock), with short lock waits so that a busy table makes
the migration fail instead of making everybody wait."""

from alembic import context
from alembic.operations import Operations, ops, toimpl
from sqlalchemy import Connection, text

from infra.db.engine import MIGRATION_LOCK
from infra.db.tables import Row


@Operations.implementation_for(ops.AddColumnOp, replace=True)
def add_column(operations: Operations, operation: ops.AddColumnOp) -> None:
    """A table of an older product may have the column already, with its type (infra/db/adopting)."""
    operation.if_not_exists = True
    toimpl.add_column(operations, operation)


def migrate(connection: Connection) -> None:
    connection.execute(text("SET lock_timeout = '4s'"))
    connection.execute(text("SET statement_timeout = '60s'"))
    connection.execute(text(f"SELECT pg_advisory_lock({MIGRATION_LOCK})"))
    connection.commit()
    try:
        context.configure(
            connection=connection,
            target_metadata=Row.metadata,
            transaction_per_migration=True,
            compare_server_default=False,
        )
        with context.begin_transaction():
            context.run_migrations()
    finally:
        connection.rollback()
        connection.execute(text(f"SELECT pg_advisory_unlock({MIGRATION_LOCK})"))
        connection.commit()


migrate(context.config.attributes["connection"])
