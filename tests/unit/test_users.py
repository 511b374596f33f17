"""Adding accounts, and what operators may ask of them."""

from datetime import datetime, timedelta

import pytest
from pydantic import SecretStr

from domain.errors import Conflict, Invalid, NotFound
from domain.services.users import UserService
from domain.users import Caller, Role
from infra.passwords import Argon2PasswordHasher
from infra.tokens import JwtIssuer
from tests.fakes.unit_of_work import FakeDatabase

PASSWORD = "correct horse battery"
KEY = SecretStr("a key of at least thirty-two bytes for tests")


@pytest.fixture
def users(data: FakeDatabase) -> UserService:
    hasher = Argon2PasswordHasher(memory_kib=8, passes=1)
    return UserService(data.open, hasher, JwtIssuer([KEY], timedelta(hours=1)))


def test_a_new_owner_owns_itself_and_may_log_in(users: UserService, data: FakeDatabase) -> None:
    owner = users.add("ann@example.com", PASSWORD, time_zone="Europe/Paris")

    assert (owner.owner_id, owner.role, owner.time_zone) == (owner.id, Role.OWNER, "Europe/Paris")
    login = users.login("ANN@example.com", PASSWORD, data.now())
    assert login is not None
    assert (login.user, login.token.expires_at) == (owner, data.now() + timedelta(hours=1))
    assert users.login("ann@example.com", PASSWORD + "!", data.now()) is None


def test_a_member_works_on_the_owners_rows(users: UserService) -> None:
    owner = users.add("ann@example.com", PASSWORD)
    manager = users.add("mia@example.com", PASSWORD, Role.MANAGER, "ann@example.com")
    chatter = users.add("carl@example.com", PASSWORD, Role.CHATTER, "mia@example.com")

    assert (manager.owner_id, chatter.owner_id) == (owner.id, owner.id)
    assert users.caller_of("carl@example.com") == Caller(chatter.id, owner.owner_id, Role.CHATTER)
    assert users.caller_of("nobody@example.com") is None


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({"email": "ann"}, ["email"]),
        ({"email": "a b@example.com"}, ["email"]),
        ({"email": f"{'a' * 65}@example.com"}, ["email"]),
        ({"password": "short"}, ["password"]),
        ({"password": "x" * 1025}, ["password"]),
        ({"role": Role.CHATTER}, ["owner"]),
        ({"owner_email": "ann@example.com"}, ["owner"]),
        ({"time_zone": "Mars/Olympus"}, ["timeZone"]),
        ({"email": "", "password": ""}, ["email", "password"]),
    ],
)
def test_a_bad_account_is_refused_field_by_field(
    users: UserService, changes: dict[str, object], fields: list[str]
) -> None:
    with pytest.raises(Invalid) as refusal:
        users.add(**{"email": "new@example.com", "password": PASSWORD} | changes)

    assert [one.field for one in refusal.value.problems] == fields
    assert users.caller_of("new@example.com") is None


def test_an_email_is_taken_in_any_case(users: UserService) -> None:
    users.add("ann@example.com", PASSWORD)

    with pytest.raises(Conflict) as refusal:
        users.add("Ann@Example.com", PASSWORD)

    assert refusal.value.code == "email_taken"


def test_nobody_joins_the_team_of_nobody(users: UserService) -> None:
    with pytest.raises(NotFound):
        users.add("carl@example.com", PASSWORD, Role.CHATTER, "nobody@example.com")


def test_a_token_is_issued_without_a_password_for_known_users_only(
    users: UserService, data: FakeDatabase
) -> None:
    owner = users.add("ann@example.com", PASSWORD)

    assert users.issue_token("ann@example.com", data.now()).user == owner
    with pytest.raises(NotFound):
        users.issue_token("nobody@example.com", data.now())


def test_a_token_can_only_be_signed_with_a_key() -> None:
    with pytest.raises(ValueError, match="JWT_SECRET"):
        JwtIssuer([], timedelta(hours=1))


def test_an_account_is_looked_up_as_it_is_now(users: UserService, data: FakeDatabase) -> None:
    owner = users.add("ann@example.com", PASSWORD)
    assert users.get(owner.id) == owner

    data.remove_user(owner)

    assert users.get(owner.id) is None


def test_the_clock_of_a_token_is_the_callers(users: UserService) -> None:
    users.add("ann@example.com", PASSWORD)
    moment = datetime.fromisoformat("2030-01-01T00:00:00+00:00")

    assert users.issue_token("ann@example.com", moment).token.expires_at == moment + timedelta(
        hours=1
    )
