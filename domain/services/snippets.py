"""Snippets: kept by managers, sent by everybody who writes to fans."""

from collections.abc import Mapping
from dataclasses import replace

from domain.campaigns import Exclusion, rendered
from domain.errors import Conflict, NotFound
from domain.fans import FanId
from domain.messages import CONTENT_MAX
from domain.paging import Page
from domain.repositories import Once, OpenUnitOfWork, UnitOfWork
from domain.services.once import run_once
from domain.snippets import SNIPPETS_MAX, Snippet, SnippetDraft, SnippetId
from domain.users import Caller, Permission


class SnippetService:
    """The use cases of snippets."""

    def __init__(self, open_unit_of_work: OpenUnitOfWork) -> None:
        self._open = open_unit_of_work

    def list_snippets(
        self,
        caller: Caller,
        limit: int,
        cursor: str | None,
        *,
        q: str | None = None,
        category: str | None = None,
    ) -> Page[Snippet]:
        """The team's by title; raises Invalid for a cursor that is none of ours."""
        caller.require(Permission.SEND)
        with self._open() as work:
            page = work.snippets.page(
                caller.owner_id, limit, cursor, q=q or None, category=category or None
            )
        return replace(page, items=[_shown(caller, one) for one in page.items])

    def get(self, caller: Caller, snippet_id: SnippetId) -> Snippet:
        """Raises NotFound."""
        caller.require(Permission.SEND)
        with self._open() as work:
            return _shown(caller, _found(work, caller, snippet_id))

    def create(
        self, caller: Caller, draft: SnippetDraft, once: Once | None = None
    ) -> tuple[Snippet, bool]:
        """Add one; True says that an Idempotency-Key brought it back. Raises Invalid, and Conflict
        `shortcut_taken`, `too_many_snippets`."""
        caller.require(Permission.MANAGE)
        draft = draft.checked()

        def deed(work: UnitOfWork) -> str:
            if work.snippets.count(caller.owner_id) >= SNIPPETS_MAX:
                raise Conflict(f"there are {SNIPPETS_MAX} already", code="too_many_snippets")
            made = work.snippets.add(caller.owner_id, draft)
            work.audit.add(caller, "snippet.created", "snippet", made)
            return str(made)

        made, replayed = run_once(self._open, caller, once, deed)
        with self._open() as work:
            return _shown(caller, _found(work, caller, SnippetId(int(made)))), replayed

    def change(
        self, caller: Caller, snippet_id: SnippetId, given: Mapping[str, str | None]
    ) -> Snippet:
        """Only what is given changes. Raises NotFound, Invalid, Conflict `shortcut_taken`."""
        caller.require(Permission.MANAGE)
        with self._open() as work:
            before = _found(work, caller, snippet_id)
            draft = replace(before.draft, **{name: one or "" for name, one in given.items()})
            if not work.snippets.change(caller.owner_id, snippet_id, draft.checked()):
                raise NotFound("no such snippet")
            work.audit.add(
                caller, "snippet.changed", "snippet", snippet_id, {"fields": sorted(given)}
            )
            changed = _found(work, caller, snippet_id)
            work.commit()
        return _shown(caller, changed)

    def remove(self, caller: Caller, snippet_id: SnippetId) -> None:
        """What was sent with it stays counted. Raises NotFound."""
        caller.require(Permission.MANAGE)
        with self._open() as work:
            if not work.snippets.remove(caller.owner_id, snippet_id):
                raise NotFound("no such snippet")
            work.audit.add(caller, "snippet.removed", "snippet", snippet_id)
            work.commit()

    def rendered_for(self, caller: Caller, snippet_id: SnippetId, fan_id: FanId) -> str:
        """The text as this fan would get it; nothing is sent or counted. Raises NotFound, and
        Conflict: `name_missing`, `too_long`."""
        caller.require(Permission.SEND)
        with self._open() as work:
            snippet = _found(work, caller, snippet_id)
            fans = work.campaigns.candidates(caller.owner_id, [fan_id])
        if not fans or fans[0].is_deleted:
            raise NotFound("no such fan", code="fan_not_found")
        text = rendered(snippet.draft.text, fans[0])
        if text is None:
            raise Conflict(f"the fan {Exclusion.NO_NAME}", code="name_missing")
        if len(text) > CONTENT_MAX:
            raise Conflict(str(Exclusion.TOO_LONG), code="too_long")
        return text


def _found(work: UnitOfWork, caller: Caller, snippet_id: SnippetId) -> Snippet:
    found = work.snippets.get(caller.owner_id, snippet_id)
    if found is None:
        raise NotFound("no such snippet")
    return found


def _shown(caller: Caller, one: Snippet) -> Snippet:
    return one if caller.may(Permission.MONEY) else replace(one, earnings_cents=None)
