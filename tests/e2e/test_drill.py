"""A short drill: everything may fail at once, and nothing is lost, doubled, too fast or stuck."""

from pathlib import Path

import pytest
from drill.run import drill

pytestmark = pytest.mark.fault
# One whose minute touches most parts: PostgreSQL, Redis and a sending worker are killed.
SEED = 2578


@pytest.mark.timeout(900)
def test_a_minute_in_which_everything_fails_loses_doubles_and_leaves_nothing(
    tmp_path: Path,
) -> None:
    report = drill(tmp_path, seed=SEED, minutes=1, say=print)

    assert report.verdict.is_good, f"{report.verdict.findings}\n{report.tails}"
