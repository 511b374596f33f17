"""Banned words: what no message may say, found whatever its spelling.

Text and words are brought into one form first (NFKC, case folded, without diacritics and zero-width
characters); then whole words are compared, so that the cost is linear in the text.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from domain.errors import FieldProblem, Invalid

WORDS_MAX = 500
WORD_MAX = 50
# A starting point: ways around the platform's payments, meetings, and what card schemes forbid.
# Owners put their own list in its place.
DEFAULT_WORDS = (
    "blood",
    "cash app",
    "cashapp",
    "escort",
    "hypnosis",
    "in person",
    "incest",
    "meet up",
    "meetup",
    "paypal",
    "preteen",
    "rape",
    "underage",
    "venmo",
    "western union",
)

_WORD = re.compile(r"[^\W_]+")
# Scripts written without spaces: each character counts as a word, a word of theirs as a phrase.
_SPACELESS = re.compile(
    "([\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff])"
)
# Fewer spelled-out letters are an abbreviation: "u s" is not "us".
_SPELLED_MIN = 3


class Screen:
    """One list of banned words, ready to look through texts."""

    def __init__(self, words: Iterable[str]) -> None:
        self._forms = {form: word for word in words for form in _forms(word)}
        self._lengths = sorted({form.count(" ") + 1 for form in self._forms})

    def found(self, text: str) -> Sequence[str]:
        """The banned words in a text, each once, in the order of the alphabet."""
        if not self._forms:
            return []
        plain = _plain(text)
        return sorted({self._forms[form] for words in _views(plain) for form in self._hits(words)})

    def _hits(self, words: Sequence[str]) -> Iterator[str]:
        for length in self._lengths:
            for start in range(len(words) - length + 1):
                form = " ".join(words[start : start + length]) if length > 1 else words[start]
                if form in self._forms:
                    yield form


def check_text(text: str, words: Iterable[str], field: str = "content") -> None:
    """Raise Invalid, code `banned_words`, naming every banned word in the text of that field."""
    found = Screen(words).found(text)
    if found:
        raise Invalid(
            *(FieldProblem(field, f'remove "{word}"') for word in found), code="banned_words"
        )


def checked_words(words: Sequence[str]) -> Sequence[str]:
    """An owner's list, trimmed, without doubles, sorted; raises Invalid naming each bad word."""
    if len(words) > WORDS_MAX:
        raise Invalid(FieldProblem("words", f"use at most {WORDS_MAX} words"))
    tidy = [" ".join(unicodedata.normalize("NFC", word).split()) for word in words]
    problems = [
        FieldProblem(f"words.{number}", problem)
        for number, word in enumerate(tidy)
        if (problem := _word_problem(word))
    ]
    if problems:
        raise Invalid(*problems)
    return sorted({_plain(word): word for word in reversed(tidy)}.values(), key=str.casefold)


def _word_problem(word: str) -> str | None:
    if len(word) > WORD_MAX:
        return f"use at most {WORD_MAX} characters"
    if not any(_forms(word)):
        return "use at least one letter or digit"
    return None


def _plain(text: str) -> str:
    if text.isascii():
        return text.casefold()
    folded = unicodedata.normalize("NFKC", text).casefold()
    apart = unicodedata.normalize("NFKD", folded)
    kept = (one for one in apart if unicodedata.category(one) not in {"Mn", "Me", "Cf"})
    return _SPACELESS.sub(r" \1 ", unicodedata.normalize("NFC", "".join(kept)))


def _forms(word: str) -> set[str]:
    """How a banned word reads in each view of a text."""
    plain = _plain(word)
    return {" ".join(words) for words in (_apart(plain), _joined(plain))} - {""}


def _views(plain: str) -> Iterator[list[str]]:
    """Three ways to read a text: `me-et up!` as me, et, up; as meet, up; and `m e e t` as meet."""
    apart = _apart(plain)
    yield apart
    yield _joined(plain)
    yield _spelled(apart)


def _apart(plain: str) -> list[str]:
    return _WORD.findall(plain)


def _joined(plain: str) -> list[str]:
    return [word for part in plain.split() if (word := "".join(_WORD.findall(part)))]


def _spelled(words: Sequence[str]) -> list[str]:
    runs = ((single, list(run)) for single, run in groupby(words, key=lambda one: len(one) == 1))
    return [
        word
        for single, run in runs
        for word in (["".join(run)] if single and len(run) >= _SPELLED_MIN else run)
    ]
