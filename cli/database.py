"""`huntaze migrate` and `huntaze demo-data`."""

import click

from cli.context import services, settings
from infra.local.demo import seed
from infra.wiring import migrate_database


@click.command()
def migrate() -> None:
    """Bring the database's schema up to date; safe to run twice, and from several places."""
    done = migrate_database(settings())
    click.echo(f"{len(done)} migrations applied" if done else "the schema is up to date")


@click.command("demo-data")
@click.option("--password", envvar="DEMO_PASSWORD", required=True, help="of demo@huntaze.example")
def demo_data(password: str) -> None:
    """Create the demo user with three accounts, fans and conversations, if there is none yet."""
    click.echo(seed(services().engine, password))
