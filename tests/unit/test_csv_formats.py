"""What is found out about a file, how it is read on, and that any bytes may come."""

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from domain import csv_rows
from domain.csv_files import CsvFile, open_csv
from domain.csv_lines import CELL_MAX, CHUNK_BYTES
from domain.imports import (
    DELIMITERS,
    BadRow,
    Column,
    Encoding,
    FanRow,
    MappingSource,
    Options,
    UnreadableFile,
    format_of_record,
)

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)

Saved = Callable[[Sequence[str]], Mapping[Column, str | None] | None]


ID = {Column.USERNAME: "id"}


def nothing_saved(_header: Sequence[str]) -> None:
    return None


def opened(content: bytes | str, saved: Saved = nothing_saved, **options) -> CsvFile:
    data = content.encode() if isinstance(content, str) else content
    return open_csv(io.BytesIO(data), Options(**options), saved)


def rows(content: bytes | str, **options) -> list[FanRow | BadRow]:
    return list(opened(content, **options).rows(NOW))


def failure(content: bytes | str, saved: Saved = nothing_saved, **options) -> tuple[str, str]:
    with pytest.raises(UnreadableFile) as refused:
        opened(content, saved, **options)
    return refused.value.failure.code, refused.value.failure.text


def outcome(read: Sequence[FanRow | BadRow]) -> dict:
    return {
        "good": [row.line for row in read if isinstance(row, FanRow)],
        "bad": {str(row.line): row.problems[0].code for row in read if isinstance(row, BadRow)},
    }


# Encodings


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        ("Username\njosé\n".encode(), Encoding.UTF_8),
        ("\ufeffUsername\njosé\n".encode(), Encoding.UTF_8),
        ("Username\njosé\n".encode("cp1252"), Encoding.WINDOWS_1252),
        ("\ufeffUsername\njosé\n".encode("utf-16-le"), Encoding.UTF_16),
        ("\ufeffUsername\njosé\n".encode("utf-16-be"), Encoding.UTF_16),
        ("Username\njosé\n".encode("utf-16-le"), Encoding.UTF_16),
        ("Username\njosé\n".encode("utf-16-be"), Encoding.UTF_16),
    ],
)
def test_the_encoding_is_found(content, encoding):
    file = opened(content)

    assert file.format.encoding is encoding
    assert file.format.header == ("Username",)
    assert [row.handle for row in file.rows(NOW)] == ["@josé"]


def test_the_encoding_may_be_named():
    assert rows("Username\njosé\n", encoding=Encoding.WINDOWS_1252)[0].handle == "@josÃ©"
    assert rows("Username\njosé\n".encode("utf-16"), encoding=Encoding.UTF_16)[0].handle == "@josé"


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        ("Username\njosé\n".encode("cp1252"), Encoding.UTF_8),
        (b"Username\njos\x81\n", Encoding.WINDOWS_1252),
        (b"Username\njane\n", Encoding.UTF_16),
        ("Username\njane\n".encode("utf-16-le"), Encoding.UTF_8),
        ("\ufeffUsername\njane\n".encode(), Encoding.WINDOWS_1252),
    ],
)
def test_an_encoding_that_the_file_is_not_in_is_refused(content, encoding):
    assert failure(content, encoding=encoding)[0] == "wrong_encoding"


def test_one_byte_far_down_decides_the_encoding():
    content = b"Username,Display Name\n" + b"jane,Jane\n" * 20_000 + b"jose,Jos\xe9\n"

    assert opened(content).format.encoding is Encoding.WINDOWS_1252


# Delimiters


@pytest.mark.parametrize("delimiter", DELIMITERS)
def test_the_delimiter_is_found_despite_others_in_quotes(delimiter):
    text = delimiter.join(["Username", "Notes", "Tags"]) + "\n"
    text += delimiter.join(["jane", '"a,b;c\td|e"', '"a,b;c|d,e;f"']) + "\n"

    file = opened(text)

    assert file.format.delimiter == delimiter
    assert next(file.rows(NOW)).tags == ("a", "b", "c", "d", "e", "f")


def test_a_header_nobody_knows_is_parted_as_its_lines_are():
    saved = {Column.USERNAME: "Fans, all"}
    file = opened("Fans, all;Was\njane;1\nbob;2\n", lambda _: saved)

    assert file.format.delimiter == ";"
    assert file.format.header == ("Fans, all", "Was")


def test_a_header_of_one_column_has_a_comma():
    assert opened("Username\njane\n").format.delimiter == ","


def test_the_delimiter_may_be_named_and_then_outdoes_the_sep_line():
    assert opened("Username;Tags\njane;a,b\n", delimiter=";").format.delimiter == ";"
    assert opened("sep=,\nUsername;Tags\njane;a,b\n", delimiter=";").format.header == (
        "Username",
        "Tags",
    )
    assert failure("Username;Tags\njane;a\n", delimiter=",")[0] == "missing_column"


def test_a_sep_line_outdoes_the_guess_and_counts_as_a_line():
    file = opened("sep=|\r\nUsername,x|Tags\r\n", lambda _: {Column.USERNAME: "Username,x"})

    assert (file.format.delimiter, file.format.header) == ("|", ("Username,x", "Tags"))
    assert [row.line for row in opened("sep=;\nUsername;Tags\njane;a\n").rows(NOW)] == [3]
    assert opened("sep=:\nUsername;Tags\njane;a\n").format.delimiter == ";"


# Columns


def test_a_guess_shows_what_is_used_missing_and_ignored():
    file = opened("Shoe size, LOGIN ,Total_spent\n38,jane,5\n\n39,bob,6\n")

    assert file.format.source is MappingSource.GUESSED
    assert file.format.mapping == {Column.USERNAME: 1, Column.TOTAL_SPENT: 2}
    assert file.format.ignored == ("Shoe size",)
    assert file.format.missing == (
        Column.DISPLAY_NAME,
        Column.EMAIL,
        Column.SUBSCRIPTION_TIER,
        Column.LAST_SEEN,
        Column.TAGS,
    )
    assert file.format.sample == (("38", "jane", "5"), ("39", "bob", "6"))


@pytest.mark.parametrize(
    ("header", "column"),
    [
        ("Pseudo", Column.USERNAME),
        ("NOM D\u2019UTILISATEUR", Column.USERNAME),
        ("Full-Name", Column.DISPLAY_NAME),
        ("E-Mail", Column.EMAIL),
        ("courriel", Column.EMAIL),
        ("Abonnement", Column.SUBSCRIPTION_TIER),
        ("total_depense", Column.TOTAL_SPENT),
        ("ltv", Column.TOTAL_SPENT),
        ("Derniere visite", Column.LAST_SEEN),
        ("Last Online", Column.LAST_SEEN),
        ("Étiquettes", Column.TAGS),
    ],
)
def test_headers_are_known_in_any_case_and_with_or_without_accents(header, column):
    file = opened(f"id,{header}\n", lambda _: None if column is Column.USERNAME else ID)

    assert file.format.mapping.get(column) == 1


def test_what_is_given_outdoes_what_is_saved_and_the_rest_is_guessed():
    text = "Fan,Alias,Email,Plan\njane,Jane,jane@example.com,VIP\n"
    given_columns = {Column.USERNAME: "alias", Column.EMAIL: None}

    file = opened(text, lambda _: {Column.USERNAME: "Fan"}, mapping=given_columns)

    assert file.format.source is MappingSource.GIVEN
    assert file.format.mapping == {Column.USERNAME: 1, Column.SUBSCRIPTION_TIER: 3}


def test_what_is_saved_outdoes_the_guess():
    asked: list[Sequence[str]] = []

    def saved(header: Sequence[str]) -> Mapping[Column, str | None]:
        asked.append(header)
        return {Column.USERNAME: "Alias", Column.DISPLAY_NAME: "Username"}

    file = opened("Username, Alias\njane,j\n", saved)

    assert asked == [("Username", "Alias")]
    assert file.format.source is MappingSource.SAVED
    assert file.format.mapping == {Column.USERNAME: 1, Column.DISPLAY_NAME: 0}


def test_the_own_name_of_a_column_outdoes_another():
    assert opened("Name,Display Name,Fan,Username\n").format.mapping == {
        Column.USERNAME: 3,
        Column.DISPLAY_NAME: 1,
    }


def test_a_file_without_a_header_says_so():
    code, text = failure("jane,jane@example.com\nbob,bob@example.com\n")

    assert code == "missing_column"
    assert "Username" in text
    assert "first line must be the header" in text
    assert "jane, jane@example.com" in text


def test_a_header_that_is_mapped_but_not_there_is_refused_by_name():
    code, text = failure("Username,Email\n", mapping={Column.USERNAME: "Login"})

    assert code == "unknown_header"
    assert "Login" in text
    assert "Username, Email" in text


def test_the_headers_that_are_given_tell_the_delimiter():
    text = "Fans, all;Was, then\njane;1,5\n"

    assert opened(text, mapping={Column.USERNAME: "Fans, all"}).format.delimiter == ";"


def test_columns_that_mean_the_same_are_refused_until_one_is_chosen():
    text = "Username,Plan,Tier\njane,a,b\n"
    code, words = failure(text)

    assert (code, "Plan, Tier" in words) == ("duplicate_column", True)
    chosen = {Column.USERNAME: "Username", Column.SUBSCRIPTION_TIER: "Tier"}
    assert rows(text, mapping=chosen)[0].subscription_tier == "b"


def test_a_mapped_header_that_is_there_twice_is_refused():
    assert failure("a b,A-B\n", mapping={Column.USERNAME: "ab"})[0] == "duplicate_column"
    assert opened("a b,A-B\n", mapping={Column.USERNAME: "A-B"}).format.mapping == {
        Column.USERNAME: 1
    }


def test_a_thousand_columns_are_read_and_one_more_is_not():
    most = ",".join(["Username", *(f"c{n}" for n in range(999))])

    assert len(opened(most).format.header) == 1000
    assert failure(most + ",x")[0] == "too_many_columns"


def test_a_long_refusal_is_cut():
    _, text = failure(",".join(f"{n}{'x' * 60}" for n in range(50)))

    assert text.count("x") <= 410
    assert ", ..." in text


@pytest.mark.parametrize("line", [" " * 70_000, "Username," + "x" * 70_000, 'Username,"x'])
def test_a_header_that_cannot_be_read_is_refused(line):
    assert failure(line + "\njane,x\n")[0] == "header_unreadable"


@pytest.mark.parametrize("start", [b"\x1f\x8b", b"%PDF-1.7", b"GIF89a", b"Rar!", b"\x01\x02\x03"])
def test_other_files_are_told_apart(start):
    code, text = failure(start + b"\nUsername\n")

    assert code == "not_csv"
    assert "save it as CSV" in text


def test_a_control_character_in_the_header_is_no_csv():
    assert failure("Username,E\x07mail\njane,\n")[0] == "not_csv"


def test_the_sample_is_short():
    body = "".join(f"fan{n},{'x' * 300},more\n" for n in range(30))

    sample = opened("Username,Name\n" + body).format.sample

    assert len(sample) == 20
    assert sample[0] == ("fan0", "x" * 200)


# Reading on


def test_a_known_format_is_used_as_it_is():
    text = "Username;Name\njane;Jane\n"
    first = opened(text).format
    known = format_of_record(json.loads(json.dumps(first.record())))

    def refuse(_header: Sequence[str]) -> None:
        raise AssertionError("asked again")

    options = Options(mapping={Column.USERNAME: "Name"}, delimiter=",")
    again = open_csv(io.BytesIO(text.encode()), options, refuse, known=known)

    assert again.format is known
    assert list(again.rows(NOW)) == rows(text)


def test_a_known_format_of_another_encoding_is_refused():
    known = opened("Username\n").format

    with pytest.raises(UnreadableFile) as refused:
        open_csv(io.BytesIO(b"Username\n\xe9\n"), Options(), nothing_saved, known=known)

    assert refused.value.failure.code == "wrong_encoding"


def test_an_empty_file_of_a_known_format_has_no_rows():
    known = opened("Username\n").format

    assert list(open_csv(io.BytesIO(b"\n"), Options(), nothing_saved, known=known).rows(NOW)) == []


def test_how_far_it_was_read_grows_to_the_size_of_the_file():
    content = b"Username\n" + b"jane\n" * 100_000
    file = opened(content)

    assert file.bytes_read == 0
    read = file.rows(NOW)
    next(read)
    assert 0 < file.bytes_read < len(content)
    assert sum(1 for _ in read) == 99_999
    assert file.bytes_read == len(content)


class Piecewise(io.BytesIO):
    """Refuses to hand out more than a piece."""

    def read(self, size: int | None = -1, /) -> bytes:
        assert size is not None
        assert 0 < size <= CHUNK_BYTES
        return super().read(size)


def test_a_file_is_read_in_pieces_however_long_its_lines_are():
    content = b"Username,Name\njane," + b"x" * 5_000_000 + b"\nbob,\n"
    read = list(open_csv(Piecewise(content), Options(), nothing_saved).rows(NOW))

    assert outcome(read) == {"good": [3], "bad": {"2": "line_too_long"}}
    assert sum(map(len, read[0].cells)) <= CELL_MAX + len("jane")


# Whatever comes

HEADERS = [b"Username,Tags\n", b"\xef\xbb\xbfUsername;Email\r\n", b"sep=|\nUsername|x\n", b""]
PIECES = st.sampled_from(
    [
        *(b'"', b'""', b",", b";", b"|", b"\t", b"\n", b"\r", b"\r\n", b"\0", b"a", b"'=", b" "),
        *(b"\xff", b"\xc3\xa9", b"\xe9", b"@", b"-5", b"1/2/2025", b'x","y\n', b"x" * 11_000),
    ]
)
CONTENT = st.one_of(
    st.binary(max_size=400),
    st.builds(lambda head, body: head + b"".join(body), st.sampled_from(HEADERS), st.lists(PIECES)),
    st.text(max_size=200).map(lambda text: text.encode("utf-16", "surrogatepass")),
)


@given(CONTENT)
@example(b"Username\n" + b'"' * 1001)
@example(b"\xff\xfe")
@example(b"\xff\xfe\x00\x00U\x00")
def test_any_bytes_are_refused_as_a_file_or_become_rows(content):
    try:
        file = opened(content)
    except UnreadableFile:
        return

    read = list(file.rows(NOW))

    lines = [row.line for row in read]
    assert lines == sorted(set(lines))
    assert all("\0" not in cell for row in read for cell in row.cells)
    assert all(
        csv_rows.PROBLEMS[p.code] for row in read if isinstance(row, BadRow) for p in row.problems
    )
    for skipped in {0, 1, len(read) // 2, len(read), len(read) + 1}:
        assert list(file.rows(NOW, skip=skipped)) == read[skipped:]


CELLS = st.text(
    st.characters(codec="utf-8", exclude_characters="\0") | st.sampled_from('",;|\t\n\r '),
    max_size=20,
)


@given(
    st.lists(st.tuples(CELLS, CELLS, CELLS), max_size=8),
    st.sampled_from(DELIMITERS),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
)
def test_what_a_writer_wrote_is_read_back(table, delimiter, line_end, codec):
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter, lineterminator=line_end, quoting=csv.QUOTE_ALL)
    writer.writerows([("Username", "A note", "Another"), *table])

    read = rows(text.getvalue().encode(codec))

    said = [cells for cells in table if any(map(str.strip, cells))]
    assert [row.cells for row in read] == said


@given(st.lists(st.sampled_from(["jane,x", ",", "", " , ", "a b,", "jane", "@bob,,,", '"a\nb",'])))
def test_every_line_that_is_not_blank_is_good_or_bad(lines):
    read = rows("\n".join(["Username,Note", *lines]))

    assert len(read) == sum(bool(line.strip(" ,")) for line in lines)
