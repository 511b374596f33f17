"""An owner's list of banned words."""

from collections.abc import Sequence
from dataclasses import dataclass

from domain.repositories import OpenUnitOfWork, UnitOfWork
from domain.screening import DEFAULT_WORDS, Screen, check_text, checked_words
from domain.users import Caller, OwnerId, Permission


@dataclass(frozen=True)
class BannedWords:
    """The words; `is_default` until the owner first changes the list."""

    words: Sequence[str]
    is_default: bool


def screen(work: UnitOfWork, owner_id: OwnerId, text: str, field: str = "content") -> None:
    """Raise Invalid naming every banned word of the owner's in the text of that field."""
    check_text(text, _words(work, owner_id), field)


def screen_of(work: UnitOfWork, owner_id: OwnerId) -> Screen:
    """The owner's banned words, ready to look through many texts."""
    return Screen(_words(work, owner_id))


def _words(work: UnitOfWork, owner_id: OwnerId) -> Sequence[str]:
    words = work.banned_words.of(owner_id)
    return DEFAULT_WORDS if words is None else words


class ScreeningService:
    """Reading and changing the list; messages are screened where they are accepted."""

    def __init__(self, open_unit_of_work: OpenUnitOfWork) -> None:
        self._open = open_unit_of_work

    def banned_words(self, caller: Caller) -> BannedWords:
        """The list that the team's messages are screened by."""
        caller.require(Permission.READ)
        with self._open() as work:
            words = work.banned_words.of(caller.owner_id)
        return BannedWords(DEFAULT_WORDS if words is None else words, is_default=words is None)

    def change_banned_words(self, caller: Caller, words: Sequence[str]) -> BannedWords:
        """Put another list in place of this one; raises Invalid naming each bad word."""
        caller.require(Permission.MANAGE)
        checked = checked_words(words)
        with self._open() as work:
            work.banned_words.replace(caller.owner_id, checked)
            work.audit.add(
                caller, "banned_words.changed", "settings", None, {"words": len(checked)}
            )
            work.commit()
        return BannedWords(checked, is_default=False)
