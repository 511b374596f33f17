"""`make drill`: everything goes wrong for a while, and nothing may be lost, doubled or stuck."""

import argparse
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from drill.run import drill


def main() -> int:
    """1 when anything was found."""
    parser = argparse.ArgumentParser(prog="python -m drill", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10, help="of load and faults")
    parser.add_argument("--seed", type=int, default=None, help="repeats a schedule")
    parser.add_argument("--keep", type=Path, help="a directory that stays, to look into afterwards")
    asked = parser.parse_args()
    seed = int(time.time()) % 100_000 if asked.seed is None else asked.seed
    with tempfile.TemporaryDirectory(prefix="huntaze-drill-") as throwaway:
        directory = asked.keep or Path(throwaway)
        directory.mkdir(parents=True, exist_ok=True)
        report = drill(directory, seed, asked.minutes, say)
    return int(not report.verdict.is_good)


def say(text: str) -> None:
    print(f"{datetime.now(UTC):%H:%M:%S}  {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
