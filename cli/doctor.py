"""`huntaze doctor`: what is wrong with each dependency, and the remedy."""

import sys

import click

from cli.context import services, settings
from infra.wiring import Finding


@click.command()
@click.option(
    "--settings", "show_settings", is_flag=True, help="Also show every setting, redacted."
)
def doctor(*, show_settings: bool) -> None:
    """Check every dependency, the clock, the migrations, and a round trip through every queue."""
    if show_settings:
        for name, value in settings().redacted().items():
            click.echo(f"{name}={value}")
    findings = services().doctor.examine()
    for finding in findings:
        click.echo(line(finding))
    sys.exit(0 if all(finding.ok for finding in findings) else 1)


def line(finding: Finding) -> str:
    """One finding for people."""
    mark = "ok  " if finding.ok else "BAD "
    remedy = f"\n     -> {finding.remedy}" if not finding.ok else ""
    return f"{mark} {finding.name}: {finding.text}{remedy}"
