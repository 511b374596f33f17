"""The page of accounts and imports: uploads, refusals, escaping, and who may."""

from io import BytesIO
from typing import Any

from tests.crm import Crm
from tests.importing import work_off

PLACE = "/platforms/connect/onlyfans"


def send(crm: Crm, content: bytes, role: str = "owner", once: str = "1") -> Any:
    data = {"file": (BytesIO(content), "<b>fans.csv"), "policy": "fillBlanks", "once": once}
    return crm.call("POST", f"{PLACE}/imports", role, data=data)


def test_a_file_is_checked_imported_and_taken_back(crm: Crm) -> None:
    made = send(crm, b"Username,Email\nann,ann@example.com\n<script>x,no\n")
    assert made.status_code == 303
    path = made.headers["Location"]
    work_off(crm)
    shown = crm.get(path).text
    assert "nothing is imported yet" in shown
    assert "<script>x" not in shown
    assert "&lt;b&gt;fans.csv" in shown
    assert crm.sql("SELECT count(*) AS n FROM fans")[0].n == 0
    crm.call("POST", f"{path}/confirm", data={"once": "2"})
    work_off(crm)
    assert crm.sql("SELECT count(*) AS n FROM fans")[0].n == 1
    assert "Undo this import" in crm.get(path).text
    crm.call("POST", f"{path}/undo", data={"once": "3"})
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
