"""`huntaze migrate` and `huntaze demo-data`."""

import click

from cli.context import services, settings
from infra.local.demo import seed
from infra.wiring import TablesDiffer, migrate_database


@click.command()
def migrate() -> None:
    """Bring the database's schema up to date; safe to run twice, and from several places.

    Tables of an older product keep every row and get what they miss; where they cannot, the
    differences are listed and nothing is changed."""
    try:
        done = migrate_database(settings())
    except TablesDiffer as problem:
        raise click.ClickException(str(problem)) from None
    click.echo(f"{len(done)} migrations applied" if done else "the schema is up to date")


@click.command("demo-data")
@click.option("--password", envvar="DEMO_PASSWORD", required=True, help="of demo@huntaze.example")
def demo_data(password: str) -> None:
    """Create the demo user with three accounts, fans and conversations, if there is none yet."""
    click.echo(seed(services().engine, password))
