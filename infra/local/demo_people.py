"""Who the demo's fans are: the demo data and the simulated platform know the same people.

Nothing here but the standard library: the simulator does not load a database's drivers."""

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

ACCOUNTS = (("Luna", "acct_luna"), ("Mila", "acct_mila"), ("Nova", "acct_nova"))
LINKED_FANS, UNLINKED_FANS = 360, 6
FIRST = (
    "Alex",
    "Ben",
    "Chloé",
    "Dario",
    "Eli",
    "Femi",
    "Gus",
    "Hana",
    "Igor",
    "Jules",
    "Kai",
    "Lou",
)
LAST = (
    "Adler",
    "Brandt",
    "Costa",
    "Duarte",
    "Ekström",
    "Fischer",
    "García",
    "Haddad",
    "Ito",
    "Kim",
)
# Every so often a name as people really write them.
ODD_NAMES = (
    "Maximilian-Alexander von und zu Hohenstein-Württemberg 🦁",
    "🌙✨ night owl ✨🌙",
    "Zoë O'Connor-Åkesson",
    "محمد الأندلسي",
    "小林 さくら",
    "x",
)
ODD_EVERY = 17
TAGS = ("vip", "whale", "new", "quiet", "birthday soon 🎂")


@dataclass(frozen=True)
class Person:
    """A fan of one of the accounts. The last few are not linked: the platform knows them, and the
    demo's rows hold only their handle."""

    number: int
    name: str
    username: str
    tags: tuple[str, ...]
    value_cents: int
    hours_since_seen: int
    account: int  # a place in ACCOUNTS
    platform_user_id: str
    is_linked: bool


def people() -> Iterator[Person]:
    """All of them, the same each time."""
    dice = Random(7)
    for number in range(1, LINKED_FANS + UNLINKED_FANS + 1):
        first, last = dice.choice(FIRST), dice.choice(LAST)
        value = dice.choice((0, 0, 900, 2_500, 7_300, 18_000, 54_000, 210_000))
        yield Person(
            number=number,
            name=f"{first} {last}" if number % ODD_EVERY else _odd_name(number),
            username=f"{first.lower()}{number}",
            tags=(dice.choice(TAGS),) if number % 4 == 0 else (),
            value_cents=value,
            hours_since_seen=dice.randrange(1, 2000),
            account=number % len(ACCOUNTS),
            platform_user_id=str(500_000 + number),
            is_linked=number <= LINKED_FANS,
        )


def _odd_name(number: int) -> str:
    return ODD_NAMES[number // ODD_EVERY % len(ODD_NAMES)]
