"""`huntaze simulator`: the platform's stand-in, for demonstrations, tests and the bench."""

from pathlib import Path

import click

from infra.local.simulator import Simulator


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="0 = any free port.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen.")
@click.option(
    "--ledger",
    type=click.Path(dir_okay=False, path_type=Path),
    default=None,
    help="A file that keeps what was received, across restarts.",
)
def simulator(port: int, host: str, ledger: Path | None) -> None:
    """Run a platform that accepts messages, shows them and fails on demand."""
    platform = Simulator(host, port, ledger)
    click.echo(f"Platform simulator on http://{host}:{platform.port}/ (API below /api)")
    try:
        platform.serve()
    except KeyboardInterrupt:
        click.echo("Stopped.")
    finally:
        platform.stop()
