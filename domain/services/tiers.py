"""Tiers: an owner's rules, and every fan's tier following them."""

from domain.repositories import OpenUnitOfWork
from domain.tiers import RulesInForce, TierRules
from domain.users import Caller, Permission

BATCH = 2000
# One pass of the timer: at most so many batches, and no more once this many tiers were written.
BATCHES, WRITTEN = 10, 2000


class TierService:
    """The use cases of tiers."""

    def __init__(self, open_unit_of_work: OpenUnitOfWork) -> None:
        self._open = open_unit_of_work

    def rules(self, caller: Caller) -> RulesInForce:
        """The rules in force."""
        caller.require(Permission.READ)
        with self._open() as work:
            return work.tiers.get(caller.owner_id)

    def set_rules(self, caller: Caller, rules: TierRules) -> RulesInForce:
        """Change the rules; tiers follow in the background. Raises Invalid."""
        caller.require(Permission.MANAGE)
        rules.check()
        with self._open() as work:
            put = work.tiers.put(caller.owner_id, rules)
            work.audit.add(caller, "tier_rules.changed", "tier_rules", caller.owner_id)
            work.commit()
        return put

    def sweep(self) -> int:
        """Bring tiers in line that time or new rules have changed; returns how many. A batch that
        was not committed is looked at again."""
        written = 0
        for _ in range(BATCHES):
            with self._open() as work:
                done = work.tiers.next_batch(BATCH)
                work.commit()
            if done is None:
                break
            written += done[1]
            if written >= WRITTEN:
                break
        return written
