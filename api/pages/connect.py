"""Connected accounts, and files of fans: tried first, then imported, and taken back."""

import hashlib
from typing import Any
from uuid import uuid4

from flask import Response, request

from api.auth import caller
from api.bodies import PAGE_UPLOADS
from api.context import now, services
from api.pages.routes import Flash, Form, Pages, back, live, page
from api.uploads import too_large
from domain.connections import ConnectionId
from domain.errors import Invalid
from domain.imports import ImportId, read_options
from domain.repositories import Once
from domain.services.imports import Upload
from domain.users import Permission

connect = Pages("connect")

PLACE = "/platforms/connect/onlyfans"
SHOWN = 50


@connect.teardown_request
def close_files(_: BaseException | None) -> None:
    """Whatever became of the request, its uploaded file leaves the disk now."""
    request.close()


@connect.get(PLACE)
def show() -> Response:
    return _page(Form({"policy": "fillBlanks"}))


@connect.post(PAGE_UPLOADS)
def upload() -> Response:
    """Store the file and try it: nothing of it is written before somebody confirms."""
    caller().require(Permission.IMPORT)
    typed = Form({"policy": request.form.get("policy", ""), "file": ""})
    given, limit = request.files.get("file"), services().settings.csv_max_bytes
    if given is None or not given.filename:
        return _page(Form(typed.values, {"file": "choose a CSV file"}), 422)
    digest, size = hashlib.sha256(), 0
    while piece := given.stream.read(64 * 1024):
        digest.update(piece)
        size += len(piece)
    if size > limit:
        return _page(Form(typed.values, {"file": too_large(limit).error}), 413)
    given.stream.seek(0)
    file = Upload(given.stream, given.filename, size, digest.hexdigest())  # type: ignore[arg-type]  # werkzeug says IO
    try:
        options = read_options({"policy": typed.values["policy"] or None})
        made = services().imports.upload(
            caller(), file, options, dry_run=True, once=_once(digest.hexdigest())
        )
    except Invalid as refusal:
        return _page(typed.refused(refusal), 422)
    return back(f"{PAGE_UPLOADS}/{made.import_.id}")


@connect.get(f"{PAGE_UPLOADS}/<int:import_id>")
def show_import(import_id: int) -> Response:
    return page("connect/import.html", **_import(import_id))


@connect.get(f"{PAGE_UPLOADS}/<int:import_id>/part")
def part(import_id: int) -> Response:
    """What changes by itself while it is at work."""
    return live("connect/live.html", **_import(import_id))


@connect.post(f"{PAGE_UPLOADS}/<int:import_id>/<any(confirm, cancel, undo):deed>")
def do(import_id: int, deed: str) -> Response:
    imports, one = services().imports, ImportId(import_id)
    if deed == "confirm":
        imports.confirm(caller(), one, {}, once=_once())
    elif deed == "cancel":
        imports.cancel(caller(), one, _once())
    else:
        imports.undo(caller(), one, now(), _once())
    return back(f"{PAGE_UPLOADS}/{import_id}")


@connect.post(f"{PLACE}/<int:connection_id>/<any(pause, resume, disconnect):deed>")
def change(connection_id: int, deed: str) -> Response:
    accounts, one = services().connections, ConnectionId(connection_id)
    {"pause": accounts.pause, "resume": accounts.resume, "disconnect": accounts.disconnect}[deed](
        caller(), one
    )
    told = {"pause": "Paused.", "resume": "It sends again.", "disconnect": "Disconnected."}
    return back(PLACE, Flash(told[deed]))


def _once(said: str = "") -> Once | None:
    """A form that comes twice does its deed once."""
    key = request.form.get("once", "")[:64]
    printed = hashlib.sha256(said.encode()).hexdigest()
    return Once(key, f"POST {request.path}", printed) if key else None


def _page(form: Form, code: int = 200) -> Response:
    who = caller()
    may_import = who.may(Permission.IMPORT)
    return page(
        "connect/page.html",
        code,
        form=form,
        lines=services().monitoring.limiter(who, now()),
        imports=services().imports.page(who, SHOWN, None).items if may_import else (),
        once=uuid4(),
        largest=services().settings.csv_max_bytes // 1024 // 1024,
    )


def _import(import_id: int) -> dict[str, Any]:
    caller().require(Permission.IMPORT)
    report = services().imports.report(caller(), ImportId(import_id), SHOWN)
    return {"one": report.import_, "report": report, "once": uuid4()}
