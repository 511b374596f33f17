"""Access keys at rest: encrypted with the first of ENCRYPTION_KEYS, readable with any of them."""

import base64
import hashlib
from collections.abc import Sequence

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from pydantic import SecretStr


class Cipher:
    """Encrypts short secrets. A key may be any text: it is hashed to the size Fernet needs."""

    def __init__(self, keys: Sequence[SecretStr]) -> None:
        fernets = [Fernet(_fernet_key(key)) for key in keys]
        self._first, self._fernet = fernets[0], MultiFernet(fernets)

    def encrypt(self, secret: str) -> bytes:
        return self._fernet.encrypt(secret.encode())

    def decrypt(self, sealed: bytes | None) -> str | None:
        """The secret, or None where there is none; raises ValueError when no key fits."""
        if sealed is None:
            return None
        try:
            return self._fernet.decrypt(sealed).decode()
        except InvalidToken:
            raise ValueError("no key of ENCRYPTION_KEYS opens this secret") from None

    def renewed(self, sealed: bytes) -> bytes | None:
        """The same secret encrypted with the first key, or None where it is so already; raises
        ValueError when no key fits."""
        try:
            self._first.decrypt(sealed)
        except InvalidToken:
            secret = self.decrypt(sealed)
            assert secret is not None
            return self.encrypt(secret)
        return None


def _fernet_key(key: SecretStr) -> bytes:
    return base64.urlsafe_b64encode(hashlib.sha256(key.get_secret_value().encode()).digest())
