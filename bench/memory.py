"""Resident memory of every process of the running system, after load."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from bench.figures import Figure
from bench.system import BenchSystem, Scale

PART = "memory"
LIMIT_MB = 256


def measure(system: BenchSystem, scale: Scale) -> list[Figure]:
    """After further messages and their webhooks, so that the part means something alone too."""
    accounts = system.accounts(scale.of(300, 50), 600)
    with system.told(3 * len(accounts), accounts):
        system.accept_many([(account, f"{n}") for account in accounts for n in range(3)])
    parents = dict(parent_of_each())
    figures = []
    for name, pid in system.processes().items():
        sizes = [memory_mb(one) for one in family(pid, parents)]
        resident, peak = max(size[0] for size in sizes), max(size[1] for size in sizes)
        several = f", the largest of {len(sizes)} processes" if len(sizes) > 1 else ""
        figures.append(
            Figure(PART, name, resident, "MB", f"highest ever {peak:.0f}{several}", LIMIT_MB)
        )
    return figures


def parent_of_each() -> Iterator[tuple[int, int]]:
    """(pid, parent's pid) of every process."""
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            after_name = (entry / "stat").read_text().rpartition(")")[2]
            yield int(entry.name), int(after_name.split()[1])


def family(pid: int, parents: dict[int, int]) -> list[int]:
    """A process and its descendants."""
    children = [child for child, parent in parents.items() if parent == pid]
    return [pid, *(one for child in children for one in family(child, parents))]


def processor_seconds() -> float:
    """What everything that this process started has used so far, ended children included."""
    ticks = 0
    for pid in family(os.getpid(), dict(parent_of_each()))[1:]:
        with suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += sum(map(int, fields[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


def memory_mb(pid: int) -> tuple[float, float]:
    """Resident now, and at most since the start."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    found = dict(line.split(":", 1) for line in lines)
    return kilobytes(found["VmRSS"]) / 1024, kilobytes(found["VmHWM"]) / 1024


def kilobytes(value: str) -> int:
    return int(value.split(maxsplit=1)[0])
