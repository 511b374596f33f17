"""`huntaze import`: a CSV file of fans, with a progress bar and the same summary as the API's."""

import time
from datetime import UTC, datetime
from pathlib import Path

import click

from cli.context import services
from domain.errors import DomainError, Invalid
from domain.imports import BadRow, Import, ImportState, Options, Policy, read_options
from domain.services.importing import digest
from domain.services.imports import ImportReport, Upload
from domain.users import Caller

ERRORS_SHOWN = 20
LOOK_EVERY = 0.3
STATUS = "GET /api/onlyfans/import/csv/{}"


@click.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--user", "email", required=True, metavar="EMAIL", help="On whose behalf.")
@click.option(
    "--policy",
    type=click.Choice([policy.value for policy in Policy]),
    default=Policy.FILL_BLANKS.value,
    show_default=True,
    help="For fans who are here already.",
)
@click.option("--tag", "tags", multiple=True, help="For every fan of the file; repeat it for more.")
@click.option("--delimiter", help="comma, semicolon, tab or pipe; found out by default.")
@click.option("--encoding", help="utf-8, utf-16 or windows-1252; found out by default.")
@click.option("--dry-run", is_flag=True, help="Change nothing; tell what would happen.")
@click.option("--repeat", is_flag=True, help="Also if the same file is imported already.")
def import_file(  # noqa: PLR0917  # one for each option
    file: Path,
    email: str,
    policy: str,
    tags: tuple[str, ...],
    delimiter: str | None,
    encoding: str | None,
    *,
    dry_run: bool,
    repeat: bool,
) -> None:
    """Import FILE, a CSV file of fans, and wait until it is done."""
    limit = services().settings.csv_max_bytes
    size = file.stat().st_size
    if size > limit:
        raise click.ClickException(f"the file is too large: at most {limit} bytes; split it")
    options = _options(policy=policy, tags=tags, delimiter=delimiter, encoding=encoding)
    try:
        caller = services().users.issue_token(email, datetime.now(UTC)).user.caller()
        with file.open("rb") as opened:
            uploaded = services().imports.upload(
                caller,
                Upload(opened, file.name, size, digest(opened)),
                options,
                dry_run=dry_run,
                repeat=repeat,
            )
        done = _follow(caller, uploaded.import_)
        _tell(services().imports.report(caller, done.id, ERRORS_SHOWN))
    except DomainError as problem:
        raise click.ClickException(problem.message) from None


def _options(**given: object) -> Options:
    """Raises click.UsageError."""
    try:
        return read_options(given)
    except Invalid as problem:
        names = {"tags": "--tag"}
        told = (
            f"{names.get(one.field, f'--{one.field}')}: {one.message}" for one in problem.problems
        )
        raise click.UsageError("; ".join(told)) from None


def _follow(caller: Caller, one: Import) -> Import:
    """The import once it has ended; a bar shows how far the file is read."""
    try:
        with click.progressbar(length=one.file_bytes, label=f"import {one.id}") as bar:
            while one.is_at_work:
                time.sleep(LOOK_EVERY)
                now = services().imports.get(caller, one.id)
                bar.update(now.bytes_done - one.bytes_done)
                one = now
    except KeyboardInterrupt:
        click.echo(f"\nIt goes on without you: {STATUS.format(one.id)}", err=True)
        raise SystemExit(130) from None
    return one


def _tell(report: ImportReport) -> None:
    """What was done, and exit code 1 unless all of it was."""
    one = report.import_
    if one.counts.total or one.failure is None:
        _sum_up(report)
    if one.failure is not None:
        raise click.ClickException(_shown(one.failure.text))
    if one.state is not ImportState.COMPLETED:
        raise click.ClickException(f"the import is {one.state}")


def _sum_up(report: ImportReport) -> None:
    """The summary and the first failed lines."""
    one, counts = report.import_, report.import_.counts
    if one.dry_run:
        click.echo("Nothing was changed. This would happen:")
    for label, count in (
        ("lines", counts.total),
        ("new fans", counts.inserted),
        ("updated", counts.updated),
        ("skipped", counts.skipped),
        ("errors", counts.failed),
    ):
        click.echo(f"{label:>10} {count:>9,}")
    for row in report.errors.items:
        click.echo(f"line {row.line}: {_reason(row)}")
    if more := counts.failed - len(report.errors.items):
        click.echo(f"and {more:,} more: {STATUS.format(one.id)}/errors.csv")


def _reason(row: BadRow) -> str:
    first = row.problems[0]
    if first.column is None:
        return first.text
    return f"{first.text} ({_shown(first.column)}: {_shown(first.value or '')})"


def _shown(text: str) -> str:
    """A text of the file's on one line: a control character would steer the terminal."""
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape").decode() for one in text
    )
