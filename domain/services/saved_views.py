"""Saved views of the inbox, with how many conversations each shows."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from domain.conversations import BUILT_IN, ConversationFilter
from domain.errors import Conflict, FieldProblem, Invalid, NotFound
from domain.repositories import Once, OpenUnitOfWork, SavedView, UnitOfWork
from domain.users import Caller, Permission

# Counts are shown beside names: beyond this nobody reads them as numbers.
COUNT_MAX = 1_000
# Each costs a count whenever the list is shown.
VIEWS_MAX = 20
NAME_MAX = 100


@dataclass(frozen=True)
class Counted:
    """A number of conversations; `is_capped` says that there are more."""

    count: int
    is_capped: bool


@dataclass(frozen=True)
class Views:
    """The built-in views by name, and the owner's own."""

    built_in: Sequence[tuple[str, ConversationFilter, Counted]]
    saved: Sequence[tuple[SavedView, Counted]]


class SavedViewService:
    """The use cases of saved views."""

    def __init__(self, open_unit_of_work: OpenUnitOfWork) -> None:
        self._open = open_unit_of_work

    def list_views(self, caller: Caller, now: datetime) -> Views:
        """Every view with its count."""
        caller.require(Permission.READ)
        with self._open() as work:
            saved = work.saved_views.list_of(caller.owner_id)
            return Views(
                [(name, one, _count(work, caller, one, now)) for name, one in BUILT_IN.items()],
                [(one, _count(work, caller, one.filter, now)) for one in saved],
            )

    def add(
        self,
        caller: Caller,
        name: str,
        asked: ConversationFilter,
        now: datetime,
        once: Once | None = None,
    ) -> tuple[SavedView, Counted, bool]:
        """Save a view; the last part says that an Idempotency-Key brought it back. Raises Invalid,
        and Conflict: `name_taken`, `too_many_views`."""
        caller.require(Permission.EDIT)
        name, asked = _name(name), asked.checked()
        with self._open() as work:
            if once and (stored := work.idempotency.claim(caller.user_id, once)):
                found = work.saved_views.get(caller.owner_id, int(stored))
                if found is None:
                    raise NotFound("the view was removed meanwhile")
                return found, _count(work, caller, found.filter, now), True
            if len(work.saved_views.list_of(caller.owner_id)) >= VIEWS_MAX:
                raise Conflict(f"there are {VIEWS_MAX} views already", code="too_many_views")
            made = work.saved_views.add(caller.owner_id, name, asked)
            counted = _count(work, caller, asked, now)
            work.audit.add(caller, "view.created", "view", made.id)
            if once:
                work.idempotency.store(caller.user_id, once, str(made.id))
            work.commit()
        return made, counted, False

    def change(
        self,
        caller: Caller,
        view_id: int,
        name: str | None,
        asked: ConversationFilter | None,
        now: datetime,
    ) -> tuple[SavedView, Counted]:
        """Change a view's name or filter; raises NotFound, Invalid, and Conflict `name_taken`."""
        caller.require(Permission.EDIT)
        name = None if name is None else _name(name)
        asked = None if asked is None else asked.checked()
        with self._open() as work:
            changed = work.saved_views.change(caller.owner_id, view_id, name, asked)
            if changed is None:
                raise NotFound("no such view")
            counted = _count(work, caller, changed.filter, now)
            given = [field for field, one in (("name", name), ("filter", asked)) if one is not None]
            work.audit.add(caller, "view.changed", "view", view_id, {"fields": given})
            work.commit()
        return changed, counted

    def remove(self, caller: Caller, view_id: int) -> None:
        """Remove a view; raises NotFound."""
        caller.require(Permission.EDIT)
        with self._open() as work:
            if not work.saved_views.remove(caller.owner_id, view_id):
                raise NotFound("no such view")
            work.audit.add(caller, "view.removed", "view", view_id)
            work.commit()


def _count(work: UnitOfWork, caller: Caller, asked: ConversationFilter, now: datetime) -> Counted:
    found = work.conversations.count(caller.owner_id, asked, COUNT_MAX + 1, now)
    return Counted(min(found, COUNT_MAX), found > COUNT_MAX)


def _name(name: str) -> str:
    name = name.strip()
    if not 1 <= len(name) <= NAME_MAX:
        raise Invalid(FieldProblem("name", f"use 1 to {NAME_MAX} characters"))
    return name
