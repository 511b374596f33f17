"""CSV imports: uploaded, tried, confirmed, followed, mended and taken back."""

import json
import re
from threading import BoundedSemaphore
from typing import Any

from flask import Response, jsonify, request

from api.auth import caller
from api.bodies import UPLOADS, Routes, once, replay_mark
from api.context import now, services
from api.documents import IDEMPOTENT, problems
from api.errors import Refusal, problem
from api.examples import imports as examples
from api.schemas import imports as schemas
from api.schemas.base import PageQuery
from api.uploads import read_upload
from api.views import imports as views
from domain.errors import FieldProblem
from domain.importing import Action
from domain.imports import Import, ImportId, ImportState, read_options
from domain.services.imports import ImportResult
from domain.users import Permission

imports = Routes("imports", __name__, url_prefix=UPLOADS, tag="Imports")

FIELDS = frozenset({"policy", "tags", "mapping", "encoding", "delimiter", "repeat", "dryRun"})
ERRORS_SHOWN = 100
# Requests of this process that wait for a worker; beyond them the answer is 202 at once, so that
# short requests always find a free thread.
WAITING = BoundedSemaphore(4)
WAIT_DEFAULT, WAIT_MAX = 10, 30
SECONDS = re.compile(r"[0-9]{1,6}")
PREFER = {
    "name": "Prefer",
    "in": "header",
    "required": False,
    "schema": {"type": "string", "maxLength": 200},
    "description": "wait=N: answer within N seconds (default 10, at most 30); respond-async: at"
    " once. Not done by then is 202.",
}
TRUE, FALSE = frozenset({"true", "1"}), frozenset({"false", "0", ""})
UPLOAD: dict[str, Any] = {
    "type": "object",
    "required": ["file"],
    "additionalProperties": False,
    "properties": {
        "file": {
            "type": "string",
            "format": "binary",
            "description": "the CSV file",
        },
        "policy": {
            "type": "string",
            "enum": ["skip", "fillBlanks", "overwrite"],
            "description": "for fans who are here already; default fillBlanks",
        },
        "tags": {"type": "string", "description": "for every fan, parted by commas"},
        "mapping": {
            "type": "string",
            "description": 'JSON: column -> its header, as in {"Username": "Login"}',
        },
        "encoding": {"type": "string", "enum": ["utf-8", "utf-16", "windows-1252"]},
        "delimiter": {"type": "string", "enum": ["comma", "semicolon", "tab", "pipe"]},
        "repeat": {"type": "string", "enum": ["true", "false"]},
        "dryRun": {"type": "string", "enum": ["true", "false"]},
    },
}
WAITING_SCHEMA = schemas.Waiting.model_json_schema(by_alias=True)
# Marks the operations that wait for a worker, and the one that takes a file.
WAITS = {"x-prefer": PREFER}
TAKES_FILE = {"x-multipart": {"schema": UPLOAD, "example": examples.UPLOAD}}


def _goes_on(example: dict[str, Any]) -> dict[str, Any]:
    """The documentation of 202."""
    return {
        "description": "It goes on without you: statusUrl tells how",
        "content": {"application/json": {"schema": WAITING_SCHEMA, "example": example}},
    }


@imports.post("")
@imports.input(schemas.UploadQuery, location="query", arg_name="asked")
@imports.output(schemas.ImportView, example=examples.IMPORT, description="Imported")
@imports.doc(
    summary="Import a CSV file of fans",
    description="Bad lines are left out and listed, everything else is imported. 202 when it takes"
    " longer than the request may wait: statusUrl tells how it goes. A file that is no list of fans"
    " is refused as a whole (422, its code says why). 409 same_file for a file that is here"
    " already, unless repeat is true. Files, columns and codes: docs/imports.md.",
    responses={
        202: _goes_on(examples.WAITING),
        **problems(400, 403, 409, 413, 415, 422),
    },
    extensions=IDEMPOTENT | WAITS | TAKES_FILE,
)
def upload(asked: schemas.UploadQuery) -> Response:
    caller().require(Permission.IMPORT)  # Before anything is read.
    limit = services().settings.csv_max_bytes
    with read_upload(request, limit, FIELDS) as (given, fields):
        dry_run = asked.dry_run or _is_true("dryRun", fields.get("dryRun", ""))
        repeat = asked.repeat or _is_true("repeat", fields.get("repeat", ""))
        said = {**fields, "sha256": given.sha256, "dryRun": dry_run, "repeat": repeat}
        result = services().imports.upload(
            caller(),
            given,
            read_options(_options(fields)),
            dry_run=dry_run,
            repeat=repeat,
            once=once(said),
        )
    return _answered(result)


@imports.get("")
@imports.input(schemas.ImportsQuery, location="query", arg_name="asked")
@imports.output(schemas.ImportsReply, example=examples.HISTORY)
@imports.doc(summary="Imports, newest first", responses=problems(403, 422))
def list_imports(asked: schemas.ImportsQuery) -> schemas.ImportsReply:
    state = None if asked.status is None else ImportState(asked.status)
    return views.history(services().imports.page(caller(), asked.limit, asked.cursor, state))


@imports.get("/<int:import_id>")
@imports.output(schemas.ImportView, example=examples.IMPORT)
@imports.doc(
    summary="An import: how far it is, what it did, and its first failed lines",
    responses=problems(403, 404),
)
def read(import_id: int) -> schemas.ImportView:
    return _whole(ImportId(import_id))


@imports.get("/<int:import_id>/errors")
@imports.input(schemas.ErrorsQuery, location="query", arg_name="asked")
@imports.output(schemas.ErrorsReply, example=examples.ERRORS)
@imports.doc(summary="Lines that were not imported, and why", responses=problems(403, 404, 422))
def list_errors(import_id: int, asked: schemas.ErrorsQuery) -> schemas.ErrorsReply:
    page, codes = services().imports.errors(
        caller(), ImportId(import_id), asked.limit, asked.cursor, code=asked.code, q=asked.q
    )
    return schemas.ErrorsReply(
        errors=[views.row_error(row) for row in page.items],
        codes=dict(codes),
        total=page.total,
        total_capped=page.is_capped,
        next_cursor=page.next_cursor,
    )


@imports.get("/<int:import_id>/errors.csv")
@imports.doc(
    summary="Lines that were not imported, as a file to mend and import again",
    responses={
        200: {
            "description": "Their own cells, with the line and the reason",
            "content": {"text/csv": {"schema": {"type": "string"}}},
        },
        **problems(403, 404),
    },
)
def error_file(import_id: int) -> Response:
    one, rows = services().imports.error_rows(caller(), ImportId(import_id))
    return Response(
        views.error_file(one, rows),
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="import-{one.id}-errors.csv"'},
    )


@imports.get("/<int:import_id>/preview")
@imports.input(schemas.PreviewQuery, location="query", arg_name="asked")
@imports.output(schemas.PreviewReply, example=examples.PREVIEW)
@imports.doc(
    summary="What a dry run would do, line by line",
    description="Lines with errors are at errorsUrl.",
    responses=problems(403, 404, 422),
)
def preview(import_id: int, asked: schemas.PreviewQuery) -> schemas.PreviewReply:
    action = None if asked.action is None else Action(asked.action)
    return views.preview(
        services().imports.previews(
            caller(), ImportId(import_id), asked.limit, asked.cursor, action
        )
    )


@imports.get("/<int:import_id>/kept")
@imports.input(PageQuery, location="query", arg_name="page")
@imports.output(schemas.KeptReply, example=examples.KEPT)
@imports.doc(
    summary="Fans that an undo left as they are, and why", responses=problems(403, 404, 422)
)
def list_kept(import_id: int, page: PageQuery) -> schemas.KeptReply:
    return views.kept(
        services().imports.kept(caller(), ImportId(import_id), page.limit, page.cursor)
    )


@imports.post("/<int:import_id>/confirm")
@imports.input(schemas.ConfirmRequest, arg_name="body", example=examples.CONFIRM)
@imports.output(schemas.ImportView, example=examples.IMPORT, description="Imported")
@imports.doc(
    summary="Import the file of a dry run, or of an import that was refused, for good",
    description="Or try it again with other options, with dryRun. The file is kept for 30 days.",
    responses={
        202: _goes_on(examples.WAITING),
        **problems(400, 403, 404, 409, 413, 415, 422),
    },
    extensions=IDEMPOTENT | WAITS,
)
def confirm(import_id: int, body: schemas.ConfirmRequest) -> Response:
    given = body.model_dump(exclude_unset=True, exclude={"dry_run"})
    result = services().imports.confirm(
        caller(), ImportId(import_id), given, dry_run=body.dry_run, once=once()
    )
    return _answered(result)


@imports.post("/<int:import_id>/cancel")
@imports.output(schemas.ImportView, example=examples.IMPORT)
@imports.doc(
    summary="Stop an import",
    description="What was counted stays, and can be undone.",
    responses=problems(400, 403, 404, 409, 422),
    extensions=IDEMPOTENT,
)
def cancel(import_id: int) -> tuple[schemas.ImportView, int, dict[str, str]]:
    result = services().imports.cancel(caller(), ImportId(import_id), once())
    return _whole(result.import_.id), 200, replay_mark(replayed=result.replayed)


@imports.post("/<int:import_id>/undo")
@imports.output(schemas.ImportView, example=examples.IMPORT, description="Undone")
@imports.doc(
    summary="Take an import back",
    description="Within 30 days. Fans that it created are deleted and can be restored, fans that it"
    " changed get their former values; whoever was changed since, or has messages or money by now,"
    " is kept and listed at /kept.",
    responses={
        202: _goes_on(examples.UNDOING),
        **problems(400, 403, 404, 409, 422),
    },
    extensions=IDEMPOTENT | WAITS,
)
def undo(import_id: int) -> Response:
    return _answered(services().imports.undo(caller(), ImportId(import_id), now(), once()))


@imports.get("/mappings")
@imports.output(schemas.MappingsReply, example=examples.MAPPINGS)
@imports.doc(
    summary="The columns that were given for files with the same headers", responses=problems(403)
)
def list_mappings() -> schemas.MappingsReply:
    found = services().imports.mappings(caller())
    return schemas.MappingsReply(mappings=[views.mapping(one) for one in found])


@imports.delete("/mappings/<int:mapping_id>")
@imports.output({}, 204)
@imports.doc(summary="Guess the columns of such files again", responses=problems(403, 404))
def forget_mapping(mapping_id: int) -> Response:
    services().imports.forget_mapping(caller(), mapping_id)
    return Response(status=204)


# Waiting


def _answered(result: ImportResult) -> Response:
    """The end of an import if it comes while the request may wait, else where to look."""
    one, applied = _awaited(result.import_)
    response = _told(one)
    response.headers.update(replay_mark(replayed=result.replayed))
    if applied:
        response.headers["Preference-Applied"] = applied
    return response


def _told(one: Import) -> Response:
    if one.is_at_work:
        headers = {"Location": views.status_url(one), "Retry-After": "1"}
        return _json(views.waiting(one), 202, headers)
    if one.state is ImportState.FAILED and one.failure is not None:
        return problem(
            422,
            one.failure.code,
            one.failure.text,
            importId=one.id,
            statusUrl=views.status_url(one),
        )
    return _json(_whole(one.id), 200, {})


def _awaited(one: Import) -> tuple[Import, str | None]:
    """The import after a wait, and the preference that was applied."""
    preferred = _preferences(request.headers.get("Prefer", ""))
    if "respond-async" in preferred:
        return one, "respond-async"
    asked = preferred.get("wait", "")
    seconds = min(int(asked), WAIT_MAX) if SECONDS.fullmatch(asked) else WAIT_DEFAULT
    applied = f"wait={seconds}" if SECONDS.fullmatch(asked) else None
    if not WAITING.acquire(blocking=False):
        return one, None
    try:
        return services().imports.wait(caller(), one.id, seconds), applied
    finally:
        WAITING.release()


def _preferences(header: str) -> dict[str, str]:
    """Name -> value of each preference, without its parameters; of two the first (RFC 7240)."""
    found: dict[str, str] = {}
    for preference in header.split(","):
        name, _, value = preference.split(";", 1)[0].partition("=")
        found.setdefault(name.strip().lower(), value.strip().strip('"'))
    return found


def _whole(import_id: ImportId) -> schemas.ImportView:
    return views.whole(services().imports.report(caller(), import_id, ERRORS_SHOWN))


def _json(
    body: schemas.ImportView | schemas.Waiting, status: int, headers: dict[str, str]
) -> Response:
    response = jsonify(body.model_dump(mode="json", by_alias=True))
    response.status_code = status
    response.headers.update(headers)
    return response


# Fields of a multipart body, where all is text


def _options(fields: Any) -> dict[str, Any]:
    options = {name: value for name, value in fields.items() if value.strip()}
    if "tags" in options:
        options["tags"] = [one for one in options["tags"].split(",") if one.strip()]
    if "mapping" in options:
        try:
            options["mapping"] = json.loads(options["mapping"])
        except (ValueError, RecursionError):
            raise _invalid("mapping", 'use JSON such as {"Username": "Login"}') from None
    return options


def _is_true(name: str, text: str) -> bool:
    word = text.strip().lower()
    if word not in TRUE | FALSE:
        raise _invalid(name, "use true or false")
    return word in TRUE


def _invalid(name: str, message: str) -> Refusal:
    return Refusal(422, "invalid", "The request is not valid", [FieldProblem(name, message)])
