"""Deeds that an Idempotency-Key makes happen once."""

from collections.abc import Callable

from domain.repositories import Once, OpenUnitOfWork, UnitOfWork
from domain.users import Caller


def run_once(
    open_unit_of_work: OpenUnitOfWork,
    caller: Caller,
    once: Once | None,
    deed: Callable[[UnitOfWork], str],
) -> tuple[str, bool]:
    """Do the deed and keep its answer with the key, in one transaction; or return the answer that
    the key brings back (True). Raises what the deed and the claim of the key raise."""
    with open_unit_of_work() as work:
        if once and (stored := work.idempotency.claim(caller.user_id, once)):
            return stored, True
        answer = deed(work)
        if once:
            work.idempotency.store(caller.user_id, once, answer)
        work.commit()
    return answer, False
