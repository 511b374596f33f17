"""A database that held tables of ours by name before the first migration: what they miss is added,
nothing is dropped or renamed, and every row stays.

The first migration would refuse them, since they exist. So it runs in a scratch schema, its tables
are compared with those that are there, and the difference is made up. What cannot be made to fit is
told, all of it at once, and then nothing has changed: it is one transaction.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Dialect, text
from sqlalchemy.exc import DBAPIError

from infra.db.tables import Row

FIRST = "0001"
SCRATCH, HOME = "huntaze_adopting", "public"
# Theirs -> ours: nothing that the first holds is lost in the second.
WIDER = {
    ("smallint", "bigint"),
    ("integer", "bigint"),
    ("real", "double precision"),
    ("json", "jsonb"),
}
COLUMNS = """
    SELECT c.relname AS "table", a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type,
      a.attnotnull AS required, pg_get_expr(d.adbin, d.adrelid) AS fallback,
      a.attidentity <> '' AS numbered
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
    LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE c.relnamespace = to_regnamespace(:schema) AND c.relkind = 'r' AND a.attnum > 0
      AND NOT a.attisdropped ORDER BY c.relname, a.attnum
"""
CONSTRAINTS = """
    SELECT c.relname AS "table", k.conname AS name, k.contype AS kind,
      pg_get_constraintdef(k.oid) AS definition
    FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
    WHERE c.relnamespace = to_regnamespace(:schema) AND k.contype IN ('p', 'u', 'c', 'f')
    ORDER BY position(k.contype::text IN 'pucf'), k.conname
"""
INDEXES = """
    SELECT c.relname AS "table", i.relname AS name, pg_get_indexdef(x.indexrelid) AS definition
    FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class c ON c.oid = x.indrelid
    WHERE c.relnamespace = to_regnamespace(:schema)
      AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = x.indexrelid)
"""
# What a row of an older product did not know. An account without a link to the platform never
# sends; whoever is known by number only cannot log in until given an address and a password.
FILL = """
    INSERT INTO users (id, owner_id, email, password_hash, role)
      SELECT id, id, 'user-' || id || '@unknown.invalid', '', 'owner' FROM (
        SELECT user_id AS id FROM fans UNION SELECT user_id FROM conversations
        UNION SELECT user_id FROM campaigns UNION SELECT user_id FROM platform_connections
      ) known WHERE id IS NOT NULL AND NOT EXISTS (SELECT FROM users u WHERE u.id = known.id);
    UPDATE users SET owner_id = coalesce(owner_id, id), role = coalesce(role, 'owner'),
      email = coalesce(email, 'user-' || id || '@unknown.invalid'),
      password_hash = coalesce(password_hash, '')
      WHERE owner_id IS NULL OR role IS NULL OR email IS NULL OR password_hash IS NULL;
    UPDATE platform_connections SET name = coalesce(name, 'Account ' || id),
      account_id = coalesce(account_id, 'unlinked-' || id),
      state = CASE WHEN account_id IS NULL THEN 'disconnected' ELSE state END
      WHERE name IS NULL OR account_id IS NULL;
    INSERT INTO platform_connections (user_id, name, account_id, state)
      SELECT DISTINCT user_id, 'Account', 'unlinked-user-' || user_id, 'disconnected'
      FROM conversations c WHERE connection_id IS NULL
        AND NOT EXISTS (SELECT FROM platform_connections p WHERE p.user_id = c.user_id);
    UPDATE conversations c SET connection_id = (SELECT p.id FROM platform_connections p
        WHERE p.user_id = c.user_id ORDER BY p.platform <> c.platform, p.id LIMIT 1)
      WHERE connection_id IS NULL;
    UPDATE messages m SET user_id = coalesce(m.user_id, c.user_id),
      connection_id = coalesce(m.connection_id, c.connection_id),
      fan_id = coalesce(m.fan_id, c.fan_id)
      FROM conversations c WHERE c.id = m.conversation_id
        AND (m.user_id IS NULL OR m.connection_id IS NULL OR m.fan_id IS NULL);
    UPDATE messages SET public_id = gen_random_uuid() WHERE public_id IS NULL;
    UPDATE messages SET state = 'sent', sent_at = coalesce(sent_at, created_at)
      WHERE direction = 'out' AND state IS NULL;
    SELECT setval(pg_get_serial_sequence('users', 'id'), greatest(max(id), 1)) FROM users
"""


class TablesDiffer(Exception):
    """Tables that are there cannot be made ours; `differences` says what to change by hand."""

    def __init__(self, differences: Sequence[str]) -> None:
        self.differences = differences
        super().__init__("the tables differ, nothing was changed:\n" + "\n".join(differences))


@dataclass(frozen=True)
class Column:
    """As PostgreSQL describes it."""

    table: str
    name: str
    type: str
    required: bool
    fallback: str | None
    numbered: bool

    @property
    def label(self) -> str:
        return f"{self.table}.{self.name}"


def adopt(connection: Connection, script: ScriptDirectory) -> bool:
    """Make tables of an older product those of the first migration; False = there are none, or a
    migration has run already. Raises TablesDiffer, and then the caller rolls back."""
    if MigrationContext.configure(connection).get_current_revision() is not None:
        return False
    connection.execute(text(f"CREATE SCHEMA {SCRATCH}"))
    connection.execute(text(f"SET LOCAL search_path TO {SCRATCH}"))
    with Operations.context(MigrationContext.configure(connection)):
        script.get_revision(FIRST).module.upgrade()
    ours, theirs = columns(connection, SCRATCH), columns(connection, HOME)
    tables = {table for table, _ in ours}
    there = {table for table, _ in theirs} & tables
    if there:
        # As ours, without a schema before a name: they are made again beside theirs.
        constraints = list(connection.execute(text(CONSTRAINTS), {"schema": SCRATCH}))
        indexes = list(connection.execute(text(INDEXES), {"schema": SCRATCH}))
        told = differences(ours, theirs, there)
        later = later_types(connection.dialect, theirs, ours, there)
        told += [
            f"{theirs[place].label} is {theirs[place].type}, and must be {wanted}"
            for place, wanted in later.items()
            if not fits(theirs[place].type, wanted)
        ]
        if told:
            raise TablesDiffer(told)
        for one in constraints:
            if one.kind == "f" and one.table not in there:
                run(connection, f'ALTER TABLE {one.table} DROP CONSTRAINT "{one.name}"')
        for table in tables - there:
            run(connection, f"ALTER TABLE {table} SET SCHEMA {HOME}")
        connection.execute(text(f"SET LOCAL search_path TO {HOME}"))
        for column in ours.values():
            if column.table in there:
                widen(connection, column, theirs.get((column.table, column.name)))
        for (table, name), wanted in later.items():
            run(connection, f'ALTER TABLE {table} ALTER COLUMN "{name}" TYPE {wanted}')
        told += attempts(connection, FILL.split(";"))
        told += attempts(connection, requirements(ours, there))
        known = {
            (one.table, one.name, one.kind)
            for one in connection.execute(text(CONSTRAINTS), {"schema": HOME})
        }
        keyed = {table for table, _, kind in known if kind == "p"}
        told += attempts(
            connection,
            [
                f'ALTER TABLE {one.table} ADD CONSTRAINT "{one.name}" {one.definition}'
                for one in constraints
                if (one.table, one.name, one.kind) not in known
                and not (one.kind == "p" and one.table in keyed)
            ],
        )
        made = {one.name for one in connection.execute(text(INDEXES), {"schema": HOME})}
        told += attempts(
            connection,
            [
                one.definition.replace(f"{SCRATCH}.", f"{HOME}.")
                for one in indexes
                if one.name not in made
            ],
        )
        if told:
            raise TablesDiffer(told)
        MigrationContext.configure(connection).stamp(script, FIRST)
    connection.execute(text(f"DROP SCHEMA {SCRATCH} CASCADE"))
    return bool(there)


def columns(connection: Connection, schema: str) -> dict[tuple[str, str], Column]:
    found = [Column(*row) for row in connection.execute(text(COLUMNS), {"schema": schema})]
    return {(one.table, one.name): one for one in found}


def fits(theirs: str, ours: str) -> bool:
    """Whether a type is ours, or can become it without a loss."""
    is_text = theirs.startswith("character varying") and ours == "text"
    return theirs == ours or is_text or (theirs, ours) in WIDER


def differences(
    ours: dict[tuple[str, str], Column], theirs: dict[tuple[str, str], Column], there: set[str]
) -> list[str]:
    """What no addition can mend."""
    told = []
    for place, column in theirs.items():
        own = ours.get(place)
        if column.table not in there:
            continue
        if own is None:
            # Of what a later migration adds, its type is compared by itself.
            if column.required and column.fallback is None and not column.numbered:
                told.append(f"{column.label} is required and unknown to us: give it a default")
        elif not fits(column.type, own.type):
            told.append(f"{column.label} is {column.type}, and must be {own.type}")
        elif own.numbered and column.fallback is None and not column.numbered:
            told.append(f"{column.label} must number new rows by itself: give it a sequence")
    return told


def later_types(
    dialect: Dialect,
    theirs: dict[tuple[str, str], Column],
    ours: dict[tuple[str, str], Column],
    there: set[str],
) -> dict[tuple[str, str], str]:
    """Columns of theirs that only a later migration adds, and the types that they get."""
    found = {}
    for table, name in theirs:
        if table in there and (table, name) not in ours:
            column = Row.metadata.tables[table].columns.get(name)
            if column is not None:
                found[table, name] = column.type.compile(dialect=dialect).lower()
    return found


def widen(connection: Connection, ours: Column, theirs: Column | None) -> None:
    """Add what a column misses, but for what rows must have: they are filled first."""
    change = f'ALTER TABLE {ours.table} ALTER COLUMN "{ours.name}"'
    if theirs is None:
        fallback = f" DEFAULT {ours.fallback}" if ours.fallback else ""
        run(connection, f'ALTER TABLE {ours.table} ADD COLUMN "{ours.name}" {ours.type}{fallback}')
        return
    if theirs.type != ours.type:
        run(connection, f"{change} TYPE {ours.type}")
    if ours.fallback and theirs.fallback is None:
        run(connection, f"{change} SET DEFAULT {ours.fallback}")
    if theirs.required and not ours.required:
        run(connection, f"{change} DROP NOT NULL")


def requirements(ours: dict[tuple[str, str], Column], there: set[str]) -> list[str]:
    """What makes rows have what ours must have."""
    made = []
    for column in ours.values():
        if column.table in there and column.required:
            if column.fallback:
                made.append(
                    f'UPDATE {column.table} SET "{column.name}" = {column.fallback}'  # noqa: S608  # names from our own migration
                    f' WHERE "{column.name}" IS NULL'
                )
            made.append(f'ALTER TABLE {column.table} ALTER COLUMN "{column.name}" SET NOT NULL')
    return made


def attempts(connection: Connection, statements: Sequence[str]) -> list[str]:
    """Run each; what its rows refuse is told."""
    told = []
    for statement in statements:
        try:
            with connection.begin_nested():
                run(connection, statement)
        except DBAPIError as problem:
            told.append(str(problem.orig).strip().replace("\n", " "))
    return told


def run(connection: Connection, statement: str) -> None:
    """As it is: a colon in it is no parameter."""
    connection.exec_driver_sql(statement.replace("%", "%%"))
