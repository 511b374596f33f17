"""What PostgreSQL means to do with the statements of a request."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import event, text

from tests.crm import Crm

# Fans, their messages, their history and what is told of them.
LARGE = frozenset(
    {
        "fans",
        "messages",
        "fan_changes",
        "conversations",
        "transactions",
        "notifications",
        "snippets",
    }
)


@contextmanager
def watched(crm: Crm) -> Iterator[list[tuple[str, object]]]:
    """Every statement that runs meanwhile, with its values."""
    seen: list[tuple[str, object]] = []

    def note(_c: object, _k: object, statement: str, values: object, *_: object) -> None:
        seen.append((statement, values))

    event.listen(crm.engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(crm.engine, "before_cursor_execute", note)


def scans(crm: Crm, seen: list[tuple[str, object]], tables: frozenset[str] = LARGE) -> set[str]:
    """The large tables that a statement would read as a whole."""
    nodes = _nodes(crm, seen)
    return {one["Relation Name"] for one in nodes if one["Node Type"] == "Seq Scan"} & tables


def indexes(crm: Crm, seen: list[tuple[str, object]]) -> set[str]:
    """The indexes by which the statements would be answered."""
    return {one["Index Name"] for one in _nodes(crm, seen) if "Index Name" in one}


def _nodes(crm: Crm, seen: list[tuple[str, object]]) -> list[dict]:
    """Every step of their plans."""
    found: list[dict] = []
    with crm.engine.connect() as connection:
        connection.execute(text("SET plan_cache_mode = force_custom_plan"))
        for statement, values in seen:
            if not statement.lstrip().startswith(("SELECT", "WITH", "UPDATE", "DELETE")):
                continue
            plan = connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {statement}", values)
            found += _within(plan.scalar_one()[0]["Plan"])
        connection.rollback()
    return found


def _within(node: dict) -> Iterator[dict]:
    yield node
    for inner in node.get("Plans", ()):
        yield from _within(inner)
