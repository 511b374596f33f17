"""One empty application for each test."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from infra.settings import Settings
from tests.crm import Crm, crm_on
from tests.inbox import Inbox


@pytest.fixture
def crm(database: Engine, database_settings: Settings) -> Iterator[Crm]:
    with crm_on(database, database_settings) as made:
        yield made


@pytest.fixture
def inbox(crm: Crm) -> Inbox:
    return Inbox(crm)
