"""`huntaze simulator`: the platform's stand-in, for demonstrations, tests and the bench."""

import os
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
@click.option(
    "--webhook-url",
    default=None,
    help="Where events go, signed with ONLYFANS_WEBHOOK_SECRET; without it nothing is sent.",
)
@click.option("--demo", is_flag=True, help="Know the fans of the demo data's accounts.")
@click.option("--answers", is_flag=True, help="Let fans write back now and then.")
def simulator(
    port: int,
    host: str,
    ledger: Path | None,
    webhook_url: str | None,
    *,
    demo: bool,
    answers: bool,
) -> None:
    """Run a platform that accepts messages, shows them and fails on demand.

    Below /_admin fans write (inbound), tip (tips), buy (purchases), subscribe (subscriptions);
    money comes back (transactions), sessions end (sessions/end), deliveries go wrong (webhooks)
    and calls fail (faults). /files serves media, good and hostile.
    """
    platform = Simulator(
        host,
        port,
        ledger,
        webhook_url=webhook_url,
        # While secrets are changed it is a list, and the first signs.
        webhook_secret=os.environ.get("ONLYFANS_WEBHOOK_SECRET", "").split(",")[0].strip() or None,
        has_demo=demo,
    )
    platform.state.fans_answer = answers
    click.echo(f"Platform simulator on http://{host}:{platform.port}/ (API below /api)")
    try:
        platform.serve()
    except KeyboardInterrupt:
        click.echo("Stopped.")
    finally:
        platform.stop()
