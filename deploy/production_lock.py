"""Print the part of requirements.lock that a running system needs, hashes and all.

The lock also pins what tests and `make run` use. Its own notes (`# via ...`) say who asked for
what, so production's part is found without asking anybody. Arguments add groups or single packages:
`local` is the emulator and the simulator.
"""

import re
import sys
import tomllib
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
NAME = re.compile(r"^[A-Za-z0-9._-]+")
NOTE = re.compile(r"^    #(?: via)? +([A-Za-z0-9._-]+)(?: \(.*\))?$")


def named(requirement: str) -> str:
    """`celery[sqs]==5.7.0` is about `celery`."""
    found = NAME.match(requirement)
    assert found
    return found[0].lower().replace("_", "-")


def blocks(lock: str) -> dict[str, str]:
    """Package -> its lines in the lock."""
    found = re.split(r"\n(?=[A-Za-z0-9])", lock)
    return {named(block): block for block in found if "==" in block.split("\n", 1)[0]}


def asked_by(block: str) -> set[str]:
    """Which packages want this one."""
    return {note[1] for line in block.splitlines() if (note := NOTE.match(line))}


def wanted(lock: str, roots: set[str]) -> list[str]:
    """The lines of `roots` and of everything that they lead to, in the lock's order."""
    packages = blocks(lock)
    missing = roots - packages.keys()
    if missing:
        sys.exit(f"requirements.lock does not hold {', '.join(sorted(missing))}: run `make lock`")
    keep, size = set(roots), 0
    while len(keep) > size:
        size = len(keep)
        keep |= {name for name, block in packages.items() if asked_by(block) & keep}
    return [block for name, block in packages.items() if name in keep]


def main(groups: list[str]) -> None:
    project = tomllib.loads((HERE / "pyproject.toml").read_text(encoding="utf-8"))
    asked = list(project["project"]["dependencies"])
    for group in groups:
        asked += project["dependency-groups"].get(group, [group])
    lock = (HERE / "requirements.lock").read_text(encoding="utf-8")
    print("\n".join(wanted(lock, {named(one) for one in asked})))


if __name__ == "__main__":
    main(sys.argv[1:])
