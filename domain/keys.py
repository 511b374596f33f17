"""Keys for programs: shown once when they are made, kept as a hash."""

import hashlib
import re
import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import NewType

from domain.users import OwnerId, UserId

ApiKeyId = NewType("ApiKeyId", int)

PREFIX = "hz_"
# 32 random bytes as 43 url-safe characters: beyond guessing, so a fast hash keeps them safely.
SECRET = re.compile(r"hz_[A-Za-z0-9_-]{43}")
SHOWN_CHARACTERS = 10
LIVE_MAX = 50
NAME_MAX = 100


@dataclass(frozen=True)
class ApiKey:
    """A key, without what it is: `prefix` is its beginning, for people to tell keys apart."""

    id: ApiKeyId
    owner_id: OwnerId
    member_id: UserId
    name: str
    prefix: str
    created_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None


def new_secret() -> str:
    """A new key's text."""
    return PREFIX + secrets.token_urlsafe(32)


def digest(secret: str) -> str:
    """What is stored and looked for in its place."""
    return hashlib.sha256(secret.encode()).hexdigest()
