"""Logins as JSON Web Tokens. The first of JWT_SECRET signs, all of them verify, so a key is changed
by putting a new one in front and dropping the old one after a token's life.

`api/auth.py` verifies; the command line issues too, so what both must agree on stands here.
"""

import hashlib
import hmac
import json
import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from secrets import token_hex
from uuid import uuid4

import jwt
from pydantic import SecretStr

from domain.ports import Token
from domain.users import User

ALGORITHM = "HS256"
ISSUER = "huntaze"
AUDIENCE = "huntaze-api"
SEALED_UNTIL = re.compile(r"[0-9]{1,12}")


class JwtIssuer:
    """TokenIssuer with HMAC keys."""

    algorithm, issuer, audience = ALGORITHM, ISSUER, AUDIENCE

    def __init__(self, keys: Sequence[SecretStr], life: timedelta) -> None:
        if not keys:
            raise ValueError("JWT_SECRET: name at least one key")
        self._keys = {key_id(key): signing_key(key) for key in keys}
        self._life = life

    def issue(self, user: User, now: datetime) -> Token:
        kid, key = next(iter(self._keys.items()))
        expires_at = now + self._life
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": str(user.id),
            "owner": user.owner_id,
            "role": user.role,
            "type": "access",
            "iat": now.timestamp(),  # Not cut to seconds: it may follow a new password at once.
            "exp": expires_at,
            "jti": uuid4().hex,
            "csrf": uuid4().hex,  # Compared with a header when the token travels in a cookie.
        }
        return Token(jwt.encode(claims, key, ALGORITHM, headers={"kid": kid}), expires_at)

    def seal(self, purpose: str, holder: str, until: datetime) -> str:
        """A word that only we can have made, good for one holder until then. It tells nothing of
        the holder, so it may travel over other sites."""
        said = f"{int(until.timestamp())}.{token_hex(16)}"
        return f"{said}.{_seal(next(iter(self._keys.values())), purpose, holder, said)}"

    def is_sealed(self, word: str, purpose: str, holder: str, now: datetime) -> bool:
        """Whether it is a word that `seal` made for this purpose and holder, and is still good."""
        said, _, given = word.rpartition(".")
        until = said.partition(".")[0]
        if not SEALED_UNTIL.fullmatch(until) or int(until) < now.timestamp():
            return False
        made = [_seal(key, purpose, holder, said) for key in self._keys.values()]
        return any(hmac.compare_digest(one.encode(), given.encode()) for one in made)

    def key(self, kid: object) -> str | None:
        """The key with this id; None when it was dropped or never ours."""
        return self._keys.get(kid) if isinstance(kid, str) else None


def _seal(key: str, purpose: str, holder: str, said: str) -> str:
    text = json.dumps([purpose, holder, said])
    return hmac.new(key.encode(), text.encode(), hashlib.sha256).hexdigest()


def signing_key(secret: SecretStr) -> str:
    """A key of full length for HMAC-SHA256, also from a short secret."""
    return hashlib.sha256(f"huntaze-jwt:{secret.get_secret_value()}".encode()).hexdigest()


def key_id(key: SecretStr) -> str:
    """A name for a key that tells nothing about it."""
    return hashlib.sha256(key.get_secret_value().encode()).hexdigest()[:8]
