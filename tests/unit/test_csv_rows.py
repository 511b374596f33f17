"""What the cells of a line say of a fan, and all that can be wrong with them."""

from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.csv_lines import Record
from domain.csv_rows import (
    PROBLEMS,
    RowReader,
    read_moment,
    read_money,
    read_tag_cell,
    read_username,
)
from domain.imports import (
    BadRow,
    Column,
    Encoding,
    FanRow,
    FileFormat,
    MappingSource,
    RowProblem,
)

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
LATEST = NOW + timedelta(days=1)
HEADER = ("login", "Name", "mail", "plan", "LTV", "seen", "labels")
FORMAT = FileFormat(
    encoding=Encoding.UTF_8,
    delimiter=",",
    header=HEADER,
    mapping={column: place for place, column in enumerate(Column)},
    source=MappingSource.GUESSED,
)


def read(*cells: str) -> FanRow | BadRow:
    return RowReader(FORMAT, NOW).read(Record(2, list(cells)))


def read_one(place: int, cell: str) -> FanRow | BadRow:
    cells = ["jane", *[""] * 6]
    cells[place] = cell
    return read(*cells)


def code(row: FanRow | BadRow) -> str:
    assert isinstance(row, BadRow)
    return row.problems[0].code


def test_a_whole_line_says_everything():
    cells = ("@Jane", " Jane Doe ", "j@example.com", "VIP", "$1,234.56", "2025-03-04", "A; b|a")

    assert read(*cells) == FanRow(
        line=2,
        handle="@Jane",
        name="Jane Doe",
        email="j@example.com",
        subscription_tier="VIP",
        value_cents=123_456,
        last_seen_at=datetime(2025, 3, 4, tzinfo=UTC),
        tags=("a", "b"),
        cells=cells,
    )


def test_blank_cells_say_nothing():
    assert read("jane", "", " ", "\t", "  ", " ", " ") == FanRow(
        line=2, handle="@jane", cells=("jane", "", " ", "\t", "  ", " ", " ")
    )


def test_a_line_tells_all_its_problems_with_the_columns_of_the_file():
    long = "x" * 300
    row = read(" ", "a\nb", "nobody", long, "-5", "01/02/2025", "t" * 51)

    assert isinstance(row, BadRow)
    assert row.problems == (
        RowProblem("username_blank", PROBLEMS["username_blank"], "login", " "),
        RowProblem("name_invalid", PROBLEMS["name_invalid"], "Name", "a\nb"),
        RowProblem("email_invalid", "Invalid email format", "mail", "nobody"),
        RowProblem("tier_invalid", PROBLEMS["tier_invalid"], "plan", "x" * 100),
        RowProblem("money_negative", PROBLEMS["money_negative"], "LTV", "-5"),
        RowProblem("date_ambiguous", PROBLEMS["date_ambiguous"], "seen", "01/02/2025"),
        RowProblem("tag_invalid", PROBLEMS["tag_invalid"], "labels", "t" * 51),
    )
    assert row.cells[3] == long


def test_columns_that_are_not_there_say_nothing():
    only = FileFormat(Encoding.UTF_8, ",", ("a", "b"), {Column.USERNAME: 1}, MappingSource.GIVEN)

    assert RowReader(only, NOW).read(Record(3, ["x@", "jane"])) == FanRow(
        line=3, handle="@jane", cells=("x@", "jane")
    )


@pytest.mark.parametrize(
    ("cells", "problem"),
    [
        (["jane", *[""] * 5], "too_few_cells"),
        (["jane", *[""] * 6, "x"], "too_many_cells"),
        (list(HEADER), "header_again"),
        ([f" {name} " for name in HEADER], "header_again"),
    ],
)
def test_a_line_of_the_wrong_form_is_refused_with_its_cells(cells, problem):
    row = read(*cells)

    assert row == BadRow(2, (RowProblem(problem, PROBLEMS[problem]),), tuple(cells))


def test_a_record_that_was_refused_stays_refused():
    row = RowReader(FORMAT, NOW).read(Record(7, ["jane", '"x'], "unclosed_quote"))

    assert row == BadRow(
        7, (RowProblem("unclosed_quote", PROBLEMS["unclosed_quote"]),), ("jane", '"x')
    )


def test_blank_cells_after_the_last_column_are_dropped():
    assert read("jane", *[""] * 6, "", " ").cells == ("jane", *[""] * 6)


def test_a_fan_may_be_called_as_the_column_is():
    assert read("login", *[""] * 6).handle == "@login"


@pytest.mark.parametrize("guarded", ["=1+1", "+1", "-1", "@a", "\ta", "\ra"])
def test_the_apostrophe_of_our_own_files_is_removed(guarded):
    row = read_one(1, f"'{guarded}")

    assert row.name == guarded.strip()


def test_another_apostrophe_stays():
    assert read_one(1, "'t Hooft").name == "'t Hooft"
    assert read_one(1, "'").name == "'"
    assert read_one(1, "''=1").name == "''=1"


def test_a_guarded_cell_is_read_as_what_it_guards():
    assert read_one(0, "'@jane").handle == "@jane"
    assert code(read_one(4, "'-5")) == "money_negative"


@pytest.mark.parametrize("cell", ["jane", "@jane", " @@jane ", "@ jane"])
def test_a_username_has_one_at_sign(cell):
    assert read_username(cell) == "@jane"


@pytest.mark.parametrize("cell", ["😀", "josé", "jose\u0301", "ليلى", "a.b-c_d", "x" * 99])
def test_a_username_may_be_any_word(cell):
    assert read_username(cell).startswith("@")


@pytest.mark.parametrize(
    ("cell", "problem"),
    [
        *(("", "username_blank"), ("  ", "username_blank"), ("@@ ", "username_blank")),
        *(("\u00a0@", "username_blank"), ("a b", "username_invalid"), ("a\tb", "username_invalid")),
        *(("a\x07", "username_invalid"), ("x" * 100, "username_invalid")),
        *(("a\u200b", "username_invalid"), ("\u202ea", "username_invalid")),
    ],
)
def test_a_bad_username_is_refused(cell, problem):
    assert code(read_one(0, cell)) == problem


def test_texts_are_read_up_to_their_limits():
    assert read_one(1, "n" * 255).name == "n" * 255
    assert read_one(3, "t" * 100).subscription_tier == "t" * 100
    assert code(read_one(1, "n" * 256)) == "name_invalid"
    assert code(read_one(3, "t" * 101)) == "tier_invalid"


@pytest.mark.parametrize(
    ("cell", "cents"),
    [
        *((" ", None), ("0", 0), ("5", 500), ("5.1", 510), ("5.12", 512), (".5", 50)),
        *(("12.344", 1234), ("12.345", 1235), ("12.3449999", 1234), ("0.005", 1), ("9.999", 1000)),
        *(("$1,234.56", 123_456), ("1,234,567", 123_456_700), ("$ 7", 700), ("7$", 700)),
        *(("USD 7", 700), ("usd7", 700), ("7.00 USD", 700), ("0007", 700), ("-0.00", 0)),
        *(("1000000000", 10**11), ("1,000,000,000.00", 10**11), ("1000000000.004", 10**11)),
        ("1." + "1" * 5000, 111),
        ("0" * 5000 + "1", 100),
    ],
)
def test_amounts_are_dollars_to_the_cent(cell, cents):
    assert read_money(cell) == cents


@given(st.decimals(0, 10**9, places=5))
def test_an_amount_is_rounded_as_in_school(amount):
    cents = (amount * 100).quantize(Decimal(1), ROUND_HALF_UP)

    assert read_money(f"{amount:f}") == read_money(f"${amount:,f}") == int(cents)


@pytest.mark.parametrize(
    ("cell", "problem"),
    [
        *((cell, "money_negative") for cell in ["-5", "$-5", "-$5", "5-", "(5)", "($1,000)"]),
        *((cell, "money_negative") for cell in ["\u22125", "USD -5", "-0.01", "-" + "9" * 50]),
        *((cell, "money_currency") for cell in ["€5", "5 €", "5 EUR", "EUR 5", "£1,000.50"]),
        *((cell, "money_currency") for cell in ["1.234,56 €", "-5 €", "¥500", "5 chf"]),
        *((cell, "money_invalid") for cell in ["-", "$", "()", "abc", "1e9", "1,50", "1.234,56"]),
        *((cell, "money_invalid") for cell in ["12,34,567", ",5", "1,2345", "$$5", "$5 USD"]),
        *((cell, "money_invalid") for cell in ["1 000", "5.", ".", "NaN", "inf", "0x1", "1_0"]),
        *((cell, "money_invalid") for cell in ["٣", "--5", "-5-", "+5", "5%", "=1+1", "1.2.3"]),
        *((cell, "money_too_large") for cell in ["1000000000.01", "1000000000.005"]),
        *((cell, "money_too_large") for cell in ["9" * 9_000, "$10,000,000,000"]),
    ],
)
def test_a_bad_amount_is_refused(cell, problem):
    assert code(read_one(4, cell)) == problem


@given(st.text(max_size=30) | st.text("0123456789.,-$€() USDe'", max_size=12))
def test_any_text_is_an_amount_or_refused(text):
    row = read_one(4, text)

    if isinstance(row, BadRow):
        assert code(row).startswith("money_")
    elif row.value_cents is not None:
        assert 0 <= row.value_cents <= 10**11


@pytest.mark.parametrize(
    ("cell", "moment"),
    [
        ("2025-03-04", datetime(2025, 3, 4, tzinfo=UTC)),
        (" 2025-03-04T10:20 ", datetime(2025, 3, 4, 10, 20, tzinfo=UTC)),
        ("2025-03-04 10:20:30", datetime(2025, 3, 4, 10, 20, 30, tzinfo=UTC)),
        ("2025-03-04T10:20:30Z", datetime(2025, 3, 4, 10, 20, 30, tzinfo=UTC)),
        ("2025-03-04T10:20:30+02:00", datetime(2025, 3, 4, 8, 20, 30, tzinfo=UTC)),
        ("2025-03-04T10:20:30-0230", datetime(2025, 3, 4, 12, 50, 30, tzinfo=UTC)),
        ("2025-03-04T10:20:30.5Z", datetime(2025, 3, 4, 10, 20, 30, 500_000, tzinfo=UTC)),
        ("1970-01-01", datetime(1970, 1, 1, tzinfo=UTC)),
        ("2026-11-26T12:00:00Z", LATEST),
        (" ", None),
    ],
)
def test_moments_are_iso_and_in_utc(cell, moment):
    found = read_moment(cell, LATEST)

    assert found == moment
    assert found is None or found.tzinfo is UTC


@pytest.mark.parametrize(
    ("cell", "problem"),
    [
        *((cell, "date_invalid") for cell in ["2025-02-30", "2025-13-01", "0000-01-01", "now"]),
        *((cell, "date_invalid") for cell in ["20250304", "2025-W01-1", "2025-03-04T25:00"]),
        *((cell, "date_invalid") for cell in ["31/12/2025", "12.31.25", "2025-03-04T10", "٢٠٢٥"]),
        *((cell, "date_ambiguous") for cell in ["01/02/2025", "1.2.25", "01-02-2025 10:00"]),
        *((cell, "date_out_of_range") for cell in ["1969-12-31", "2026-11-26T12:00:01Z"]),
        *((cell, "date_out_of_range") for cell in ["0001-01-01T00:00+14:00", "9999-12-31"]),
        *((cell, "date_out_of_range") for cell in ["9999-12-31T23:59:59-14:00"]),
        ("1970-01-01T00:00:00+01:00", "date_out_of_range"),
    ],
)
def test_a_bad_moment_is_refused(cell, problem):
    assert code(read_one(5, cell)) == problem


@given(st.text(max_size=30) | st.text("0123456789-:TZ+/. ", max_size=26))
def test_any_text_is_a_moment_or_refused(text):
    row = read_one(5, text)

    assert isinstance(row, FanRow) or code(row).startswith("date_")


@pytest.mark.parametrize(
    ("cell", "tags"),
    [("", ()), (" , ;|", ()), ("VIP", ("vip",)), ("a,b;c|d", ("a", "b", "c", "d"))],
)
def test_tags_are_parted_by_three_signs(cell, tags):
    assert read_tag_cell(cell) == tags


def test_fifty_tags_are_read_and_one_more_is_not():
    cell = ";".join(f"t{n}" for n in range(50))

    assert len(read_one(6, cell).tags) == 50
    assert code(read_one(6, cell + ";x")) == "tag_invalid"


@given(st.lists(st.text(max_size=40), min_size=7, max_size=7))
def test_any_cells_are_a_fan_or_refused(cells):
    row = read(*cells)

    assert row.cells == tuple(cells)
    assert row.line == 2
