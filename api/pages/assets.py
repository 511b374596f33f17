"""Files of pages: our own, and htmx out of its package. Their addresses change with their content,
so browsers may keep them for good."""

import hashlib
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from flask import Blueprint, Response, send_file
from werkzeug.exceptions import NotFound

OWN = Path(__file__).parent / "static"
FILES = ("app.css", "app.js", "icon.svg")
LIBRARIES = {"htmx.min.js": ("js_lib_htmx", "static/htmx/htmx.min.js")}
KEPT_SECONDS = 31_536_000

assets = Blueprint("assets", __name__)


@cache
def _files() -> dict[str, Path]:
    """The files by the names in their addresses."""
    found = {name: OWN / name for name in FILES}
    for name, (package, inside) in LIBRARIES.items():
        spec = find_spec(package)
        assert spec is not None
        assert spec.submodule_search_locations is not None
        found[name] = Path(spec.submodule_search_locations[0]) / inside
    return {_named(name, path): path for name, path in found.items()}


def _named(name: str, path: Path) -> str:
    digest = hashlib.blake2b(path.read_bytes(), digest_size=6).hexdigest()
    stem, _, ending = name.rpartition(".")
    return f"{stem}.{digest}.{ending}"


@cache
def asset(name: str) -> str:
    """The address of a file."""
    stem, _, ending = name.rpartition(".")
    for named in _files():
        if named.startswith(f"{stem}.") and named.endswith(f".{ending}"):
            return f"/static/{named}"
    raise KeyError(name)


@assets.get("/static/<name>")
def send(name: str) -> Response:
    path = _files().get(name)
    if path is None:
        raise NotFound
    response = send_file(path, max_age=KEPT_SECONDS, etag=False)
    response.headers["Cache-Control"] = f"public, max-age={KEPT_SECONDS}, immutable"
    return response
