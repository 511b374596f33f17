"""Looking at fans."""

from domain.repositories import FanPage, OpenUnitOfWork
from domain.users import Caller, Permission


class FanService:
    """The use cases of fans."""

    def __init__(self, open_unit_of_work: OpenUnitOfWork) -> None:
        self._open = open_unit_of_work

    def list_fans(self, caller: Caller, limit: int, cursor: str | None) -> FanPage:
        """One page of the caller's fans, newest first; raises Invalid for a foreign cursor."""
        caller.require(Permission.READ)
        with self._open() as work:
            return work.fans.page(caller.owner_id, limit, cursor)
