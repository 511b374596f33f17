"""The application on real rows answers each member of the team, and shows a stranger nothing."""

import pytest

from tests.crm import Crm


@pytest.mark.parametrize("role", ["owner", "manager", "chatter", "analyst"])
def test_every_role_sees_the_owners_fans(crm: Crm, role: str) -> None:
    fan = crm.fan("Alex")

    answer = crm.get("/api/crm/fans", role)

    assert [one["id"] for one in answer.json["fans"]] == [fan]


def test_a_stranger_sees_none_of_them(crm: Crm) -> None:
    crm.fan("Alex")

    assert crm.get("/api/crm/fans", "stranger").json["fans"] == []
