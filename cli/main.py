"""The `huntaze` command."""

import click

from cli.audit import audit
from cli.connections import connection
from cli.database import demo_data, migrate
from cli.dev import dev
from cli.doctor import doctor
from cli.simulator import simulator
from cli.users import token, user


@click.group()
def huntaze() -> None:
    """Run Huntaze, and look after it."""


for command in (dev, doctor, audit, connection, user, token, migrate, demo_data, simulator):
    huntaze.add_command(command)


def main() -> None:
    """The entry point."""
    huntaze()
