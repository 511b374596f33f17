"""Files of fans: tried first, their columns named, then imported, and taken back."""

import hashlib
from typing import Any

from flask import Response, request

from api.auth import caller
from api.bodies import PAGE_UPLOADS
from api.context import now, services
from api.pages.connect import place
from api.pages.routes import (
    Form,
    Pages,
    back,
    form,
    form_once,
    is_htmx,
    live,
    page,
)
from api.uploads import too_large
from domain.errors import Conflict, Invalid
from domain.importing import Action
from domain.imports import Column, Import, ImportId, ImportState, read_options
from domain.paging import Page
from domain.services.imports import Upload
from domain.users import Permission

importing = Pages("importing")

ROWS = 50
ERRORS, KEPT, ALL = "errors", "kept", "all"
OPTIONS = ("policy", "tags", "encoding", "delimiter")
DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "pipe"}


@importing.teardown_request
def close_files(_: BaseException | None) -> None:
    """Whatever became of the request, its uploaded file leaves the disk now."""
    request.close()


@importing.post(PAGE_UPLOADS)
def upload() -> Response:
    """Store the file and try it: nothing of it is written before somebody confirms."""
    caller().require(Permission.IMPORT)
    typed = Form({"policy": request.form.get("policy", ""), "file": ""})
    given, limit = request.files.get("file"), services().settings.csv_max_bytes
    if given is None or not given.filename:
        return place(422, file=Form(typed.values, {"file": "choose a CSV file"}))
    digest, size = hashlib.sha256(), 0
    while piece := given.stream.read(64 * 1024):
        digest.update(piece)
        size += len(piece)
    if size > limit:
        return place(413, file=Form(typed.values, {"file": too_large(limit).error}))
    given.stream.seek(0)
    file = Upload(given.stream, given.filename, size, digest.hexdigest())  # type: ignore[arg-type]  # werkzeug says IO
    try:
        options = read_options({"policy": typed.values["policy"] or None})
        made = services().imports.upload(
            caller(), file, options, dry_run=True, once=form_once(digest.hexdigest())
        )
    except Invalid as refusal:
        return place(422, file=typed.refused(refusal))
    return back(f"{PAGE_UPLOADS}/{made.import_.id}")


@importing.get(f"{PAGE_UPLOADS}/<int:import_id>")
def show(import_id: int) -> Response:
    """The import; a script asks for the next lines only."""
    values = _import(import_id)
    if is_htmx() and request.args.get("cursor"):
        return page("connect/rows.html", **values)
    return page("connect/import.html", **values)


@importing.get(f"{PAGE_UPLOADS}/<int:import_id>/part")
def part(import_id: int) -> Response:
    """What changes by itself while it is at work."""
    return live("connect/live.html", **_import(import_id))


@importing.post(f"{PAGE_UPLOADS}/<int:import_id>/<any(confirm, cancel, undo):deed>")
def do(import_id: int, deed: str) -> Response:
    imports, one = services().imports, ImportId(import_id)
    if deed == "confirm":
        imports.confirm(caller(), one, {}, once=form_once())
    elif deed == "cancel":
        imports.cancel(caller(), one, form_once())
    else:
        imports.undo(caller(), one, now(), form_once())
    return back(f"{PAGE_UPLOADS}/{import_id}")


@importing.post(f"{PAGE_UPLOADS}/<int:import_id>/again")
def try_again(import_id: int) -> Response:
    """Try the file once more with other columns and options; still nothing of it is written."""
    typed = form(*OPTIONS, *(f"column-{column.value}" for column in Column))
    mapping = {column.value: typed.values[f"column-{column.value}"] or None for column in Column}
    options = {name: typed.values[name] or None for name in OPTIONS}
    options["tags"] = [one.strip() for one in typed.values["tags"].split(",") if one.strip()]
    # Where no header was seen, only how the file is read can be said.
    options["mapping"] = mapping if any(mapping.values()) or _has_header(import_id) else None
    try:
        services().imports.confirm(
            caller(), ImportId(import_id), options, dry_run=True, once=form_once()
        )
    except (Invalid, Conflict) as refusal:
        told = typed.refused(refusal, mapping="column-Username")
        return page("connect/import.html", 422, **(_import(import_id) | {"form": told}))
    return back(f"{PAGE_UPLOADS}/{import_id}")


def _has_header(import_id: int) -> bool:
    return services().imports.get(caller(), ImportId(import_id)).format is not None


def _import(import_id: int) -> dict[str, Any]:
    caller().require(Permission.IMPORT)
    report = services().imports.report(caller(), ImportId(import_id), 1)
    one = report.import_
    shows = _shows(one)
    asked = request.args.get("show", "")
    show = asked if asked in shows else next(iter(shows), ALL)
    lines = _lines(one, show, request.args.get("cursor")) if shows else None
    return {
        "one": one,
        "report": report,
        "shows": shows,
        "show": show,
        "lines": lines,
        "more": f"{PAGE_UPLOADS}/{import_id}?show={show}&cursor={lines.next_cursor}"
        if lines and lines.next_cursor
        else None,
        "form": Form(_settings(one)),
        "columns": list(Column),
    }


def _shows(one: Import) -> dict[str, tuple[str, int]]:
    """The lists of an import, by what the address calls them: name and count. What went wrong
    comes first."""
    if one.is_at_work:
        return {}
    counts, undo = one.counts, one.undo
    if one.state is ImportState.UNDONE:
        left = undo.kept + undo.errored
        return {KEPT: ("Left as they are", left)} if left else {}
    found = {ERRORS: ("Errors only", counts.failed)} if counts.failed else {}
    if one.dry_run and one.state is ImportState.COMPLETED:
        found |= {
            ALL: ("Good lines", counts.total - counts.failed),
            Action.CREATE.value: ("New fans", counts.inserted),
            Action.UPDATE.value: ("Changes", counts.updated),
            Action.SKIP.value: ("Skipped", counts.skipped),
        }
    return found


def _lines(one: Import, show: str, cursor: str | None) -> Page[Any]:
    imports = services().imports
    if show == ERRORS:
        return imports.errors(caller(), one.id, ROWS, cursor)[0]
    if show == KEPT:
        return imports.kept(caller(), one.id, ROWS, cursor)
    action = None if show == ALL else Action(show)
    return imports.previews(caller(), one.id, ROWS, cursor, action)


def _settings(one: Import) -> dict[str, str]:
    """What the form of columns and options begins with: what was said, else what was found."""
    said, found = one.options, one.format
    values = {
        "policy": said.policy.value,
        "tags": ", ".join(said.tags),
        "encoding": said.encoding.value if said.encoding else "",
        "delimiter": DELIMITERS[said.delimiter] if said.delimiter else "",
    }
    for column in Column:
        if said.mapping is not None and column in said.mapping:
            header = said.mapping[column]
        elif found is not None and column in found.mapping:
            header = found.header[found.mapping[column]]
        else:
            header = None
        values[f"column-{column.value}"] = header or ""
    return values
