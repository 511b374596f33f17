"""Multipart bodies, cut at every place they can be cut."""

import hashlib
import io

import pytest
from flask import Request
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.test import EnvironBuilder

from api import uploads
from api.errors import Refusal
from api.uploads import read_upload

FIELDS = frozenset({"policy", "tags"})


class Dripping(io.BytesIO):
    """A stream that gives at most so many bytes at a time."""

    def __init__(self, content: bytes, piece: int) -> None:
        super().__init__(content)
        self._piece = piece
        self.taken = 0

    def read(self, size: int | None = -1) -> bytes:
        most = self._piece if size is None or size < 0 else min(size, self._piece)
        got = super().read(most)
        self.taken += len(got)
        return got


def part(name: str, content: bytes, filename: str | None = None) -> bytes:
    named = "" if filename is None else f'; filename="{filename}"'
    head = f'--edge\r\nContent-Disposition: form-data; name="{name}"{named}\r\n\r\n'
    return head.encode() + content + b"\r\n"


def request_of(body: bytes, piece: int = 1 << 16, kind: str | None = None) -> Request:
    builder = EnvironBuilder(method="POST", input_stream=io.BytesIO(b""))
    environ = builder.get_environ()
    environ["CONTENT_TYPE"] = kind or "multipart/form-data; boundary=edge"
    environ["wsgi.input"] = Dripping(body, piece)
    environ["wsgi.input_terminated"] = True
    return Request(environ)


def refused(body: bytes, limit: int = 100, kind: str | None = None) -> Refusal:
    with pytest.raises(Refusal) as found, read_upload(request_of(body, kind=kind), limit, FIELDS):
        pass
    return found.value


@given(
    content=st.binary(max_size=300).map(lambda found: found + b"\r\n--edg"),
    piece=st.integers(1, 40),
    policy=st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=10),
)
def test_wherever_a_body_is_cut_its_parts_come_whole(
    content: bytes, piece: int, policy: str
) -> None:
    body = part("policy", policy.encode()) + part("file", content, "a.csv") + b"--edge--\r\n"

    with read_upload(request_of(body, piece), 400, FIELDS) as (given_, fields):
        assert given_.file.read() == content
        assert (given_.name, given_.size) == ("a.csv", len(content))
        assert given_.sha256 == hashlib.sha256(content).hexdigest()
        assert fields == {"policy": policy}


def test_a_file_is_not_read_further_than_its_limit() -> None:
    body = part("file", b"x" * 10_000_000, "a.csv") + b"--edge--\r\n"
    request = request_of(body)
    with pytest.raises(Refusal) as found, read_upload(request, 100_000, FIELDS):
        pass

    assert (found.value.status, found.value.code) == (413, "file_too_large")
    assert request.environ["wsgi.input"].taken < 100_000 + 2 * uploads.PIECE


def test_a_file_of_exactly_the_limit_is_taken() -> None:
    body = part("file", b"x" * 100, "a.csv") + b"--edge--\r\n"
    with read_upload(request_of(body), 100, FIELDS) as (given_, _):
        assert given_.size == 100
    assert refused(part("file", b"x" * 101, "a.csv") + b"--edge--\r\n").status == 413


@pytest.mark.parametrize("end", [b"", b"--edge", b"\r\n"])
def test_a_body_that_is_cut_off_is_broken(end: bytes) -> None:
    found = refused(part("file", b"x", "a.csv")[:-2] + end)
    assert (found.status, found.code) == (400, "malformed_multipart")


@pytest.mark.parametrize("kind", ["text/csv", "multipart/form-data", "application/json", ""])
def test_other_types_are_not_taken(kind: str) -> None:
    assert refused(b"Username\n", kind=kind or "text/plain").status == 415


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (part("policy", b"skip"), "file"),
        (part("file", b"x"), "file"),
        (part("file", b"x", "") + part("policy", b"skip"), "file"),
        (part("file", b"x", "/"), "file"),
        (part("file", b"x", "a.csv") * 2, "file"),
        (part("other", b"x", "a.csv"), "other"),
        (b"--edge\r\nContent-Disposition: form-data\r\n\r\nx\r\n", "body"),
        (b"".join(part(f"f{number}", b"x") for number in range(50)), "f0"),
        (part("file", b"x", "a.csv") + part("colour", b"red"), "colour"),
        (part("policy", b"a") * 2 + part("file", b"x", "a.csv"), "policy"),
        (part("policy", b"a" * 17_000) + part("file", b"x", "a.csv"), "policy"),
        (part("policy", b"\xff") + part("file", b"x", "a.csv"), "policy"),
        (part("policy", b"a\x00") + part("file", b"x", "a.csv"), "policy"),
    ],
)
def test_parts_that_do_not_belong_there_are_named(body: bytes, field: str) -> None:
    found = refused(body + b"--edge--\r\n")
    assert found.status == 422
    assert [one.field for one in found.problems] == [field]


def test_nothing_is_read_after_a_part_that_does_not_belong_there() -> None:
    request = request_of(part("colour", b"red") + part("file", b"x" * 10_000_000, "a.csv"))
    with pytest.raises(Refusal), read_upload(request, 20_000_000, FIELDS):
        pass

    assert request.environ["wsgi.input"].taken <= 2 * uploads.PIECE


@pytest.mark.parametrize(
    ("given_", "kept"),
    [
        (r"C:\\Users\\ann\\fans.csv", "fans.csv"),  # a backslash is doubled on the wire
        ("../../etc/fans.csv", "fans.csv"),
        ("a\x1b[31mb\x7f\x85\x9b2J.csv", "a[31mb2J.csv"),
        ("  f\u00e4ns \U0001f600.csv ", "f\u00e4ns \U0001f600.csv"),
    ],
)
def test_of_a_name_the_last_part_stays_without_control_characters(given_: str, kept: str) -> None:
    body = part("file", b"x", given_) + b"--edge--\r\n"
    with read_upload(request_of(body), 100, FIELDS) as (found, _):
        assert found.name == kept


@given(st.binary(max_size=200))
def test_whatever_comes_is_read_or_refused(body: bytes) -> None:
    for given_ in (body, b"--edge\r\n" + body, part("file", body, "a.csv") + body):
        try:
            with read_upload(request_of(given_, 7), 1000, FIELDS) as (found, _):
                assert found.size <= 1000
        except Refusal as refusal:
            assert refusal.status in {400, 413, 422}  # noqa: PT017  # both ways are right
