"""Tiers: whales, spenders, quiet and new fans, by an owner's thresholds."""

from dataclasses import dataclass
from datetime import datetime

from domain.errors import FieldProblem, Invalid
from domain.fans import VALUE_MAX

DAYS_MAX = 3650


@dataclass(frozen=True)
class TierRules:
    """The first that fits names the tier: value of a whale, value of a spender, not seen (or, if
    never seen, not with us) for `quiet_days`, with us for less than `new_days`."""

    whale_cents: int = 100_000
    spender_cents: int = 10_000
    quiet_days: int = 30
    new_days: int = 14

    def check(self) -> None:
        """Raise Invalid unless the thresholds make sense together."""
        problems = [
            FieldProblem(name, f"use 1 to {most}")
            for name, value, most in (
                ("whaleCents", self.whale_cents, VALUE_MAX),
                ("spenderCents", self.spender_cents, VALUE_MAX),
                ("quietDays", self.quiet_days, DAYS_MAX),
                ("newDays", self.new_days, DAYS_MAX),
            )
            if not 1 <= value <= most
        ]
        if not problems and self.spender_cents > self.whale_cents:
            problems = [FieldProblem("spenderCents", "a spender needs no more than a whale")]
        if problems:
            raise Invalid(*problems)


DEFAULT_RULES = TierRules()


@dataclass(frozen=True)
class RulesInForce:
    """An owner's rules, and whether every fan's stored tier follows them already."""

    rules: TierRules
    is_default: bool
    is_settled: bool
    updated_at: datetime | None
