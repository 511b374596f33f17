"""`huntaze dev`, which is `make run`: the whole system on this machine, from the checkout."""

import os
import sys
from pathlib import Path

import click

from infra.local.stack import OneRun, Refused, check_settings, planned, run
from infra.settings import SettingsError


@click.command()
@click.option(
    "--procfile",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    default=Path("Procfile"),
    show_default=True,
    help="the processes to run",
)
@click.option("--demo/--no-demo", default=True, show_default=True, help="seed demo data")
def dev(procfile: Path, *, demo: bool) -> None:
    """Run everything here: real services, a simulated platform, and every process.

    State lives in .local/ of the current directory. A service that the environment names
    (DATABASE_URL, REDIS_ENDPOINT, AWS_ENDPOINT_URL, ONLYFANS_API_URL) is used instead of ours.
    """
    root = Path.cwd()
    try:
        check_settings(os.environ)
        with OneRun(root) as lock:
            stack = planned(root, os.environ, procfile, has_demo=demo)
            lock.tell(stack.address)
            code = run(stack)
    except SettingsError as problem:
        print(f"These settings refuse to start:\n{problem}", file=sys.stderr)
        sys.exit(2)
    except Refused as problem:
        print(problem, file=sys.stderr)
        sys.exit(1)
    sys.exit(code)
