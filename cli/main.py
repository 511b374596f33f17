"""The `huntaze` command. A command's module is imported when it is asked for: starting the system
must not first load what only an audit needs."""

from importlib import import_module

import click

COMMANDS = {
    "dev": "cli.dev",
    "doctor": "cli.doctor",
    "dlq": "cli.dead_letters",
    "audit": "cli.audit",
    "connection": "cli.connections",
    "user": "cli.users",
    "token": "cli.users",
    "import": "cli.imports",
    "migrate": "cli.database",
    "rotate-keys": "cli.rotation",
    "demo-data": "cli.database",
    "simulator": "cli.simulator",
}


class Huntaze(click.Group):
    """Finds commands by COMMANDS."""

    def list_commands(self, _context: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, _context: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        # Python keeps `import` for itself.
        spelled = "import_file" if name == "import" else name.replace("-", "_")
        command = getattr(import_module(COMMANDS[name]), spelled)
        assert isinstance(command, click.Command)
        return command


@click.group(cls=Huntaze)
def huntaze() -> None:
    """Run Huntaze, and look after it."""


def main() -> None:
    """The entry point."""
    huntaze()
