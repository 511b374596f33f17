"""Migrations as functions: bring the schema to a revision, and say what is missing."""

from pathlib import Path

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, text

from infra.db.adopting import adopt
from infra.db.engine import MIGRATION_LOCK
from infra.db.tables import Row


def config(connection: Connection | None = None) -> Config:
    """Alembic's configuration; no ini file, so that there is one way to run a migration."""
    made = Config()
    made.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    made.attributes["connection"] = connection
    return made


def upgrade(engine: Engine, revision: str = "head") -> None:
    """Bring the schema up to `revision`; safe to run from several processes at once. Tables of an
    older product become ours; raises TablesDiffer when they cannot."""
    with engine.begin() as connection:
        connection.execute(text(f"SELECT pg_advisory_xact_lock({MIGRATION_LOCK})"))
        adopt(connection, ScriptDirectory.from_config(config()))
    with engine.connect() as connection:
        command.upgrade(config(connection), revision)


def downgrade(engine: Engine, revision: str) -> None:
    """Take the schema down to `revision` ("base": nothing left). Never in production."""
    with engine.connect() as connection:
        command.downgrade(config(connection), revision)


def revisions() -> list[str]:
    """Every revision, oldest first."""
    script = ScriptDirectory.from_config(config())
    return [one.revision for one in reversed(list(script.walk_revisions()))]


def pending(engine: Engine) -> list[str]:
    """The revisions that the database has not seen yet, oldest first."""
    with engine.connect() as connection:
        current = MigrationContext.configure(connection).get_current_revision()
    known = revisions()
    return known if current is None else known[known.index(current) + 1 :]


def drift(engine: Engine) -> list[object]:
    """Differences between the tables in code and in the database; empty when they agree."""
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_server_default": False})
        return list(compare_metadata(context, Row.metadata))
