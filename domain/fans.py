"""Fans: the people a creator writes to. What may be said of one, and how it is spelled here."""

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, NewType
from urllib.parse import urlsplit

from domain.connections import ConnectionId
from domain.errors import Conflict, FieldProblem, Invalid
from domain.users import OwnerId, UserId

FanId = NewType("FanId", int)

BIGINT_MAX = 2**63 - 1
# The platforms that fans may be on; another one is added here and gets its gateway.
PLATFORMS = ("onlyfans",)
NAME_MAX, HANDLE_MAX, EMAIL_MAX, ADDRESS_MAX, NOTES_MAX = 255, 100, 254, 2048, 10_000
SUBSCRIPTION_TIER_MAX = 100
TAGS_MAX, TAG_MAX = 50, 50
# A billion dollars: beyond it somebody mistyped, and sums of many stay far from the end of bigint.
VALUE_MAX = 100_000_000_000
EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
# A clock elsewhere may be ahead of ours, but not by more.
AHEAD_MAX = timedelta(days=1)
EMAIL = re.compile(r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)+")


class Tier(StrEnum):
    """What the rules make of a fan; none of these is `regular`."""

    WHALE = "whale"
    SPENDER = "spender"
    QUIET = "quiet"
    NEW = "new"


class ChangeSource(StrEnum):
    """Who or what changed a fan."""

    PERSON = "person"
    IMPORT = "import"
    PLATFORM = "platform"
    RULES = "rules"
    MERGE = "merge"


@dataclass(frozen=True)
class ChangedBy:
    """Whom the history of a fan names: a person, or what else changed it."""

    source: ChangeSource
    actor_id: UserId | None = None


@dataclass(frozen=True)
class Fan:
    """A fan of an owner. Without `connection_id` and `platform_user_id` nothing can be sent."""

    id: FanId
    owner_id: OwnerId
    name: str
    platform: str
    handle: str
    email: str | None
    avatar: str | None
    tags: tuple[str, ...]
    value_cents: int
    last_seen_at: datetime | None
    notes: str | None
    tier: str | None
    connection_id: ConnectionId | None
    platform_user_id: str | None
    version: int
    created_at: datetime
    updated_at: datetime
    deleted_at: datetime | None = None
    value_stated_at: datetime | None = None
    tips_cents: int = 0
    last_purchase_at: datetime | None = None
    subscription: str | None = None
    subscription_ends_at: datetime | None = None
    subscription_tier: str | None = None
    merged_into: FanId | None = None
    erased_at: datetime | None = None

    @property
    def linked(self) -> bool:
        return self.connection_id is not None and self.platform_user_id is not None

    @property
    def restorable(self) -> bool:
        """Whether it was deleted and may come back by itself."""
        return self.deleted_at is not None and self.erased_at is None and self.merged_into is None


# What the history of a fan tells: all that says something of the person.
TOLD = (
    "name",
    "handle",
    "email",
    "avatar",
    "tags",
    "value_cents",
    "last_seen_at",
    "notes",
    "tier",
    "connection_id",
    "platform_user_id",
    "subscription",
    "subscription_ends_at",
    "subscription_tier",
    "deleted_at",
    "merged_into",
)


def plain(value: Any) -> Any:
    """A field as JSON holds it."""
    if isinstance(value, datetime):
        return value.isoformat()
    return list(value) if isinstance(value, tuple) else value


def fan_record(fan: Fan) -> dict[str, Any]:
    """A fan as JSON holds it."""
    return {one.name: plain(getattr(fan, one.name)) for one in fields(Fan)}


def fan_of_record(record: Mapping[str, Any]) -> Fan:
    """The fan that `fan_record` wrote down."""
    read: dict[str, Any] = {
        name: datetime.fromisoformat(value) if name.endswith("_at") and value else value
        for name, value in record.items()
    }
    return Fan(**(read | {"tags": tuple(record["tags"])}))


def changes_between(before: Fan, after: Fan) -> tuple[dict[str, Any], dict[str, Any]]:
    """The told fields that differ, as they were and as they are."""
    differing = [name for name in TOLD if getattr(before, name) != getattr(after, name)]
    return (
        {name: plain(getattr(before, name)) for name in differing},
        {name: plain(getattr(after, name)) for name in differing},
    )


# Reading what people and files say of a fan: each returns the value as it is kept, or raises
# ValueError with what to change.


def read_name(text: str) -> str:
    return _one_line(text, NAME_MAX)


def read_subscription_tier(text: str) -> str:
    return _one_line(text, SUBSCRIPTION_TIER_MAX)


def read_platform(text: str) -> str:
    if text not in PLATFORMS:
        raise ValueError(f"use one of: {', '.join(PLATFORMS)}")
    return text


def read_handle(text: str) -> str:
    """`johndoe` and ` @@johndoe` are both @johndoe."""
    bare = unicodedata.normalize("NFC", text).strip().lstrip("@").strip()
    # Printable text has no control characters, and no blanks but spaces: most of it, at one look.
    printable = bare.isprintable() and " " not in bare
    if not bare or len(bare) >= HANDLE_MAX or not (printable or not any(map(_parts_words, bare))):
        raise ValueError(f"use 1 to {HANDLE_MAX - 1} characters without spaces, as in @johndoe")
    return f"@{bare}"


def read_email(text: str) -> str | None:
    """An address in its plain form; blank is none."""
    email = text.strip()
    if not email:
        return None
    if len(email) > EMAIL_MAX or not EMAIL.fullmatch(email):
        raise ValueError("use an email address, as in john@example.com")
    return email


def read_avatar(text: str) -> str | None:
    """An https address, which browsers load: never with a login in it. Blank is none."""
    address = text.strip()
    if not address:
        return None
    try:
        parts = urlsplit(address)
        bad = parts.scheme != "https" or not parts.hostname or parts.username is not None
    except ValueError:  # brackets that are no IPv6 address
        bad = True
    if bad or len(address) > ADDRESS_MAX or any(one.isspace() for one in address):
        raise ValueError(f"use an https address of at most {ADDRESS_MAX} characters")
    return address


def read_notes(text: str) -> str:
    if len(text) > NOTES_MAX:
        raise ValueError(f"use at most {NOTES_MAX} characters")
    return text


def read_value(cents: int) -> int:
    if not 0 <= cents <= VALUE_MAX:
        raise ValueError(f"use 0 to {VALUE_MAX} cents")
    return cents


def read_tag(text: str) -> str:
    """Tags are compared in any case, so they are kept in one; a comma would part them in lists."""
    tag = _one_line(unicodedata.normalize("NFC", text.casefold()), TAG_MAX)
    if "," in tag:
        raise ValueError("a tag has no comma")
    return tag


def read_tags(texts: Iterable[str]) -> tuple[str, ...]:
    """In their order, each once."""
    tags = tuple(dict.fromkeys(map(read_tag, texts)))
    if len(tags) > TAGS_MAX:
        raise ValueError(f"use at most {TAGS_MAX} tags")
    return tags


def retag(tags: Sequence[str], add: Sequence[str], remove: Sequence[str]) -> tuple[str, ...]:
    """The tags with some added at the end and others gone."""
    return tuple(dict.fromkeys([one for one in tags if one not in remove] + list(add)))


def _parts_words(letter: str) -> bool:
    return letter.isspace() or unicodedata.category(letter) == "Cc"


def _one_line(text: str, longest: int) -> str:
    line = unicodedata.normalize("NFC", text).strip()
    one_line = line.isprintable() or all(unicodedata.category(one) != "Cc" for one in line)
    if not line or len(line) > longest or not one_line:
        raise ValueError(f"use 1 to {longest} characters in one line")
    return line


# By the names of the columns and of the API.
READERS: Mapping[str, tuple[str, Callable[[Any], Any]]] = {
    "name": ("name", read_name),
    "platform": ("platform", read_platform),
    "handle": ("handle", read_handle),
    "email": ("email", read_email),
    "avatar": ("avatar", read_avatar),
    "tags": ("tags", read_tags),
    "value_cents": ("valueCents", read_value),
    "notes": ("notes", read_notes),
    "last_seen_at": ("lastSeenAt", lambda moment: moment),
}
CLEARABLE = frozenset({"email", "avatar", "notes", "last_seen_at"})
# What null stands for where a field cannot be without a value.
EMPTY: Mapping[str, Any] = {"tags": (), "value_cents": 0}


def read_fields(given: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """The fields of a fan as they are kept; raises Invalid naming each bad one. None clears."""
    read: dict[str, Any] = {}
    problems: list[FieldProblem] = []
    for name, value in given.items():
        spelled, reader = READERS[name]
        try:
            if value is None:
                if name not in CLEARABLE | EMPTY.keys():
                    raise ValueError("cannot be null")  # noqa: TRY301  # told like the others
                read[name] = EMPTY.get(name)
            elif name == "last_seen_at" and not EARLIEST <= value <= now + AHEAD_MAX:
                raise ValueError("use a time between 1970 and now")  # noqa: TRY301
            else:
                read[name] = reader(value)
        except ValueError as problem:
            problems.append(FieldProblem(spelled, str(problem)))
    if problems:
        raise Invalid(*problems)
    return read


def fan_exists(other: FanId | None) -> Conflict:
    """The refusal of a handle that another live fan has; its id is in the details."""
    problems = [FieldProblem("fanId", str(other))] if other else []
    return Conflict("a fan with this handle exists already", *problems, code="fan_exists")


def parse_recipient(recipient: str) -> FanId:
    """The fan that `fan_123` or `123` means; raises Invalid."""
    digits = recipient.removeprefix("fan_")
    if digits.isascii() and digits.isdigit() and 0 < int(digits[:20]) <= BIGINT_MAX:
        return FanId(int(digits))
    raise Invalid(FieldProblem("recipientId", "use fan_<number>, for example fan_123"))


def recipient_id(fan: FanId) -> str:
    """The canonical spelling in answers and events."""
    return f"fan_{fan}"
