"""docs/cost.md adds up, and stays below the product owner's limits."""

import re
from pathlib import Path

import pytest

TEXT = (Path(__file__).parents[2] / "docs" / "cost.md").read_text()
LIMITS = {"Nothing sent": 90.0, "10,000 messages a day": 110.0, "1,000,000 messages a day": None}


def tables() -> dict[str, list[list[str]]]:
    found = {}
    for part in TEXT.split("\n## ")[1:]:
        rows = [
            [cell.strip(" *") for cell in line.strip("|").split("|")]
            for line in part.splitlines()
            if line.startswith("|")
        ]
        if rows and rows[0][-1] == "a month":
            found[part.split(", `")[0]] = rows[2:]
    return found


@pytest.mark.parametrize("name", LIMITS)
def test_each_line_and_each_total_adds_up_within_its_limit(name: str) -> None:
    *lines, last = tables()[name]
    limit = LIMITS[name]

    for line in lines:
        quantity, price, amount = (float(cell) for cell in line[1:])
        assert abs(quantity * price - amount) <= 0.0051, line
    total = round(sum(float(line[3]) for line in lines), 2)
    assert float(last[3]) == total
    assert limit is None or total <= limit


def test_the_second_table_begins_with_the_total_of_the_first() -> None:
    found = tables()

    assert found["10,000 messages a day"][0][3] == found["Nothing sent"][-1][3]


def test_a_message_is_charged_at_least_what_the_bench_counted() -> None:
    measured = (Path(__file__).parents[2] / "docs" / "performance.md").read_text()
    counted = re.search(
        r"SQS requests per message, 100 wait / 10,000 wait \| ([\d.]+) / ([\d.]+)", measured
    )
    assert counted
    assert max(float(one) for one in counted.groups()) <= 6
    assert "304,000 messages x 6" in TEXT
