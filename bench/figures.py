"""What a part of the bench hands back, and how it is shown."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Figure:
    """One measured number. `against` is the reference of the same run, in words; `limit` is the
    target, kept when the value is at most it, or with `least` at least it."""

    part: str
    name: str
    value: float
    unit: str = ""
    against: str = ""
    limit: float | None = None
    least: bool = False

    @property
    def met(self) -> bool | None:
        """Whether the target is kept; None without one."""
        if self.limit is None:
            return None
        return self.value >= self.limit if self.least else self.value <= self.limit

    def as_json(self) -> dict[str, object]:
        return {**asdict(self), "met": self.met}


def shown(value: float) -> str:
    """Three significant digits, whole numbers as they are."""
    if value == int(value) or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def table(figures: Sequence[Figure]) -> str:
    """The figures as aligned columns, one line each, a part's name only where it begins."""
    rows = [("part", "figure", "value", "target", "", "measured against")]
    part = ""
    for one in figures:
        target, verdict = "", ""
        if one.limit is not None:
            target = f"{'>=' if one.least else '<='} {shown(one.limit)}"
            verdict = "kept" if one.met else "MISSED"
        rows.append(
            (
                one.part if one.part != part else "",
                one.name,
                f"{shown(one.value)} {one.unit}".strip(),
                target,
                verdict,
                one.against,
            )
        )
        part = one.part
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    return "\n".join([lines[0], "-" * max(map(len, lines)), *lines[1:]])
