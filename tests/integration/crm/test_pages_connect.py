"""The page of accounts and imports: uploads, refusals, escaping, and who may."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Any, NoReturn
from urllib.parse import parse_qs, urlsplit

import pytest
from flask.testing import FlaskClient
from werkzeug.datastructures import FileStorage
from werkzeug.test import encode_multipart

from infra.passwords import Argon2PasswordHasher
from tests.crm import Crm
from tests.importing import work_off

PLACE = "/platforms/connect/onlyfans"


PASSWORD = "a long enough password"
GATEWAY = "https://gateway.example/connect?plan=1"
KEY = "0123456789abcdef" * 2


class Unread(BytesIO):
    """A body that nobody may begin to read."""

    def read(self, _: int | None = -1, /) -> NoReturn:
        raise AssertionError("the body was read")


@pytest.fixture
def browser(crm: Crm) -> Iterator[FlaskClient]:
    crm.sql("UPDATE users SET password_hash = :hash", hash=Argon2PasswordHasher().hash(PASSWORD))
    settings = crm.services.settings.model_copy(update={"onlyfans_connect_url": GATEWAY})
    object.__setattr__(crm.services, "settings", settings)
    with crm.client.application.test_client() as client:
        yield client


def log_in(crm: Crm, browser: FlaskClient, role: str = "owner") -> str:
    """The token that forms repeat."""
    browser.post("/login", data={"email": crm.users[role].email, "password": PASSWORD})
    found = re.search(r'name="csrf_token" value="([^"]+)"', browser.get("/").text)
    assert found is not None
    return found[1]


def send(crm: Crm, content: bytes, role: str = "owner", key: str = KEY) -> Any:
    data = {
        "file": FileStorage(BytesIO(content), "<b>fans.csv"),
        "policy": "fillBlanks",
        "key": key,
    }
    # In memory: the client's own way leaves a long body's file open.
    boundary, body = encode_multipart(data)
    kind = f'multipart/form-data; boundary="{boundary}"'
    return crm.call("POST", f"{PLACE}/imports", role, data=body, content_type=kind)


def test_a_file_is_checked_imported_and_taken_back(crm: Crm) -> None:
    made = send(crm, b"Username,Email\nann,ann@example.com\n<script>x,no\n")
    assert made.status_code == 303
    path = made.headers["Location"]
    work_off(crm)
    shown = crm.get(path).text
    assert "nothing is imported yet" in shown
    assert "2 lines = 1 created + 0 updated + 0 skipped + 1 failed" in shown
    assert "<script>x" not in shown
    assert "&lt;b&gt;fans.csv" in shown
    assert crm.sql("SELECT count(*) AS n FROM fans")[0].n == 0
    crm.call("POST", f"{path}/confirm", data={"key": "2" * 32})
    work_off(crm)
    assert crm.sql("SELECT count(*) AS n FROM fans")[0].n == 1
    assert "Undo this import" in crm.get(path).text
    crm.call("POST", f"{path}/undo", data={"key": "3" * 32})
    work_off(crm)
    assert "Taken back: 1 fans" in crm.get(path).text


def test_a_double_submit_is_one_import(crm: Crm) -> None:
    send(crm, b"Username\nann\n")
    send(crm, b"Username\nann\n")
    assert crm.sql("SELECT count(*) AS n FROM imports")[0].n == 1


def test_refusals_stand_on_the_page(crm: Crm) -> None:
    assert "it is empty" in send(crm, b"").text
    big = send(crm, b"x" * (crm.services.settings.csv_max_bytes + 1))
    assert (big.status_code, "too large" in big.text) == (413, True)
    none = crm.call("POST", f"{PLACE}/imports", data={"policy": ""})
    assert "choose a CSV file" in none.text


def test_only_who_may_import_does(crm: Crm) -> None:
    assert "Import fans from a file" not in crm.get(PLACE, "chatter").text
    assert send(crm, b"Username\nann\n", "chatter").status_code == 403
    made = send(crm, b"Username\nann\n").headers["Location"]
    assert crm.get(made, "stranger").status_code == 404
    assert crm.get(made, "chatter").status_code == 403


def test_a_long_body_is_not_read_of_who_may_not_send_it(crm: Crm, browser: FlaskClient) -> None:
    kind = "multipart/form-data; boundary=x"
    log_in(crm, browser, "chatter")
    assert (
        browser.post(
            f"{PLACE}/imports", input_stream=Unread(b"x" * 9999), content_type=kind
        ).status_code
        == 403
    )
    browser.set_cookie("huntaze_login", "forged")
    assert browser.post(
        f"{PLACE}/imports", input_stream=Unread(b"x" * 9999), content_type=kind
    ).status_code in {303, 401}


def test_a_foreign_page_uploads_and_connects_nothing(crm: Crm, browser: FlaskClient) -> None:
    log_in(crm, browser)
    file = {"file": (BytesIO(b"Username\nann\n"), "fans.csv")}
    assert browser.post(f"{PLACE}/imports", data=file).status_code == 403
    assert browser.post(PLACE, data={"account_id": "acct_vera"}).status_code == 403
    assert crm.sql("SELECT count(*) AS n FROM imports")[0].n == 0


def test_columns_are_named_by_hand(crm: Crm) -> None:
    path = send(crm, b"Who,Where\nann,ann@example.com\n<i>bob,\n").headers["Location"]
    work_off(crm)
    shown = crm.get(path).text
    assert "No column is Username" in shown
    assert '<option value="Where">' in shown
    assert "&lt;i&gt;bob" in shown
    none = crm.call("POST", f"{path}/again", data={"policy": "skip"})
    assert (none.status_code, "it says who a fan is" in none.text) == (422, True)
    named = {"column-Username": "Who", "column-Email": "Where", "tags": "june, vip"}
    assert crm.call("POST", f"{path}/again", data=named).status_code == 303
    work_off(crm)
    assert "Email: ann@example.com" in crm.get(f"{path}?show=create").text
    crm.call("POST", f"{path}/confirm")
    work_off(crm)
    fans = crm.sql("SELECT handle, email, tags FROM fans WHERE email IS NOT NULL")
    assert [(fan.handle, fan.email, fan.tags) for fan in fans] == [
        ("@ann", "ann@example.com", ["june", "vip"])
    ]


def test_errors_come_in_pages(crm: Crm) -> None:
    lines = "".join(f"fan{number},no\n" for number in range(60))
    path = send(crm, f"Username,Email\n{lines}".encode()).headers["Location"]
    work_off(crm)
    shown = crm.get(path).text
    more = re.search(r'hx-get="([^"]+cursor[^"]+)"', shown)
    assert more is not None
    rest = crm.get(more[1].replace("&amp;", "&"), headers={"HX-Request": "true"}).text
    assert shown.count("Invalid email format") + rest.count("Invalid email format") == 60
    assert "<html" not in rest


def test_an_account_is_connected_by_its_key(crm: Crm) -> None:
    data = {"account_id": "acct_vera", "access_key": "secret-key", "name": "Vera", "key": KEY}
    for _ in range(2):
        assert crm.call("POST", PLACE, data=data).status_code == 303
    shown = crm.get(PLACE).text
    assert (shown.count('<b class="break">Vera'), "secret-key" in shown) == (1, False)
    wrong = crm.call("POST", PLACE, data={"account_id": "<b>", "access_key": "secret-key"})
    assert wrong.status_code == 422
    assert "use the gateway&#39;s id" in wrong.text
    assert "&lt;b&gt;" in wrong.text
    assert "secret-key" not in wrong.text
    again = crm.call("POST", PLACE, data={"account_id": "acct_vera"})
    assert "connected already" in again.text
    crm.accounts.is_away = True
    away = crm.call("POST", PLACE, data={"account_id": "acct_new"})
    assert (away.status_code, "does not answer" in away.text) == (503, True)
    assert crm.call("POST", PLACE, "chatter", data=data).status_code == 403


def set_out(browser: FlaskClient) -> str:
    """The word that the gateway is given."""
    left = browser.get(f"{PLACE}/gateway")
    target = urlsplit(left.headers["Location"])
    assert target.netloc == "gateway.example"
    told = parse_qs(target.query)
    assert told["plan"] == ["1"]
    assert told["return_to"][0].endswith(f"{PLACE}/return")
    return told["state"][0]


def accounts(crm: Crm) -> int:
    return int(crm.sql("SELECT count(*) AS n FROM platform_connections")[0].n)


def test_an_account_comes_back_from_the_gateway(crm: Crm, browser: FlaskClient) -> None:
    log_in(crm, browser)
    before, state = accounts(crm), set_out(browser)
    for _ in range(2):  # A reload connects nothing more.
        back = browser.get(f"{PLACE}/return?state={state}&account_id=acct_vera")
        assert back.status_code == 303
    assert accounts(crm) == before + 1
    assert "is connected" in browser.get(PLACE).text
    other = browser.get(f"{PLACE}/return?state={state}&account_id=acct_other")
    assert (other.status_code, accounts(crm)) == (303, before + 1)
    denied = browser.get(f"{PLACE}/return?state={state}&error=access_denied")
    assert denied.status_code == 303
    assert "No account was connected" in browser.get(PLACE).text
    crm.sql("UPDATE platform_connections SET state = 'paused_auth' WHERE account_id = 'acct_vera'")
    browser.get(f"{PLACE}/return?state={set_out(browser)}&account_id=acct_vera")
    [row] = crm.sql("SELECT state FROM platform_connections WHERE account_id = 'acct_vera'")
    assert row.state == "active"


def test_a_foreign_or_old_way_back_connects_nothing(crm: Crm, browser: FlaskClient) -> None:
    log_in(crm, browser)
    before, state = accounts(crm), set_out(browser)
    old = crm.services.tokens.seal("connect", "somebody", datetime.now(UTC) - timedelta(1))
    log_in(crm, browser)  # Another login: the way back of the first is not its own.
    for word in (state, old, "", "x.y.z", "9" * 400 + ".a.b", state[:-1] + "é"):
        back = browser.get(f"{PLACE}/return", query_string={"state": word, "account_id": "acct_v"})
        assert (back.status_code, "is not yours" in back.text) == (403, True)
    assert accounts(crm) == before
    assert crm.get(f"{PLACE}/return?state={state}", "chatter").status_code == 403
    assert browser.get(f"{PLACE}/gateway").headers["Referrer-Policy"] == "same-origin"
