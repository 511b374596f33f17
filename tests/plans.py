"""What PostgreSQL means to do with the statements of a request."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import event, text

from tests.crm import Crm

GROWING = {
    "fans",
    "messages",
    "fan_changes",
    "conversations",
    "transactions",
    "notifications",
    "snippets",
}


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


def scans(crm: Crm, seen: list[tuple[str, object]]) -> set[str]:
    """The tables of fans, messages and what is told of them that a statement would read as a
    whole."""
    found: set[str] = set()
    with crm.engine.connect() as connection:
        connection.execute(text("SET plan_cache_mode = force_custom_plan"))
        for statement, values in seen:
            if not statement.lstrip().startswith(("SELECT", "WITH", "UPDATE", "DELETE")):
                continue
            plan = connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {statement}", values)
            found |= set(_whole(plan.scalar_one()[0]["Plan"]))
        connection.rollback()
    return found & GROWING


def _whole(node: dict) -> Iterator[str]:
    if node["Node Type"] == "Seq Scan":
        yield node["Relation Name"]
    for inner in node.get("Plans", ()):
        yield from _whole(inner)
