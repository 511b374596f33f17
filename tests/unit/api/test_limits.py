"""So many requests a minute of one user, and so many failed logins."""

import pytest

from domain.users import Role
from tests.unit.api.conftest import PASSWORD, World

STATUS = "/api/onlyfans/messages/status"


@pytest.fixture
def limited(make_world) -> World:
    """The default limit."""
    return make_world(api_rate_limit_per_minute=60)


def quota(answer) -> tuple[str | None, ...]:
    names = ("Limit", "Remaining", "Reset")
    return tuple(answer.headers.get(f"X-RateLimit-{name}") for name in names)


def login(world: World, email: str, password: str, address: str = "192.0.2.1"):
    return world.client.post(
        "/api/auth/login",
        json={"email": email, "password": password},
        environ_overrides={"REMOTE_ADDR": address},
    )


def test_the_sixty_first_request_in_a_minute_is_told_when_to_come_back(limited: World) -> None:
    answers = []
    for _ in range(61):
        answers.append(limited.get(STATUS))
        limited.let_time_pass(0.5)

    assert [one.status_code for one in answers] == [200] * 60 + [429]
    assert [quota(one) for one in answers[:2]] == [("60", "59", "60"), ("60", "58", "60")]
    assert quota(answers[-1]) == ("60", "0", "30")
    assert answers[-1].headers["Retry-After"] == "30"
    assert answers[-1].get_json() == {
        "error": "60 requests a minute are the limit: wait a little",
        "code": "rate_limited",
        "details": [],
        "requestId": answers[-1].headers["X-Request-Id"],
        "retryAfterSec": 30,
        "reason": "user_requests_per_minute",
        "limit": 60,
    }


def test_what_is_too_much_is_not_done(limited: World) -> None:
    for _ in range(60):
        limited.get(STATUS)

    assert limited.send().status_code == 429
    assert limited.data.messages() == []


def test_users_are_counted_apart_also_of_one_team(limited: World) -> None:
    member = limited.data.new_user("carl@example.com", Role.CHATTER, limited.owner)
    for _ in range(61):
        limited.get(STATUS)

    others = [
        limited.client.get(STATUS, headers=limited.bearer(one))
        for one in (member, limited.stranger)
    ]

    assert [quota(one)[1] for one in others] == ["59", "59"]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/crm/fans?limit=0", 422),
        ("/api/onlyfans/messages/3f1c2a9e-6f0b-4f5e-9d3a-0a9f4c2b7d11", 404),
    ],
)
def test_errors_count_and_tell_too(limited: World, path: str, status: int) -> None:
    answer = limited.get(path)

    assert (answer.status_code, quota(answer)) == (status, ("60", "59", "60"))


def test_an_answer_that_nothing_changed_costs_half(limited: World) -> None:
    services = limited.client.application.extensions["huntaze"][0]
    taken = [services.limits.request(limited.user.id) for _ in range(60)]
    for one in taken:
        services.limits.unchanged(one)

    assert [limited.get(STATUS).status_code for _ in range(31)] == [200] * 30 + [429]


def test_a_304_counts_half(limited: World) -> None:
    app = limited.client.application
    view = app.view_functions["messages.status"]
    app.view_functions["messages.status"] = lambda: ("", 304)
    for _ in range(60):
        assert limited.get(STATUS).status_code == 304
    app.view_functions["messages.status"] = view

    assert [limited.get(STATUS).status_code for _ in range(31)] == [200] * 30 + [429]


def test_who_is_not_logged_in_is_neither_counted_nor_told(limited: World) -> None:
    for path in (STATUS, "/health", "/openapi.json", "/nothing"):
        assert quota(limited.client.get(path)) == (None, None, None)


def test_while_redis_is_away_requests_pass_and_the_log_says_so_once(limited: World) -> None:
    services = limited.client.application.extensions["huntaze"][0]
    services.quota.unavailable = True

    answers = [limited.get(STATUS) for _ in range(70)]
    told = limited.journal.of("requests_uncounted")
    limited.let_time_pass(61)
    limited.get(STATUS)

    assert {one.status_code for one in answers} == {200}
    assert {quota(one) for one in answers} == {(None, None, None)}
    assert told == [{"reason": "told so"}]
    assert len(limited.journal.of("requests_uncounted")) == 2


@pytest.mark.parametrize("email", ["ann@example.com", "nobody@example.com"])
def test_ten_failures_of_an_email_are_enough_whoever_it_is(world: World, email: str) -> None:
    answers = [login(world, email, "wrong", f"192.0.2.{n}") for n in range(11)]
    right = login(world, email.upper(), PASSWORD, "198.51.100.1")

    assert [one.status_code for one in answers] == [401] * 10 + [429]
    body = answers[-1].get_json()
    assert (answers[-1].headers["Retry-After"], body.pop("requestId") != "") == ("900", True)
    assert body == {
        "error": "Too many failed logins: wait, or ask the owner of your team",
        "code": "rate_limited",
        "details": [],
        "retryAfterSec": 900,
        "reason": "login_failures_of_email",
        "limit": 10,
    }
    assert right.status_code == 429

    world.let_time_pass(900)
    assert login(world, email, "wrong").status_code == 401


def test_fifty_failures_of_an_address_are_enough_and_harm_nobody_else(world: World) -> None:
    failed = [login(world, f"{n}@example.com", "wrong") for n in range(50)]

    assert {one.status_code for one in failed} == {401}
    refused = login(world, "ann@example.com", PASSWORD)
    assert (refused.status_code, refused.get_json()["reason"]) == (429, "login_failures_of_address")
    assert login(world, "ann@example.com", PASSWORD, "192.0.2.2").status_code == 200


def test_everybody_of_one_ipv6_network_is_one_address(world: World) -> None:
    for n in range(50):
        login(world, f"{n}@example.com", "wrong", f"2001:db8:0:1::{n + 1:x}")

    assert login(world, "ann@example.com", PASSWORD, "2001:db8:0:1:ffff::1").status_code == 429
    assert login(world, "ann@example.com", PASSWORD, "2001:db8:0:2::1").status_code == 200


def test_good_logins_are_not_counted(world: World) -> None:
    assert {login(world, "ann@example.com", PASSWORD).status_code for _ in range(60)} == {200}


def test_an_email_that_is_refused_does_not_use_up_its_address(world: World) -> None:
    for _ in range(70):
        login(world, "bob@example.com", "wrong")

    assert login(world, "ann@example.com", PASSWORD).status_code == 200


def test_an_outage_is_no_failed_login(world: World) -> None:
    world.away.add("postgres")
    for _ in range(12):
        assert login(world, "ann@example.com", PASSWORD).status_code == 503
    world.away.clear()

    assert login(world, "ann@example.com", PASSWORD).status_code == 200


def test_behind_a_proxy_the_client_is_who_the_proxy_says(make_world) -> None:
    world = make_world(trusted_proxies=1)

    def tried(client: str, password: str) -> int:
        return world.client.post(
            "/api/auth/login",
            json={"email": "ann@example.com", "password": password},
            headers={"X-Forwarded-For": f"203.0.113.9, {client}"},
        ).status_code

    for n in range(50):
        login(world, f"{n}@example.com", "wrong", "127.0.0.1")

    assert tried("198.51.100.7", PASSWORD) == 200


def test_without_a_proxy_nobody_chooses_its_address(world: World) -> None:
    statuses = [
        world.client.post(
            "/api/auth/login",
            json={"email": f"{n}@example.com", "password": "wrong"},
            headers={"X-Forwarded-For": f"198.51.100.{n}"},
        ).status_code
        for n in range(51)
    ]

    assert statuses[-1] == 429
