"""From the cells of a record to what it says of a fan, or to all that is wrong with it."""

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NoReturn

from domain.csv_lines import CELL_MAX, RECORD_LINES_MAX, RECORD_MAX, Record
from domain.fans import (
    AHEAD_MAX,
    EARLIEST,
    HANDLE_MAX,
    NAME_MAX,
    SUBSCRIPTION_TIER_MAX,
    TAG_MAX,
    TAGS_MAX,
    VALUE_MAX,
    read_email,
    read_handle,
    read_name,
    read_subscription_tier,
    read_tags,
)
from domain.imports import BadRow, Column, FanRow, FileFormat, RowProblem

VALUE_SHOWN = 100
# Every code that a line can be refused for, with what to change.
PROBLEMS: Mapping[str, str] = {
    "unclosed_quote": "A quote opens in this line and is not closed: close it, or remove it",
    "malformed_quotes": 'A quoted cell goes on after its quote: write a quote in a cell as ""',
    "line_too_long": f"The line is too long: use at most {RECORD_MAX} characters in at most "
    f"{RECORD_LINES_MAX} lines",
    "cell_too_long": f"A cell is too long: use at most {CELL_MAX} characters",
    "nul_character": "The line has a NUL character: remove it, or save the file as CSV again",
    "too_many_cells": "The line has more cells than the header: put a cell that has the delimiter "
    "in it in quotes",
    "too_few_cells": "The line has fewer cells than the header: it may be cut off",
    "header_again": "The line is the header again: remove it",
    "username_blank": "The username is blank: every fan needs one",
    "username_invalid": f"Invalid username: use 1 to {HANDLE_MAX - 1} characters without spaces "
    "or invisible characters, as in johndoe",
    "name_invalid": f"Invalid name: use at most {NAME_MAX} characters in one line",
    "email_invalid": "Invalid email format",
    "tier_invalid": f"Invalid tier: use at most {SUBSCRIPTION_TIER_MAX} characters in one line",
    "money_invalid": "Invalid amount: write dollars as 1234.56 or $1,234.56",
    "money_negative": "The amount is negative: use 0 or more",
    "money_currency": "The amount is in another currency: convert it to US dollars",
    "money_too_large": f"The amount is too large: use at most {VALUE_MAX // 100} dollars",
    "date_invalid": "Invalid date: write it as 2025-01-31 or 2025-01-31T18:30:00Z",
    "date_ambiguous": "The day and the month could be either: write the date as 2025-01-31",
    "date_out_of_range": "The date is before 1970 or in the future: use a time up to now",
    "tag_invalid": f"Invalid tags: use at most {TAGS_MAX} of at most {TAG_MAX} characters, parted "
    "by commas, semicolons or bars",
}

# Our own error files put an apostrophe before these, so that no spreadsheet runs a formula.
GUARDED = tuple("=+-@\t\r")
NUMBER = r"(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)?(?:\.[0-9]+)?"
PLAIN_AMOUNT = re.compile(r"[0-9]{1,9}(?:\.[0-9]{2})?")
AMOUNT = re.compile(rf"(?:\$|USD)?\s*({NUMBER})|({NUMBER})\s*(?:\$|USD)", re.IGNORECASE)
# A number however it is written, beside letters or a sign such as those of currencies.
WITH_UNIT = re.compile(r"([^\W\d_]{1,3}|[^\w\s]|)\s*\d[\d.,'\s]*([^\W\d_]{2,3}|[^\w\s]|)")
DATE = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"(?:[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,9})?)?(?:Z|[+-][0-9]{2}:?[0-9]{2})?)?"
)
DAY_AND_MONTH = re.compile(r"([0-9]{1,2})[/.-]([0-9]{1,2})[/.-](?:[0-9]{4}|[0-9]{2})(?:[T ,].*)?")
TAG_PARTS = re.compile(r"[,;|]")


class _Refused(ValueError):
    """A cell that cannot be read; its text is a code of PROBLEMS."""


def _refuse(code: str) -> NoReturn:
    raise _Refused(code)


def read_username(cell: str) -> str:
    """The handle; raises ValueError with a code of PROBLEMS, as all of these readers do."""
    try:
        handle = read_handle(cell)
    except ValueError:
        _refuse("username_invalid" if cell.strip().strip("@").strip() else "username_blank")
    # Invisible characters would make another fan who looks the same.
    if not handle.isprintable() and any(unicodedata.category(one) == "Cf" for one in handle):
        _refuse("username_invalid")
    return handle


def read_money(cell: str) -> int | None:
    """Cents of an amount in dollars, rounded half-up; blank is None. Digit by digit, so nothing is
    lost to binary fractions, however long they are."""
    text = cell.strip()
    if not text:
        return None
    if PLAIN_AMOUNT.fullmatch(text):
        whole, _, fraction = text.partition(".")
        return _within(int(whole) * 100 + int(fraction or 0))
    negative, text = _unsigned(text)
    found = AMOUNT.fullmatch(text)
    number = (found[1] or found[2]) if found else None
    if not number:
        units = WITH_UNIT.fullmatch(text)
        _refuse("money_currency" if units and _is_currency(*units.groups()) else "money_invalid")
    whole, _, fraction = number.replace(",", "").partition(".")
    whole = whole.lstrip("0")
    if len(whole) > len(str(VALUE_MAX)):
        _refuse("money_negative" if negative else "money_too_large")
    cents = int(whole + fraction[:2].ljust(2, "0")) + (fraction[2:3] >= "5")
    if negative and cents:
        _refuse("money_negative")
    return _within(cents)


def _unsigned(text: str) -> tuple[bool, str]:
    """Whether it is negative, as -5, $-5, 5- or (5), and the text without that."""
    text = text.replace("\N{MINUS SIGN}", "-")
    if text[0] == "(" and text[-1] == ")":
        return True, text[1:-1].strip()
    bare = re.sub(r"^(-|(\$|USD)\s*-)|-$", r"\2", text, count=1, flags=re.IGNORECASE)
    return bare != text, bare.strip()


def _is_currency(*units: str) -> bool:
    return any(
        unit and (unit.isalpha() or unicodedata.category(unit[0]) == "Sc")
        for unit in units
        if unit.casefold() not in {"$", "usd"}
    )


def _within(cents: int) -> int:
    if cents > VALUE_MAX:
        _refuse("money_too_large")
    return cents


def read_moment(cell: str, latest: datetime) -> datetime | None:
    """A date or a moment in UTC; without an offset it is UTC. Blank is None."""
    text = cell.strip()
    if not text:
        return None
    if not DATE.fullmatch(text):
        either = DAY_AND_MONTH.fullmatch(text)
        ambiguous = either and int(either[1]) <= 12 and int(either[2]) <= 12
        _refuse("date_ambiguous" if ambiguous else "date_invalid")
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        _refuse("date_invalid")
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    if not EARLIEST <= moment <= latest:
        _refuse("date_out_of_range")
    return moment.astimezone(UTC)


def read_tag_cell(cell: str) -> tuple[str, ...]:
    if not cell.strip():
        return ()
    return read_tags(part for part in TAG_PARTS.split(cell) if part.strip())


# What each column sets, how it is read and the code of a reader of `domain.fans` that refuses.
_TEXTS: Mapping[Column, tuple[str, Callable[[str], Any], str]] = {
    Column.DISPLAY_NAME: ("name", read_name, "name_invalid"),
    Column.EMAIL: ("email", read_email, "email_invalid"),
    Column.SUBSCRIPTION_TIER: ("subscription_tier", read_subscription_tier, "tier_invalid"),
    Column.TAGS: ("tags", read_tag_cell, "tag_invalid"),
}


class RowReader:
    """Reads the records of one file."""

    def __init__(self, file_format: FileFormat, now: datetime) -> None:
        header, mapping = file_format.header, file_format.mapping
        latest = now + AHEAD_MAX
        self._header = header
        self._username = mapping[Column.USERNAME]
        own: Mapping[Column, tuple[str, Callable[[str], Any], str]] = {
            Column.USERNAME: ("handle", read_username, ""),
            Column.TOTAL_SPENT: ("value_cents", read_money, ""),
            Column.LAST_SEEN: ("last_seen_at", lambda cell: read_moment(cell, latest), ""),
        }
        readers = {**own, **_TEXTS}
        self._readers = [
            (mapping[column], *readers[column]) for column in Column if column in mapping
        ]

    def read(self, record: Record) -> FanRow | BadRow:
        """What a record says; a line with anything wrong is refused with all of it."""
        line, cells, problem = record
        width = len(self._header)
        if problem is None and len(cells) != width:
            if len(cells) < width:
                problem = "too_few_cells"
            elif any(map(str.strip, cells[width:])):
                problem = "too_many_cells"
            else:
                cells = cells[:width]
        if problem is None and cells[self._username].strip() == self._header[self._username]:
            again = tuple(map(str.strip, cells)) == self._header
            problem = "header_again" if again else None
        if problem is not None:
            return BadRow(line, (RowProblem(problem, PROBLEMS[problem]),), tuple(cells))
        values: dict[str, Any] = {}
        problems: list[RowProblem] = []
        for place, name, read, code in self._readers:
            cell = cells[place]
            if cell[:1] == "'" and cell[1:].startswith(GUARDED):
                cell = cell[1:]
            if not cell and name != "handle":
                continue
            try:
                values[name] = read(cell)
            except _Refused as refused:
                problems.append(self._problem(str(refused), place, cells))
            except ValueError:
                # A text reader refuses what is blank; here that is no value.
                if cell.strip():
                    problems.append(self._problem(code, place, cells))
        if problems:
            return BadRow(line, tuple(problems), tuple(cells))
        return FanRow(line=line, cells=tuple(cells), **values)

    def _problem(self, code: str, place: int, cells: Sequence[str]) -> RowProblem:
        return RowProblem(code, PROBLEMS[code], self._header[place], cells[place][:VALUE_SHOWN])
