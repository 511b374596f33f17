"""What every adapter of the gateway has: its address, its keys, and a pool of connections."""

from typing import Self

from pydantic import SecretStr

from infra.platform import ofapi_wire as wire
from infra.platform.deadline import DeadlineClient
from infra.settings import Settings


class Gateway:
    """The gateway over HTTP; one per process, for all its threads."""

    def __init__(self, base_url: str, api_key: SecretStr, max_connections: int) -> None:
        self._base_url = base_url.rstrip("/")
        self._api_key = api_key
        self._http = DeadlineClient(max_connections)

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        return cls(
            settings.onlyfans_api_url,
            settings.onlyfans_api_key,
            max_connections=2 * settings.worker_threads,
        )

    def close(self) -> None:
        self._http.close()

    def _usable_key(self, access_key: str | None) -> str | None:
        """The account's own key or else ours; None when it holds what no key has."""
        key = access_key or self._api_key.get_secret_value()
        return key if wire.usable_key(key) else None
