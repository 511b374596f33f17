"""Real services for the tests: one throwaway set per pytest worker, started only when asked for."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, text

from infra.db.engine import make_engine
from infra.db.migrate import upgrade
from infra.db.tables import Row
from infra.local.services import LocalServices
from infra.settings import Settings


@pytest.fixture(scope="session")
def local_services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServices]:
    with LocalServices(tmp_path_factory.mktemp("services"), durable=False) as services:
        yield services


@pytest.fixture(scope="session")
def database_settings(local_services: LocalServices) -> Settings:
    """Settings whose PostgreSQL is real; everything else leads nowhere."""
    return Settings(
        database_url=local_services.postgres(),
        redis_endpoint="127.0.0.1:1",
        sqs_rate_limiter_queue_url="http://127.0.0.1:1/0/huntaze-rate-limiter-queue",
        jwt_secret="test-secret",
        api_rate_limit_per_minute=100_000,
        onlyfans_webhook_secret="webhook-secret",
        # No test may fail because the machine is busy.
        statement_timeout_seconds=60,
    )


@pytest.fixture(scope="session")
def migrated(database_settings: Settings) -> Iterator[Engine]:
    engine = make_engine(database_settings)
    upgrade(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def database(migrated: Engine) -> Engine:
    """A migrated database without a row."""
    empty(migrated)
    return migrated


def empty(engine: Engine) -> None:
    tables = ", ".join(Row.metadata.tables)
    with engine.begin() as connection:
        connection.execute(text(f"TRUNCATE {tables} RESTART IDENTITY CASCADE"))
