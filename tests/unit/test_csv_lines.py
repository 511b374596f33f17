"""Records out of lines: quotes that close, quotes that do not, and lines without end."""

import io

import pytest

from domain.csv_lines import CELL_MAX, RECORD_LINES_MAX, RECORD_MAX, Record, Records, lines_of


def read(text: str, skip: int = 0) -> list[Record]:
    return list(Records(lines_of(io.BytesIO(text.encode()), "utf-8"), ",").read(skip))


def told(text: str) -> list[tuple[int, str | None]]:
    return [(record.line, record.problem) for record in read(text)]


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("before", [65_533, 65_534, 65_535, 65_536])
def test_a_line_end_at_the_edge_of_a_piece_is_one_line_end(line_end, before):
    text = "x" * (before - 30_000) + line_end + "y" * 29_998 + line_end + "z" + line_end

    assert [line for line, _ in told(text)] == [1, 2, 3]


def test_only_line_feeds_and_carriage_returns_end_a_line():
    text = "a\x0bb\x0cc\x1cd\x85e\u2028f\n"

    assert read(text) == [Record(1, [text[:-1]])]


def test_a_record_counts_from_where_it_begins():
    assert read('a,"b\nc"\n\nd,e\n') == [Record(1, ["a", "b\nc"]), Record(4, ["d", "e"])]


def test_line_breaks_in_quotes_stay_as_they_are():
    assert read('a,"b\r\nc\rd\n"\n')[0].cells == ["a", "b\r\nc\rd\n"]


def test_blanks_before_a_quote_are_passed_over_and_a_quote_in_a_word_is_a_letter():
    assert read('a, "b, c"\n')[0].cells == ["a", "b, c"]
    assert read('a,b "c" d\n')[0].cells == ["a", 'b "c" d']


def test_a_quote_that_stays_open_costs_its_own_line():
    assert told('a,"b\nc,d\ne,f') == [(1, "unclosed_quote"), (2, None), (3, None)]
    assert told('a,"b\nc,"d"\n') == [(1, "unclosed_quote"), (2, None)]


def test_text_after_a_quote_costs_its_own_line():
    record, after = read('a,"b"c\nd,e\n')

    assert record == Record(1, ["a", '"b"c'], "malformed_quotes")
    assert after == Record(2, ["d", "e"])


def test_a_record_ends_within_its_bounds_or_is_refused():
    most = 'a,"' + "\n" * (RECORD_LINES_MAX - 1) + '"\n'
    more = 'a,"' + "x\n" * RECORD_LINES_MAX + '"\n'
    wide = 'a,"' + ("x" * 9_000 + "\n") * 7 + "x" * 3_000 + '"\n'

    assert told(most) == [(1, None)]
    assert told(more)[0] == (1, "unclosed_quote")
    assert told(wide)[0] == (1, "unclosed_quote")


def test_a_line_of_the_longest_kind_is_read_and_one_more_character_is_not():
    cells = ("x" * 999 + ",") * 65
    line = cells + "y" * (RECORD_MAX - len(cells) - 1) + "\n"

    assert told(line) == [(1, None)]
    assert told("y" + line) == [(1, "line_too_long")]


def test_a_cut_line_keeps_no_more_than_is_held():
    record, after = read("a," + "x" * 300_000 + "\nb,c\n")

    assert [len(cell) for cell in record.cells] == [1, CELL_MAX]
    assert after == Record(2, ["b", "c"])


@pytest.mark.parametrize("quote", ["", '"'])
def test_a_cell_of_the_longest_kind_is_read_and_one_more_character_is_not(quote):
    assert told(f"a,{quote}{'x' * CELL_MAX}{quote}\n") == [(1, None)]
    record = read(f"a,{quote}{'x' * (CELL_MAX + 1)}{quote}\n")[0]
    assert (record.problem, len(record.cells[1])) == ("cell_too_long", CELL_MAX)


def test_nul_is_shown_as_something_that_can_be_kept():
    records = read('a\0,b\n"c\0",d\n"e\0\n')

    assert [record.problem for record in records] == [
        "nul_character",
        "nul_character",
        "unclosed_quote",
    ]
    assert [record.cells[0] for record in records] == ["a\ufffd", "c\ufffd", '"e\ufffd']


def test_lines_of_blanks_are_no_records():
    assert told('\n \n,\n , \n"",""\n" ",\n\u00a0,\t\na\n') == [(8, None)]


def test_skipped_records_may_be_of_any_kind():
    text = 'a,b\n,\n"c\nd",e\n"f\n' + "x" * 70_000 + "\ng\n"
    records = read(text)

    assert [record.line for record in records] == [1, 3, 5, 6, 7]
    assert all(read(text, skip) == records[skip:] for skip in range(7))


@pytest.mark.parametrize("line", ['x","y\n', 'x,"y\n', 'x,"""y\n', '"y\n'])
def test_a_file_that_opens_a_quote_in_every_line_is_not_read_over_and_over(line, monkeypatch):
    looks = 0
    split = Records._split

    def counted(self: Records, text: str) -> list[str] | None:
        nonlocal looks
        looks += 1
        return split(self, text)

    monkeypatch.setattr(Records, "_split", counted)

    records = list(Records((line for _ in range(2_000)), ",").read())

    assert [record.problem for record in records] == [records[0].problem] * 2_000
    assert records[0].problem == "unclosed_quote"
    assert looks <= 6 * 2_000


def test_what_a_line_does_to_an_open_quote_is_found_once_for_all_that_ask():
    assert told('a,"b\nx","y\nz"w\n') == [(1, "unclosed_quote"), (2, "unclosed_quote"), (3, None)]
