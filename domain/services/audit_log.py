"""Reading the audit log: who did what, newest first."""

from domain.paging import Page
from domain.repositories import AuditLine, OpenUnitOfWork
from domain.users import Caller, Permission


class AuditLogService:
    """The one use case of the audit log; the lines are written where the deeds are done."""

    def __init__(self, open_unit_of_work: OpenUnitOfWork) -> None:
        self._open = open_unit_of_work

    def list_lines(self, caller: Caller, limit: int, cursor: str | None) -> Page[AuditLine]:
        """A page of the owner's lines; raises Invalid for a cursor that is none of ours."""
        caller.require(Permission.AUDIT)
        with self._open() as work:
            return work.audit.page(caller.owner_id, limit, cursor)
