"""`huntaze audit`: proof from the ledger, and where asked from the platform."""

import sys
from datetime import UTC, datetime, timedelta

import click

from cli.context import services
from domain.services.audit import Audit


@click.command()
@click.option("--hours", default=24.0, show_default=True, help="How far back to look.")
@click.option("--platform", "ask_platform", is_flag=True, help="Also read the platform's chats.")
def audit(hours: float, *, ask_platform: bool) -> None:
    """Prove from the ledger: nothing lost, nothing double, nothing over the limit."""
    since = datetime.now(UTC) - timedelta(hours=hours)
    found = services().audit.audit(since, ask_platform=ask_platform)
    click.echo("\n".join(report(found)))
    sys.exit(0 if found.clean else 1)


def report(found: Audit) -> list[str]:
    """The findings, a line each; the first line is the verdict."""
    early = sum(found.over_limit.values())
    lines = [
        f"{len(found.lost)} lost, {len(found.double)} double, {early} over-limit",
        f"{found.calls} calls in the ledger",
    ]
    if found.promise_error:
        middle, high, most = found.promise_error
        lines.append(
            f"promise error p50 {middle:.3f} s, p95 {high:.3f} s, max {most:.3f} s"
            f" ({found.kept_promises} messages that nothing delayed)"
        )
    lines += [f"delayed, {reason}: {count}" for reason, count in found.delayed.items()]
    lines += [f"lost: {one}" for one in found.lost]
    lines += [f"double: {one}" for one in found.double]
    lines += [f"over-limit on connection {one}: {n}" for one, n in found.over_limit.items()]
    if found.platform:
        lines.append(
            f"platform: {len(found.platform.missing)} missing, {found.platform.surplus} surplus,"
            f" {found.platform.unread_chats} chats not readable"
        )
        lines += [f"missing on the platform: {one}" for one in found.platform.missing]
    return lines
