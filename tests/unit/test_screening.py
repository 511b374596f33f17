"""Banned words are found in every spelling, and nothing else is."""

from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import Invalid
from domain.screening import DEFAULT_WORDS, Screen, check_text, checked_words

SCREEN = Screen(["escort", "meet up", "café", "t-shirt", "私会"])


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("an escort here", ["escort"]),
        ("ESCORT!", ["escort"]),
        ("Escort, escort; ESCORT", ["escort"]),
        ("e.s.c.o.r.t", ["escort"]),
        ("es-cort", ["escort"]),
        ("e s c o r t", ["escort"]),
        ("say e s c o r t now", ["escort"]),
        ("es\u200bcort", ["escort"]),
        ("es\u00adcort", ["escort"]),
        ("e\ufe0fscort", ["escort"]),
        ("éscórt", ["escort"]),
        ("e\u0301scort", ["escort"]),
        ("\uff45\uff53\uff43\uff4f\uff52\uff54", ["escort"]),
        ("\U0001d41e\U0001d42c\U0001d41c\U0001d428\U0001d42b\U0001d42d", ["escort"]),
        ("*escort*", ["escort"]),
        ("_escort_", ["escort"]),
        ("meet up", ["meet up"]),
        ("meet\n\tup", ["meet up"]),
        ("Meet-up?", ["meet up"]),
        ("m-e-e-t u.p", ["meet up"]),
        ("CAFE", ["café"]),
        ("T-Shirt, tshirt", ["t-shirt"]),
        ("我们私会吧", ["私会"]),
        ("escort, meet up", ["escort", "meet up"]),
    ],
)
def test_a_banned_word_is_found(text: str, found: list[str]) -> None:
    assert SCREEN.found(text) == found


@pytest.mark.parametrize(
    "text",
    [
        "",
        "escorts",
        "escorted",
        "anescort",
        "meet him up",
        "meetup",
        "up meet",
        "cafeteria",
        "私 is one, 会 another, 会私 a third",
        "👋🏽 hello",
    ],
)
def test_what_only_looks_like_one_is_not(text: str) -> None:
    assert SCREEN.found(text) == []


def test_a_text_with_banned_words_is_refused_and_names_each() -> None:
    with pytest.raises(Invalid) as refusal:
        check_text("An escort, to meet up", DEFAULT_WORDS)

    assert refusal.value.code == "banned_words"
    assert [(one.field, one.message) for one in refusal.value.problems] == [
        ("content", 'remove "escort"'),
        ("content", 'remove "meet up"'),
    ]
    check_text("A warm hello", DEFAULT_WORDS)
    check_text("An escort", [])


def test_a_list_is_trimmed_sorted_and_without_doubles() -> None:
    assert checked_words(["  pay   pal ", "Escort", "escort", "ÉSCORT", "a"]) == [
        "a",
        "Escort",
        "pay pal",
    ]


@pytest.mark.parametrize(
    ("words", "field", "message"),
    [
        (["a"] * 501, "words", "use at most 500 words"),
        (["good", "x" * 51], "words.1", "use at most 50 characters"),
        (["good", " "], "words.1", "use at least one letter or digit"),
        (["$$$"], "words.0", "use at least one letter or digit"),
        (["\u200b"], "words.0", "use at least one letter or digit"),
    ],
)
def test_a_bad_list_is_refused(words: list[str], field: str, message: str) -> None:
    with pytest.raises(Invalid) as refusal:
        checked_words(words)

    assert [(one.field, one.message) for one in refusal.value.problems] == [(field, message)]


def test_the_default_list_is_a_good_one() -> None:
    assert checked_words(DEFAULT_WORDS) == sorted(DEFAULT_WORDS)
    for word in DEFAULT_WORDS:
        assert word in Screen(DEFAULT_WORDS).found(f"so {word.upper()}, yes")


def test_the_longest_text_against_the_longest_list_takes_no_time() -> None:
    words = ["a b " * 12 + f"{number}" for number in range(400)]
    words += ["a " * length + "c" for length in range(1, 24)]
    screen = Screen(words)

    started = process_time()
    for text in (
        "a b " * 1250,
        "a" * 5000,
        "a." * 2500,
        "\u0301" * 5000,
        "\ufdfa" * 5000,
        "私" * 5000,
    ):
        screen.found(text)

    assert process_time() - started < 2


@given(st.text(), st.lists(st.text(max_size=50), max_size=20))
def test_no_text_breaks_it(text: str, words: list[str]) -> None:
    assert set(Screen(words).found(text)) <= set(words)
