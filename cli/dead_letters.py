"""`huntaze dlq`: look into a dead-letter queue, give messages back, or throw them away."""

from collections.abc import Callable
from typing import TypeVar

import click

from cli.context import services
from domain.dead_letters import DeadLetter, Moved
from domain.errors import Unavailable
from domain.ports import BusUnavailable
from infra.settings import QUEUES

T = TypeVar("T")
LIMIT = 100
on_queue = click.option(
    "--queue", type=click.Choice(QUEUES), required=True, help="The queue, without its -dlq."
)
at_most = click.option(
    "--limit", type=click.IntRange(1, 10_000), default=LIMIT, show_default=True, help="At most."
)
by_id = click.option("--id", "ids", multiple=True, help="One of `list`; repeat it for more.")
all_of_them = click.option("--all", "is_all", is_flag=True, help="Whatever is there.")


@click.group()
def dlq() -> None:
    """Look after the dead-letter queues."""


@dlq.command("list")
@on_queue
@at_most
def list_letters(queue: str, limit: int) -> None:
    """What a dead-letter queue holds, and why; nothing is changed."""
    found = _asked(lambda: services().dead_letters.browse(queue, limit))
    for one in found:
        click.echo(line(one))
    click.echo(f"{len(found)} dead letters" + (" or more" if len(found) == limit else ""))


@dlq.command()
@on_queue
@by_id
@all_of_them
@at_most
def redrive(queue: str, ids: tuple[str, ...], limit: int, *, is_all: bool) -> None:
    """Give messages back to their queue; no message is ever sent twice by it."""
    chosen = _chosen(ids, is_all=is_all)
    _report("redriven", _asked(lambda: services().dead_letters.redrive(queue, chosen, limit)))


@dlq.command()
@on_queue
@by_id
@all_of_them
@at_most
@click.confirmation_option("--yes", prompt="They cannot be brought back. Go on?")
def discard(queue: str, ids: tuple[str, ...], limit: int, *, is_all: bool) -> None:
    """Delete messages from a dead-letter queue; what they were about stays as it is."""
    chosen = _chosen(ids, is_all=is_all)
    _report("discarded", _asked(lambda: services().dead_letters.discard(queue, chosen, limit)))


def line(one: DeadLetter) -> str:
    """A dead letter on one line."""
    about = " ".join(f"{name}={value}" for name, value in one.payload.items())
    why = one.reason or "failed at every receive: the worker's log says why"
    return f"{one.id}  {one.sent_at:%Y-%m-%d %H:%M:%S}  {one.task or 'no task'}  {about}  {why}"


def _chosen(ids: tuple[str, ...], *, is_all: bool) -> tuple[str, ...] | None:
    if bool(ids) == is_all:
        raise click.UsageError("name messages by --id, or ask for --all")
    return ids or None


def _report(deed: str, moved: Moved) -> None:
    click.echo(f"{len(moved.done)} {deed}, {len(moved.left)} left")
    for one in moved.left:
        click.echo(f"left: {line(one)}")


def _asked(ask: Callable[[], T]) -> T:
    try:
        return ask()
    except (BusUnavailable, Unavailable) as problem:
        raise click.ClickException(f"nobody answers: {problem}") from None
