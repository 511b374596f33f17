"""`huntaze connection`: look at connected accounts, pause them, resume them."""

from collections.abc import Callable

import click

from cli.context import services
from domain.connections import Connection, ConnectionId
from domain.errors import DomainError
from domain.users import Caller


@click.group()
def connection() -> None:
    """Look at connected accounts, pause and resume them."""


def owner_of(email: str) -> Caller:
    """The account that acts; ends the command when there is none."""
    with services().open_unit_of_work() as work:
        found = work.users.by_email(email)
    if found is None:
        raise click.ClickException(f"there is no user {email}")
    user, _ = found
    return Caller(user.id, user.owner_id, user.role)


@connection.command("list")
@click.argument("email")
def list_(email: str) -> None:
    """Every account of the user EMAIL with its state and who waits."""
    for pace in services().connections.list_paces(owner_of(email)):
        one, waiting = pace.connection, sum(pace.bucket.waiting.values()) if pace.bucket else "?"
        why = f" ({one.state_reason})" if one.state_reason else ""
        click.echo(f"{one.id}\t{one.name}\t{one.account_id}\t{one.state}{why}\t{waiting} waiting")


@connection.command()
@click.argument("email")
@click.argument("connection_id", type=int)
def pause(email: str, connection_id: int) -> None:
    """Stop sending on an account; what waits stays."""
    _tell(services().connections.pause, email, connection_id)


@connection.command()
@click.argument("email")
@click.argument("connection_id", type=int)
def resume(email: str, connection_id: int) -> None:
    """Send again on an account; everything that waits goes, paced."""
    _tell(services().connections.resume, email, connection_id)


def _tell(
    change: Callable[[Caller, ConnectionId], Connection], email: str, connection_id: int
) -> None:
    try:
        changed = change(owner_of(email), ConnectionId(connection_id))
    except DomainError as problem:
        raise click.ClickException(problem.message) from None
    click.echo(f"{changed.name} is {changed.state}")
