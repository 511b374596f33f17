"""`huntaze user add` and `huntaze token`: accounts for people and logins for programs."""

from datetime import UTC, datetime

import click

from cli.context import services
from domain.errors import DomainError
from domain.users import Role


@click.group()
def user() -> None:
    """Look after accounts."""


@user.command()
@click.argument("email")
@click.option(
    "--role",
    type=click.Choice([role.value for role in Role]),
    default=Role.OWNER.value,
    show_default=True,
)
@click.option("--owner", metavar="EMAIL", help="Whose rows the new user works on.")
@click.option("--time-zone", default="UTC", show_default=True, help="Whose midnight starts a day.")
@click.option(
    "--password",
    prompt=True,
    hide_input=True,
    confirmation_prompt=True,
    help="Asked for when not given.",
)
def add(email: str, role: str, owner: str | None, time_zone: str, password: str) -> None:
    """Add an account for EMAIL."""
    try:
        added = services().users.add(email, password, Role(role), owner, time_zone)
    except DomainError as problem:
        raise click.ClickException(problem.message) from None
    click.echo(f"{added.email} is {added.role} (user {added.id})")


@click.command()
@click.argument("email")
def token(email: str) -> None:
    """Print a login for EMAIL, for the header Authorization: Bearer."""
    try:
        login = services().users.issue_token(email, datetime.now(UTC))
    except DomainError as problem:
        raise click.ClickException(problem.message) from None
    click.echo(login.token.text)
