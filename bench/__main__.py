"""`python -m bench [PART ...]`: run the product, measure it, print one table.

Parts share one running system; each can be run alone. The figures are kept in .local/bench.json.
"""

import argparse
import json
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from bench import (
    beside,
    campaigns,
    cost,
    delivery,
    growth,
    hourly,
    imports,
    lists,
    memory,
    pace,
    promises,
    releases,
    requests,
)
from bench.figures import Figure, table
from bench.system import BenchSystem, Scale

# Memory comes last: it means something after load.
PARTS: dict[str, Callable[[BenchSystem, Scale], list[Figure]]] = {
    "click": promises.measure,
    "api": requests.measure,
    "pace": pace.measure,
    "cost": cost.measure,
    "pacer": releases.measure,
    "delivery": delivery.measure,
    "growth": growth.measure,
    "load": hourly.measure,
    "naive": beside.measure,
    "lists": lists.measure,
    "imports": imports.measure,
    "campaigns": campaigns.measure,
    "memory": memory.measure,
}
KEPT = Path(".local/bench.json")


def main() -> int:
    """1 when a target was missed or a part failed."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--quick", action="store_true", help="few messages: does the bench work?")
    asked = parser.parse_args()
    if unknown := set(asked.parts) - PARTS.keys():
        parser.error(f"no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    wanted = [name for name in PARTS if name in asked.parts or not asked.parts]
    began = time.monotonic()
    figures: list[Figure] = []
    failed: list[str] = []
    with tempfile.TemporaryDirectory(prefix="huntaze-bench-") as directory:
        say("starting the system")
        with BenchSystem(Path(directory), {}) as system:
            for name in wanted:
                say(f"{name} ...")
                part_began = time.monotonic()
                try:
                    figures += PARTS[name](system, Scale(quick=asked.quick))
                except Exception:  # noqa: BLE001  # one part's trouble must not hide the others
                    traceback.print_exc()
                    failed.append(name)
                say(f"{name} took {time.monotonic() - part_began:.0f} s")
    print(table(figures))
    minutes = (time.monotonic() - began) / 60
    load = os.getloadavg()[1]
    print(f"\n{minutes:.1f} min on {os.cpu_count()} cores, load over five minutes {load:.1f}")
    keep(figures, quick=asked.quick, load=load)
    for name in failed:
        say(f"{name} could not be measured")
    return int(bool(failed) or any(one.met is False for one in figures))


def keep(figures: list[Figure], *, quick: bool, load: float) -> None:
    """Write the figures for machines."""
    KEPT.parent.mkdir(mode=0o700, exist_ok=True)
    told = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "quick": quick,
        "cores": os.cpu_count(),
        "loadAverage": load,
        "figures": [one.as_json() for one in figures],
    }
    KEPT.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
