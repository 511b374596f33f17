"""Logging in, and every way of not being logged in."""

import base64
import json
import re
from datetime import UTC, datetime, timedelta

import jwt
import pytest
from pydantic import SecretStr

from api.app import create_app
from api.auth import PUBLIC
from domain.services.users import UserService
from domain.users import Role
from infra.passwords import Argon2PasswordHasher
from infra.tokens import JwtIssuer, key_id, signing_key
from tests.unit.api.conftest import KEY, PASSWORD, World, settings

NOT_AUTHENTICATED = {"error": "Not authenticated", "code": "not_authenticated", "details": []}
PROTECTED = "/api/onlyfans/messages/status"


def login(world: World, email: object, password: object):
    return world.client.post("/api/auth/login", json={"email": email, "password": password})


def claims(world: World, **changes: object) -> dict[str, object]:
    now = datetime.now(UTC)
    whole = {
        "iss": "huntaze",
        "aud": "huntaze-api",
        "sub": str(world.user.id),
        "owner": world.owner,
        "role": "owner",
        "type": "access",
        "iat": now,
        "exp": now + timedelta(hours=1),
        "jti": "1",
    } | changes
    return {name: value for name, value in whole.items() if value is not None}


def signed(claims: dict[str, object], key: str = KEY, algorithm: str = "HS256", **header) -> str:
    headers = {"kid": key_id(SecretStr(KEY))} | header
    signing = signing_key(SecretStr(key)) if key else ""
    return jwt.encode(claims, signing, algorithm, headers=headers)


def asked_with(world: World, token: str):
    return world.client.get(PROTECTED, headers={"Authorization": f"Bearer {token}"})


def test_a_login_is_answered_with_a_token_that_works(world: World) -> None:
    answer = login(world, "Ann@Example.com", PASSWORD)

    body = answer.get_json()
    assert (answer.status_code, body) == (
        200,
        {
            "token": body["token"],
            "tokenType": "Bearer",
            "expiresAt": "2026-11-24T00:00:00.000Z",
            "user": {"id": world.user.id, "email": "ann@example.com", "role": "owner"},
        },
    )
    assert jwt.get_unverified_header(body["token"]) == {
        "alg": "HS256",
        "typ": "JWT",
        "kid": key_id(SecretStr(KEY)),
    }


@pytest.mark.parametrize(
    ("email", "password"),
    [("ann@example.com", "wrong"), ("nobody@example.com", PASSWORD), ("", ""), ("ann", PASSWORD)],
)
def test_a_bad_login_tells_nothing(world: World, email: str, password: str) -> None:
    answer = login(world, email, password)

    body = answer.get_json()
    assert (answer.status_code, body) == (
        401,
        NOT_AUTHENTICATED | {"requestId": body["requestId"]},
    )


@pytest.mark.parametrize(
    ("email", "password", "field"),
    [(1, PASSWORD, "email"), ("ann@example.com", None, "password"), ("a\x00", "b", "email")],
)
def test_a_login_of_wrong_types_names_the_field(world, email, password, field) -> None:
    answer = login(world, email, password)

    assert answer.status_code == 422
    assert [one["field"] for one in answer.get_json()["details"]] == [field]


def test_an_unknown_email_costs_as_many_hashes_as_a_wrong_password(world: World) -> None:
    class Counted(Argon2PasswordHasher):
        checks = 0

        def verify(self, password_hash: str, password: str) -> bool:
            self.checks += 1
            return super().verify(password_hash, password)

    hasher = Counted(memory_kib=8, passes=1)
    users = UserService(world.data.open, hasher, world.tokens)
    for email in ("ann@example.com", "nobody@example.com"):
        assert users.login(email, "wrong", world.data.now()) is None
    assert hasher.checks == 2


def deep(world: World) -> str:
    head, _, tail = world.token().split(".")
    nested = base64.urlsafe_b64encode(b"[" * 4000).decode().rstrip("=")
    return f"{head}.{nested}.{tail}"


BAD_TOKENS = {
    "none": lambda world: signed(claims(world), key="", algorithm="none"),
    "another algorithm": lambda world: signed(claims(world), KEY * 2, "HS512"),
    "another key": lambda world: signed(claims(world), "x" * 40),
    "an unknown key id": lambda world: signed(claims(world), kid="00000000"),
    "no key id": lambda world: jwt.encode(claims(world), KEY, "HS256"),
    "a hostile key id": lambda world: signed(claims(world), kid="../../etc/passwd"),
    "expired": lambda world: signed(claims(world, exp=datetime.now(UTC) - timedelta(hours=1))),
    "not yet valid": lambda world: signed(
        claims(world, nbf=datetime.now(UTC) + timedelta(hours=1))
    ),
    "no expiry": lambda world: signed(claims(world, exp=None)),
    "another audience": lambda world: signed(claims(world, aud="huntaze-pages")),
    "no audience": lambda world: signed(claims(world, aud=None)),
    "another issuer": lambda world: signed(claims(world, iss="somebody")),
    "no issuer": lambda world: signed(claims(world, iss=None)),
    "no subject": lambda world: signed(claims(world, sub=None)),
    "a subject that is no id": lambda world: signed(claims(world, sub="ann")),
    "an unknown subject": lambda world: signed(claims(world, sub="999999")),
    "a refresh token": lambda world: signed(claims(world, type="refresh")),
    "cut short": lambda world: world.token()[:-2],
    "not a token": lambda _: "not-a-token",
    "empty": lambda _: "",
    "too deep": deep,
}


@pytest.mark.parametrize("kind", BAD_TOKENS)
def test_a_token_that_is_not_ours_gets_the_one_401(world: World, kind: str) -> None:
    answer = asked_with(world, BAD_TOKENS[kind](world))

    body = answer.get_json()
    assert (answer.status_code, body) == (
        401,
        NOT_AUTHENTICATED | {"requestId": body["requestId"]},
    )
    assert answer.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("header", [None, "", "Bearer", "Basic YTpi", "Bearer a b"])
def test_without_a_bearer_token_nothing_is_answered(world: World, header: str | None) -> None:
    headers = {} if header is None else {"Authorization": header}

    assert world.client.get(PROTECTED, headers=headers).status_code == 401


def test_a_token_in_the_address_is_not_looked_at(world: World) -> None:
    assert world.client.get(f"{PROTECTED}?jwt={world.token()}").status_code == 401


def test_nothing_is_stored_for_a_stranger(world: World) -> None:
    answer = world.client.post(
        "/api/onlyfans/messages/send", json={"recipientId": f"fan_{world.fan}", "content": "Hi"}
    )

    assert answer.status_code == 401
    assert world.data.messages() == []


def test_a_role_comes_from_the_row_and_not_from_the_token(world: World) -> None:
    token = signed(claims(world, role="owner"))
    world.data.change_role(world.user, Role.ANALYST)

    answer = world.client.post(
        "/api/onlyfans/messages/send",
        json={"recipientId": f"fan_{world.fan}", "content": "Hi"},
        headers={"Authorization": f"Bearer {token}"},
    )

    assert answer.status_code == 403


def test_a_removed_user_is_out_within_five_seconds(world: World) -> None:
    assert world.get(PROTECTED).status_code == 200
    world.data.remove_user(world.user)
    world.let_time_pass(5)

    assert world.get(PROTECTED).status_code == 401


def test_every_key_verifies_and_the_first_signs(world: World) -> None:
    old, new = SecretStr(KEY), SecretStr("another key of at least thirty-two bytes")
    rotated = JwtIssuer([new, old], timedelta(hours=1))

    token = rotated.issue(world.user, datetime.now(UTC)).text

    assert jwt.get_unverified_header(token)["kid"] == key_id(new)
    assert rotated.key(key_id(old)) == signing_key(old)
    assert asked_with(world, token).status_code == 401


def test_while_keys_are_changed_the_old_tokens_live_on(make_world) -> None:
    old, new = SecretStr(KEY), SecretStr("another key of at least thirty-two bytes")
    world = make_world()
    token = world.token()
    services = world.client.application.extensions["huntaze"][0]
    services.tokens = JwtIssuer([new, old], timedelta(hours=1))
    client = create_app(services, clock=world.data.now).test_client()

    def status(text: str) -> int:
        return client.get(PROTECTED, headers={"Authorization": f"Bearer {text}"}).status_code

    fresh = services.tokens.issue(world.user, datetime.now(UTC)).text
    assert jwt.get_unverified_header(fresh)["kid"] == key_id(new)
    assert (status(token), status(fresh)) == (200, 200)

    services.tokens = JwtIssuer([new], timedelta(hours=1))
    client = create_app(services, clock=world.data.now).test_client()
    assert (status(token), status(fresh)) == (401, 200)


def test_while_postgresql_is_away_a_login_is_503(world: World) -> None:
    world.away.add("postgres")

    answer = login(world, "ann@example.com", PASSWORD)

    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")


def test_every_route_needs_a_login_or_is_known_to_be_public(world: World) -> None:
    unprotected = set()
    for rule in world.client.application.url_map.iter_rules():
        path = re.sub(r"<uuid:\w+>", "3f1c2a9e-6f0b-4f5e-9d3a-0a9f4c2b7d11", rule.rule)
        path = re.sub(r"<any\((\w+)[^>]*>", r"\1", path)
        path = re.sub(r"<\w+:\w+>", "1", path)
        for method in rule.methods - {"HEAD", "OPTIONS"}:
            answer = world.client.open(path, method=method)
            leads_to_login = answer.headers.get("Location", "").startswith("/login")
            if answer.status_code != 401 and not leads_to_login:
                unprotected.add(rule.rule)

    assert unprotected | {"/api/auth/login", "/api/webhooks/onlyfans"} == PUBLIC


def test_while_the_product_is_off_only_login_health_and_metrics_answer(make_world) -> None:
    world = make_world(onlyfans_crm_enabled=False)

    assert login(world, "ann@example.com", PASSWORD).status_code == 200
    assert [world.client.get(path).status_code for path in ("/health", "/ready", "/metrics")] == [
        200,
        200,
        200,
    ]
    for path in (PROTECTED, "/api/crm/fans", "/api/connections", "/openapi.json", "/docs"):
        answer = world.get(path)
        assert (answer.status_code, answer.get_json()["code"]) == (404, "not_found")


def test_passwords_are_kept_as_argon2id_of_owasps_cost() -> None:
    kept = Argon2PasswordHasher().hash(PASSWORD)

    assert kept.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert Argon2PasswordHasher().verify(kept, PASSWORD)
    assert not Argon2PasswordHasher().verify("not a hash", PASSWORD)


def test_a_token_names_the_claims_we_promised(world: World) -> None:
    payload = world.token().split(".")[1]

    found = json.loads(base64.urlsafe_b64decode(payload + "=="))

    assert (found["sub"], found["owner"], found["role"]) == (
        str(world.user.id),
        world.owner,
        "owner",
    )
    assert found["exp"] - int(found["iat"]) == settings().access_token_seconds
