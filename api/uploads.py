"""Reading an uploaded file: onto disk while it comes in, never into memory, and never further than
its limit."""

import hashlib
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import BinaryIO

from flask import Request
from werkzeug.exceptions import ClientDisconnected
from werkzeug.http import parse_options_header
from werkzeug.sansio.multipart import (
    Data,
    Epilogue,
    Event,
    Field,
    File,
    MultipartDecoder,
    NeedData,
)

from api.errors import Refusal
from domain.errors import FieldProblem
from domain.services.imports import Upload

PIECE = 64 * 1024
FIELD_MAX = 16 * 1024
# Two hyphens and a line break, or a line break alone.
BOUNDARY_END = 4
# Of heads and boundaries, while their end is looked for.
BUFFER_MAX = 1024 * 1024
NOT_IN_NAMES = re.compile(r"[\x00-\x1f\x7f-\x9f]")


@dataclass
class Parts:
    """What was read of a body so far."""

    file: BinaryIO
    limit: int
    allowed: frozenset[str]
    name: str | None = None
    size: int = 0
    digest: "hashlib._Hash" = field(default_factory=hashlib.sha256)
    fields: dict[str, bytes] = field(default_factory=dict)
    current: str | None = None  # the field that is being read; None: the file

    def take(self, event: Event) -> None:
        """Raises Refusal."""
        if isinstance(event, File):
            self._begin_file(event)
        elif isinstance(event, Field):
            self._begin_field(event)
        elif isinstance(event, Data):
            self._add(event.data)

    def _begin_file(self, part: File) -> None:
        if part.name != "file" or self.name is not None:
            raise _invalid(part.name, "send one file, as the part `file`")
        self.name = NOT_IN_NAMES.sub("", re.split(r"[/\\]", part.filename)[-1]).strip()
        if not self.name:
            raise _invalid("file", "the file needs a name")
        self.current = None

    def _begin_field(self, part: Field) -> None:
        if part.name == "file":
            raise _invalid("file", "send it as a file, with a filename")
        if part.name not in self.allowed:
            raise _invalid(part.name, "is not a field of this request")
        if part.name in self.fields:
            raise _invalid(part.name, "is there twice")
        self.current = part.name
        self.fields[part.name] = b""

    def _add(self, piece: bytes) -> None:
        if self.current is not None:
            self.fields[self.current] += piece
            if len(self.fields[self.current]) > FIELD_MAX:
                raise _invalid(self.current, f"use at most {FIELD_MAX} bytes")
            return
        self.size += len(piece)
        if self.size > self.limit:
            raise too_large(self.limit)
        self.digest.update(piece)
        self.file.write(piece)


@contextmanager
def read_upload(
    request: Request, limit: int, fields: frozenset[str]
) -> Iterator[tuple[Upload, Mapping[str, str]]]:
    """The file of a multipart body, on disk for the block, and the other fields, each one of
    `fields`. Raises Refusal: 400 for a broken body, 413 beyond `limit` bytes, 415 for another type,
    422 for parts that do not belong there."""
    with tempfile.TemporaryFile() as file:
        parts = Parts(file, limit, fields)
        for event in _events(request):
            parts.take(event)
        if parts.name is None:
            raise _invalid("file", "is required")
        texts = {name: _text(name, value) for name, value in parts.fields.items()}
        file.seek(0)
        yield Upload(file, parts.name, parts.size, parts.digest.hexdigest()), texts


def _events(request: Request) -> Iterator[Event]:
    kind, options = parse_options_header(request.headers.get("Content-Type"))
    boundary = options.get("boundary", "")
    if kind != "multipart/form-data" or not boundary:
        raise Refusal(
            415, "unsupported_media_type", "Send the file as multipart/form-data, part `file`"
        )
    mark = boundary.encode("latin-1", "replace")
    decoder = MultipartDecoder(mark, max_form_memory_size=BUFFER_MAX)
    try:
        for piece in _pieces(request, mark):
            decoder.receive_data(piece)
            while not isinstance(event := decoder.next_event(), NeedData):
                yield event
                if isinstance(event, Epilogue):
                    return
        decoder.receive_data(None)
        # Raises ValueError unless the last boundary was there.
        while not isinstance(event := decoder.next_event(), Epilogue):
            yield event
    except (ValueError, ClientDisconnected):
        raise Refusal(
            400, "malformed_multipart", "The body cannot be read: it is broken or cut off"
        ) from None


def _pieces(request: Request, boundary: bytes) -> Iterator[bytes]:
    """What comes, never cut within a boundary and its end: there the decoder would take the
    carriage return before it for the file's own."""
    mark, held = b"--" + boundary, b""
    longest = len(b"\r\n") + len(mark) + BOUNDARY_END
    while piece := request.stream.read(PIECE):
        held += piece
        end = len(held) - longest
        place = held.rfind(mark) - len(b"\r\n")
        if place < end < place + longest:
            end = place
        if end > 0:
            yield held[:end]
            held = held[end:]
    if held:
        yield held


def too_large(limit: int) -> Refusal:
    """The refusal of a file beyond the limit."""
    size = f"{limit / 1024 / 1024:g} MB" if limit >= 1024 * 1024 else f"{limit} bytes"
    return Refusal(
        413, "file_too_large", f"The file is too large: at most {size}; split it into several"
    )


def _text(name: str, value: bytes) -> str:
    try:
        text = value.decode()
    except UnicodeDecodeError:
        raise _invalid(name, "use UTF-8") from None
    if "\0" in text:
        raise _invalid(name, "remove the NUL: it is no text")
    return text


def _invalid(name: str | None, message: str) -> Refusal:
    problem = FieldProblem((name or "")[:64] or "body", message)
    return Refusal(422, "invalid", "The request is not valid", [problem])
