"""How pages write numbers, and where they may lead."""

from datetime import timedelta

import pytest

from api.pages.filters import DASH, count, duration, lines, money, percent
from api.pages.routes import Form, initials, own_path
from domain.errors import FieldProblem, Invalid


@pytest.mark.parametrize(
    ("cents", "text"),
    [(0, "$0.00"), (None, DASH), (5, "$0.05"), (123_450, "$1,234.50"), (-1, "-$0.01")],
)
def test_money(cents: int | None, text: str) -> None:
    assert money(cents) == text


def test_counts_and_shares() -> None:
    assert [count(12_345), count(0), count(None)] == ["12,345", "0", DASH]
    assert [percent(0.0271), percent(0), percent(None)] == ["2.7 %", "0.0 %", DASH]


@pytest.mark.parametrize(
    ("length", "text"),
    [
        (None, DASH),
        (timedelta(seconds=6), "6 s"),
        (180, "3 min"),
        (timedelta(hours=2, minutes=5), "2 h 5 min"),
        (7200, "2 h"),
        (timedelta(days=3), "3 days"),
    ],
)
def test_durations(length: timedelta | float | None, text: str) -> None:
    assert duration(length) == text


def test_lines_are_the_only_markup_of_a_text() -> None:
    assert lines("<b>\nb & c") == "&lt;b&gt;<br>b &amp; c"


@pytest.mark.parametrize(
    ("name", "letters"),
    [
        ("Jane Doe", "JD"),
        ("jane", "J"),
        ("🌙 Luna ♥", "L"),
        ("", "?"),
        ("🌙", "?"),
        ("a b c", "AB"),
    ],
)
def test_initials(name: str, letters: str) -> None:
    assert initials(name) == letters


@pytest.mark.parametrize("path", ["/", "/fans?q=a%20b#x", "/a//b"])
def test_our_own_paths_stay(path: str) -> None:
    assert own_path(path) == path


@pytest.mark.parametrize(
    "path",
    [
        None,
        "",
        "fans",
        "//evil",
        "/\\evil",
        "/a\\b",
        "https://evil",
        "https:evil",
        "/\n/evil",
        "/a b",
    ],
)
def test_other_paths_lead_to_ours(path: str | None) -> None:
    assert own_path(path, "/ours") == "/ours"


def test_a_refusal_stands_at_its_field() -> None:
    typed = Form({"name": "", "max": "0"})
    refusal = Invalid(FieldProblem("name", "is empty"), FieldProblem("x", "is odd"))
    told = typed.refused(refusal)
    assert dict(told.problems) == {"name": "is empty"}
    assert told.error == "x: is odd"
    assert told.values == typed.values
