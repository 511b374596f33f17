"""A Redis of its own for the session."""

from collections.abc import Iterator

import pytest

from infra.local.services import LocalServices


@pytest.fixture(scope="session")
def redis_endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """host:port of an empty Redis without persistence."""
    with LocalServices(tmp_path_factory.mktemp("room")) as services:
        yield services.redis()
