"""Files as people have them, against their documented outcomes; and every rule of a line."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.csv_files import FAILURES, open_csv
from domain.csv_rows import PROBLEMS
from domain.imports import (
    DELIMITERS,
    BadRow,
    Column,
    Encoding,
    FanRow,
    MappingSource,
    Options,
    UnreadableFile,
)

DATA = Path(__file__).resolve().parents[1] / "data" / "imports"
DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "imports.md"
OUTCOMES: dict[str, dict[str, Any]] = json.loads((DATA / "outcomes.json").read_text())
NOW = datetime(2026, 1, 1, tzinfo=UTC)
HEADER = "Username,Display Name,Email,Subscription Tier,Total Spent,Last Seen\n"


def nothing_saved(_header: Sequence[str]) -> None:
    return None


def read(text: str | bytes, options: Options | None = None) -> list[FanRow | BadRow]:
    file = io.BytesIO(text.encode() if isinstance(text, str) else text)
    return list(open_csv(file, options or Options(), nothing_saved).rows(NOW))


def outcome(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        try:
            rows = list(open_csv(file, Options(), nothing_saved).rows(NOW))
        except UnreadableFile as refused:
            return {"failure": refused.failure.code}
    good: Any = [row.line for row in rows if isinstance(row, FanRow)]
    bad = {
        str(row.line): [one.code for one in row.problems] for row in rows if isinstance(row, BadRow)
    }
    return {
        "good": len(good) if len(good) >= 50 else good,
        "bad": {line: codes if len(codes) > 1 else codes[0] for line, codes in bad.items()},
    }


@pytest.mark.parametrize("name", sorted(OUTCOMES))
def test_each_file_comes_to_its_documented_outcome(name: str) -> None:
    assert outcome(DATA / name) == OUTCOMES[name]


def test_every_file_has_an_outcome() -> None:
    assert {path.name for path in DATA.glob("*.csv")} == OUTCOMES.keys()
    assert len(OUTCOMES) >= 40


def test_the_document_names_every_file_and_every_code() -> None:
    text = DOCUMENT.read_text()
    own = {"missing_column", "unknown_header", "duplicate_column", "file_damaged", "internal"}
    codes = FAILURES.keys() | PROBLEMS.keys() | own | {"too_many_tags"}
    missing = [f"`{one}`" for one in (*codes, *OUTCOMES) if f"`{one}`" not in text]
    assert missing == []
    assert [one for one in (*FAILURES.values(), *PROBLEMS.values()) if one not in text] == []


def test_a_line_says_all_that_the_contract_example_does() -> None:
    [row] = read(HEADER + "johndoe,John Doe,john@example.com,Premium,$500.00,2025-11-01\n")
    assert row == FanRow(
        line=2,
        handle="@johndoe",
        name="John Doe",
        email="john@example.com",
        subscription_tier="Premium",
        value_cents=50_000,
        last_seen_at=datetime(2025, 11, 1, tzinfo=UTC),
        cells=("johndoe", "John Doe", "john@example.com", "Premium", "$500.00", "2025-11-01"),
    )


def test_blank_cells_say_nothing() -> None:
    [row] = read(HEADER + "@johndoe,,,,,\n")
    assert row == FanRow(line=2, handle="@johndoe", cells=("@johndoe", "", "", "", "", ""))


def test_a_bad_email_is_told_in_the_words_of_the_contract() -> None:
    [row] = read(HEADER + "johndoe,,john@,,,\n")
    assert isinstance(row, BadRow)
    [problem] = row.problems
    assert (problem.text, problem.code) == ("Invalid email format", "email_invalid")
    assert (problem.column, problem.value) == ("Email", "john@")


class TestColumns:
    def test_are_guessed_from_names_in_any_order_case_and_language(self) -> None:
        file = io.BytesIO(b"e-mail;TOTAL_SPENT;Pseudo;Extra\n")
        found = open_csv(file, Options(), nothing_saved).format
        assert found.mapping == {
            Column.USERNAME: 2,
            Column.EMAIL: 0,
            Column.TOTAL_SPENT: 1,
        }
        assert found.delimiter == ";"
        assert found.ignored == ("Extra",)
        assert Column.TAGS in found.missing
        assert found.source is MappingSource.GUESSED

    def test_are_where_the_user_says(self) -> None:
        options = Options(mapping={Column.USERNAME: "who", Column.EMAIL: None})
        text = "Who,Username,Email\nann,other,bad mail\n"
        [row] = read(text, options)
        assert isinstance(row, FanRow)
        assert (row.handle, row.email) == ("@ann", None)

    def test_are_as_they_were_saved(self) -> None:
        def saved(header: Sequence[str]) -> Mapping[Column, str | None]:
            assert header == ("A", "B")
            return {Column.USERNAME: "B"}

        found = open_csv(io.BytesIO(b"A,B\n"), Options(), saved).format
        assert (found.mapping, found.source) == ({Column.USERNAME: 1}, MappingSource.SAVED)

    def test_that_are_not_there_are_named(self) -> None:
        options = Options(mapping={Column.USERNAME: "Nick"})
        with pytest.raises(UnreadableFile) as refused:
            read("Username\nann\n", options)
        assert refused.value.failure.code == "unknown_header"
        assert "Nick" in refused.value.failure.text


class TestOptions:
    def test_the_delimiter_may_be_given(self) -> None:
        [row] = read(
            "Username|x;Email\na;a@example.com\n",
            Options(delimiter=";", mapping={Column.USERNAME: "Username|x"}),
        )
        assert isinstance(row, FanRow)
        assert row.email == "a@example.com"

    def test_the_encoding_may_be_given(self) -> None:
        text = "Username,Display Name\nann,Zoë\n".encode()
        [row] = read(text, Options(encoding=Encoding.WINDOWS_1252))
        assert isinstance(row, FanRow)
        assert row.name == "ZoÃ«"

    def test_a_file_in_another_encoding_than_given_is_refused(self) -> None:
        with pytest.raises(UnreadableFile) as refused:
            read(b"Username\nZo\xeb\n", Options(encoding=Encoding.UTF_8))
        assert refused.value.failure.code == "wrong_encoding"


@given(st.binary(max_size=400))
def test_whatever_comes_is_read_or_refused(data: bytes) -> None:
    for head in (b"", b"Username,Email\n", b"\xff\xfe"):
        try:
            rows = read(head + data)
        except UnreadableFile:
            continue
        lines = [row.line for row in rows]
        assert lines == sorted(set(lines))


CELLS = st.text(
    st.characters(exclude_categories=["Cs", "Cc", "Cf"], exclude_characters="'\ufeff"), max_size=12
)


@given(
    st.lists(st.tuples(CELLS, CELLS), max_size=8),
    st.sampled_from(DELIMITERS),
    st.sampled_from(["\n", "\r\n", "\r"]),
)
def test_what_a_csv_writer_writes_is_read(
    rows: list[tuple[str, str]], delimiter: str, end: str
) -> None:
    written = io.StringIO(newline="")
    writer = csv.writer(written, delimiter=delimiter, lineterminator=end, quoting=csv.QUOTE_ALL)
    writer.writerows([("Username", "Display Name", "Notes"), *((*row, "x") for row in rows)])

    found = read(written.getvalue())

    assert [row.cells[:2] for row in found] == rows


@given(st.lists(st.sampled_from(["ann,A", 'bob,"B', "c d,", '"e\n,f",x', "", ",", '"g""g",y'])))
def test_what_is_skipped_is_what_is_left_out(lines: list[str]) -> None:
    file = io.BytesIO(("Username,Email\n" + "\n".join(lines) + "\n").encode())
    whole = list(open_csv(file, Options(), nothing_saved).rows(NOW))
    for skip in range(len(whole) + 2):
        again = open_csv(file, Options(), nothing_saved)
        known = open_csv(file, Options(), nothing_saved, known=again.format)
        assert list(known.rows(NOW, skip)) == whole[skip:]
