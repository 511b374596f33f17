"""Imports as users ask for them over HTTP; the workers' part is done in between."""

import csv
import io
import threading
from datetime import UTC, datetime
from typing import Any

import pytest

from api import imports as handlers
from tests.crm import Crm
from tests.importing import upload, work_off

HEADER = "Username,Display Name,Email,Subscription Tier,Total Spent,Last Seen\n"
JOHN = "johndoe,John Doe,john@example.com,Premium,$500.00,2025-11-01\n"
PATH = "/api/onlyfans/import/csv"


def done(crm: Crm, answer: Any, role: str = "owner") -> Any:
    """The import's own page once the workers are through."""
    assert answer.status_code in {200, 202}, answer.json
    work_off(crm)
    return crm.get(answer.json["statusUrl"], role).json


def test_the_example_of_the_contract_comes_out_as_it_says(crm: Crm) -> None:
    lines = [f"fan{number},Fan {number},f{number}@example.com,,,\n" for number in range(95)]
    # Line 42 and the last have no good email; three repeat an earlier line.
    lines.insert(40, "bad,Bad,john@,,,\n")
    text = HEADER + "".join(lines) + lines[0] * 3 + "worse,Worse,@,,,\n"

    body = done(crm, upload(crm, text))

    assert body["summary"] == {
        "totalRows": 100,
        "successfulInserts": 95,
        "updated": 0,
        "skipped": 3,
        "errors": 2,
    }
    assert [{name: one[name] for name in ("row", "error")} for one in body["errors"]] == [
        {"row": 42, "error": "Invalid email format"},
        {"row": 101, "error": "Invalid email format"},
    ]
    assert body["errors"][0] | {"problems": []} == {
        "row": 42,
        "error": "Invalid email format",
        "field": "Email",
        "value": "john@",
        "code": "email_invalid",
        "problems": [],
    }


def test_every_column_arrives(crm: Crm) -> None:
    body = done(crm, upload(crm, HEADER + JOHN, tags="vip, autumn"))

    assert body["format"]["columns"]["Total Spent"] == "Total Spent"
    [fan] = crm.get("/api/crm/fans?subscriptionTier=Premium").json["fans"]
    assert {name: fan[name] for name in ("name", "platform", "handle", "email", "tags")} == {
        "name": "John Doe",
        "platform": "onlyfans",
        "handle": "@johndoe",
        "email": "john@example.com",
        "tags": ["vip", "autumn"],
    }
    assert (fan["valueCents"], fan["lastSeenAt"]) == (50_000, "2025-11-01T00:00:00.000Z")
    [change] = crm.get(f"/api/crm/fans/{fan['id']}/changes").json["changes"]
    assert (change["source"], change["actorId"]) == ("import", crm.users["owner"].id)


class TestWaiting:
    def test_without_a_worker_it_is_accepted_and_followed(self, crm: Crm) -> None:
        answer = upload(crm, HEADER + JOHN)

        assert answer.status_code == 202
        assert answer.json == {
            "importId": answer.json["importId"],
            "status": "pending",
            "statusUrl": f"{PATH}/{answer.json['importId']}",
        }
        assert answer.headers["Location"] == answer.json["statusUrl"]
        assert answer.headers["Preference-Applied"] == "respond-async"
        [event] = crm.bus.events
        assert event.payload.wire() == {"v": 1, "importId": answer.json["importId"]}

    def test_it_ends_while_the_request_waits(self, crm: Crm) -> None:
        worker = threading.Thread(target=self._work_once_something_came, args=(crm,))
        worker.start()
        answer = upload(crm, HEADER + JOHN, headers={"Prefer": "wait=30"})
        worker.join()

        assert answer.status_code == 200
        assert answer.json["summary"]["successfulInserts"] == 1
        assert answer.headers["Preference-Applied"] == "wait=30"

    @staticmethod
    def _work_once_something_came(crm: Crm) -> None:
        while not crm.bus.events:
            pass
        work_off(crm)

    def test_it_may_end_later_than_the_request_waits(self, crm: Crm) -> None:
        answer = upload(crm, HEADER + JOHN, headers={"Prefer": "handling=lenient, wait=0"})
        assert (answer.status_code, answer.headers["Preference-Applied"]) == (202, "wait=0")

    def test_a_fifth_request_does_not_wait(self, crm: Crm) -> None:
        for _ in range(4):
            handlers.WAITING.acquire()
        try:
            answer = upload(crm, HEADER + JOHN, headers={"Prefer": "wait=30"})
        finally:
            for _ in range(4):
                handlers.WAITING.release()
        assert answer.status_code == 202
        assert "Preference-Applied" not in answer.headers

    def test_a_file_that_is_none_is_refused_with_its_reason(self, crm: Crm) -> None:
        import_id = upload(crm, "Name\nJohn\n").json["importId"]
        work_off(crm)
        answer = crm.post(f"{PATH}/{import_id}/confirm", headers={"Prefer": "wait=0"})
        assert answer.status_code == 202
        work_off(crm)

        body = crm.get(f"{PATH}/{import_id}").json
        assert (body["status"], body["failure"]["code"]) == ("failed", "missing_column")
        assert body["summary"]["totalRows"] == 0


class TestRefusals:
    def test_an_empty_file(self, crm: Crm) -> None:
        answer = upload(crm, "")
        assert (answer.status_code, answer.json["code"]) == (422, "empty_file")
        assert crm.files.files == {}

    def test_a_file_beyond_the_limit(self, crm: Crm) -> None:
        head = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\n'
        answer = crm.call(
            "POST",
            PATH,
            data=head + b"x" * (10 * 1024 * 1024 + 1) + b"\r\n--x--\r\n",
            content_type="multipart/form-data; boundary=x",
        )
        assert (answer.status_code, answer.json["code"]) == (413, "file_too_large")
        assert "10 MB" in answer.json["error"]
        assert crm.sql("SELECT count(*) AS n FROM imports")[0].n == 0
        assert crm.files.files == {}

    def test_a_body_beyond_all_limits_before_it_is_read(self, crm: Crm) -> None:
        answer = crm.call(
            "POST",
            PATH,
            content_type="multipart/form-data; boundary=x",
            environ_overrides={"CONTENT_LENGTH": str(50 * 1024 * 1024)},
        )
        assert (answer.status_code, answer.json["code"]) == (413, "file_too_large")

    @pytest.mark.parametrize(
        ("fields", "named"),
        [
            ({"policy": "delete"}, "policy"),
            ({"mapping": "{"}, "mapping"),
            ({"mapping": '{"Username": 5}'}, "mapping"),
            ({"mapping": '{"Shoe": "Size", "Username": "U"}'}, "mapping"),
            ({"mapping": '{"Email": "E"}'}, "mapping"),
            ({"encoding": "ebcdic"}, "encoding"),
            ({"delimiter": "x"}, "delimiter"),
            ({"tags": "a" * 51}, "tags"),
            ({"repeat": "perhaps"}, "repeat"),
            ({"colour": "red"}, "colour"),
        ],
    )
    def test_options_that_are_none(self, crm: Crm, fields: dict[str, str], named: str) -> None:
        answer = upload(crm, HEADER + JOHN, **fields)
        assert answer.status_code == 422
        assert [one["field"] for one in answer.json["details"]] == [named]
        assert crm.files.files == {}

    def test_a_store_that_is_away(self, crm: Crm) -> None:
        crm.files.away = True
        answer = upload(crm, HEADER + JOHN)
        assert (answer.status_code, answer.json["code"]) == (503, "storage_unavailable")
        assert crm.sql("SELECT count(*) AS n FROM imports")[0].n == 0

    def test_a_role_that_may_not(self, crm: Crm) -> None:
        for role in ("chatter", "analyst"):
            assert upload(crm, HEADER + JOHN, role=role).status_code == 403


class TestTheSameFile:
    def test_is_recognised(self, crm: Crm) -> None:
        first = upload(crm, HEADER + JOHN).json["importId"]

        again = upload(crm, HEADER + JOHN, name="other.csv")

        assert (again.status_code, again.json["code"]) == (409, "same_file")
        assert again.json["details"] == [{"field": "importId", "message": str(first)}]
        assert len(crm.files.files) == 1

    def test_is_imported_again_if_asked(self, crm: Crm) -> None:
        first = upload(crm, HEADER + JOHN).json["importId"]
        work_off(crm)
        for how in ({"repeat": "true"}, {"query": "?repeat=true"}):
            body = done(crm, upload(crm, HEADER + JOHN, **how))  # type: ignore[arg-type]
            assert body["summary"]["skipped"] == 1
            assert body["sameFileAs"] >= first

    def test_may_be_tried(self, crm: Crm) -> None:
        first = upload(crm, HEADER + JOHN).json["importId"]
        tried = done(crm, upload(crm, HEADER + JOHN, dryRun="true"))
        assert tried["sameFileAs"] == first

    def test_of_another_owner_is_another(self, crm: Crm) -> None:
        upload(crm, HEADER + JOHN)
        assert upload(crm, HEADER + JOHN, role="stranger").status_code == 202

    def test_after_an_undo_is_new(self, crm: Crm) -> None:
        body = done(crm, upload(crm, HEADER + JOHN))
        done(crm, crm.post(f"{body['statusUrl']}/undo", headers={"Prefer": "respond-async"}))
        assert upload(crm, HEADER + JOHN).status_code == 202

    def test_with_one_key_is_one_import(self, crm: Crm) -> None:
        key = {"Idempotency-Key": "k"}
        first = upload(crm, HEADER + JOHN, headers=key)
        again = upload(crm, HEADER + JOHN, headers=key)

        assert again.json == first.json
        assert again.headers["Idempotent-Replayed"] == "true"
        assert len(crm.files.files) == 1
        other = upload(crm, HEADER, headers=key)
        assert (other.status_code, other.json["code"]) == (422, "idempotency_key_reused")
        assert len(crm.files.files) == 1


class TestDryRun:
    def test_shows_line_by_line_what_it_would_do_and_is_confirmed(self, crm: Crm) -> None:
        known = crm.fan("johndoe", handle="@johndoe", connection_id=None)
        text = HEADER + JOHN + "new,New,,,,\nnew,New,,,,\nbad one,,,,,\n"

        tried = done(crm, upload(crm, text, query="?dryRun=true"))

        assert (tried["status"], tried["dryRun"]) == ("completed", True)
        assert tried["undo"]["until"] is None
        assert crm.get(f"/api/crm/fans/{known}").json["fan"]["email"] is None
        url = tried["statusUrl"]
        lines = crm.get(f"{url}/preview").json["lines"]
        assert [(one["row"], one["action"], one["fanId"]) for one in lines] == [
            (2, "update", known),
            (3, "create", None),
            (4, "skip", None),
        ]
        assert lines[0]["changes"]["email"] == "john@example.com"
        assert crm.get(f"{url}/preview?action=create").json["total"] == 1

        confirmed = done(crm, crm.post(f"{url}/confirm", headers={"Prefer": "respond-async"}))

        assert confirmed["importId"] == tried["importId"]
        assert confirmed["dryRun"] is False
        assert confirmed["summary"] == tried["summary"]
        assert crm.get(f"/api/crm/fans/{known}").json["fan"]["email"] == "john@example.com"
        assert crm.get(f"{url}/preview").json["lines"] == []

    def test_is_tried_again_with_other_options(self, crm: Crm) -> None:
        crm.fan("John", handle="@johndoe", email="old@example.com", connection_id=None)
        url = done(crm, upload(crm, HEADER + JOHN, dryRun="true", tags="a"))["statusUrl"]

        asked = {"policy": "overwrite", "dryRun": True, "mapping": {"Username": "Username"}}
        again = done(crm, crm.post(f"{url}/confirm", asked, headers={"Prefer": "respond-async"}))

        assert (again["policy"], again["dryRun"], again["tags"]) == ("overwrite", True, ["a"])
        assert again["format"]["source"] == "given"
        [line] = crm.get(f"{url}/preview").json["lines"]
        assert line["changes"]["email"] == "john@example.com"

    def test_what_ran_for_good_is_not_confirmed_again(self, crm: Crm) -> None:
        body = done(crm, upload(crm, HEADER + JOHN))
        answer = crm.post(f"{body['statusUrl']}/confirm")
        assert (answer.status_code, answer.json["code"]) == (409, "import_completed")

    def test_a_file_that_is_forgotten_is_uploaded_again(self, crm: Crm) -> None:
        body = done(crm, upload(crm, HEADER + JOHN, dryRun="true"))
        crm.sql("UPDATE imports SET finished_at = now() - interval '31 days'")
        crm.services.importing.forget_files()
        answer = crm.post(f"{body['statusUrl']}/confirm")
        assert (answer.status_code, answer.json["code"]) == (409, "file_forgotten")


def test_columns_that_were_named_are_remembered(crm: Crm) -> None:
    text = "Who,Contact\nann,ann@example.com\n"
    given = done(crm, upload(crm, text, mapping='{"Username": "Who", "Email": "Contact"}'))
    assert given["format"]["source"] == "given"

    later = done(crm, upload(crm, "CONTACT,who\nbob@example.com,bob\n"))

    assert later["format"]["source"] == "saved"
    assert later["summary"]["successfulInserts"] == 1
    [saved] = crm.get(f"{PATH}/mappings").json["mappings"]
    assert saved["mapping"] == {"Username": "Who", "Email": "Contact"}
    assert crm.call("DELETE", f"{PATH}/mappings/{saved['id']}").status_code == 204
    assert crm.get(f"{PATH}/mappings").json["mappings"] == []


def test_failed_lines_are_listed_filtered_mended_and_imported(crm: Crm) -> None:
    text = HEADER + JOHN + "=cmd,Formula,bad,,-5,\nann,Ann,wrong@,,,\n@bob,Bob,,,x,\n"
    body = done(crm, upload(crm, text))
    url = body["statusUrl"]
    assert body["summary"]["errors"] == 3

    page = crm.get(f"{url}/errors?limit=2").json
    assert [one["row"] for one in page["errors"]] == [3, 4]
    assert page["codes"] == {"email_invalid": 2, "money_invalid": 1}
    assert [one["code"] for one in page["errors"][0]["problems"]] == [
        "email_invalid",
        "money_negative",
    ]
    rest = crm.get(f"{url}/errors?limit=2&cursor={page['nextCursor']}").json
    assert [one["row"] for one in rest["errors"]] == [5]
    assert crm.get(f"{url}/errors?code=money_invalid").json["total"] == 1
    assert [one["row"] for one in crm.get(f"{url}/errors?q=ANN").json["errors"]] == [4]

    file = crm.get(f"{url}/errors.csv")
    assert file.headers["Content-Disposition"].startswith("attachment")
    rows = list(csv.reader(io.StringIO(file.text.removeprefix("\ufeff"))))
    assert rows[0] == [*HEADER.strip().split(","), "Line", "Reason"]
    assert rows[1][0] == "'=cmd"
    assert rows[3][0] == "'@bob"
    assert rows[2][-2:] == ["4", "Email: Invalid email format"]
    mended = io.StringIO()
    rows[1][2], rows[1][4], rows[2][2], rows[3][4] = "f@example.com", "5", "a@example.com", "7"
    csv.writer(mended).writerows(rows)

    again = done(crm, upload(crm, "\ufeff" + mended.getvalue()))

    assert again["summary"]["successfulInserts"] == 3
    assert again["format"]["ignored"] == ["Line", "Reason"]
    handles = {fan["handle"] for fan in crm.get("/api/crm/fans").json["fans"]}
    assert handles == {"@johndoe", "@=cmd", "@ann", "@bob"}


def error_file(crm: Crm, body: dict[str, Any]) -> list[list[str]]:
    text = crm.get(f"{body['statusUrl']}/errors.csv").text
    return list(csv.reader(io.StringIO(text.removeprefix("\ufeff"))))


def written(rows: list[list[str]]) -> str:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue()


def test_a_line_with_too_many_cells_loses_none_and_stays_refused_until_it_is_mended(
    crm: Crm,
) -> None:
    body = done(crm, upload(crm, "Username,Display Name,Email\nbob,Smith,Bob,b@example.com,=x\n"))
    rows = error_file(crm, body)
    assert rows[1][:4] == ["bob", "Smith", "Bob", "2"]
    assert rows[1][5:] == ["b@example.com", "'=x"]

    again = done(crm, upload(crm, written(rows)))
    assert [one["code"] for one in again["errors"]] == ["too_many_cells"]
    assert error_file(crm, again) == rows

    rows[1] = ["bob", "Smith, Bob", "b@example.com", *rows[1][3:5]]
    assert done(crm, upload(crm, written(rows)))["summary"]["successfulInserts"] == 1


def test_a_file_of_failed_lines_that_fails_again_tells_the_new_reasons_only(crm: Crm) -> None:
    rows = error_file(crm, done(crm, upload(crm, "Username,Email\nann,\nbob,bad\n")))
    assert rows[1][2] == "3"

    rows = error_file(crm, done(crm, upload(crm, written(rows))))

    assert rows == [
        ["Username", "Email", "Line", "Reason"],
        ["bob", "bad", "2", "Email: Invalid email format"],
    ]


def test_failed_lines_come_back_with_the_columns_that_were_named_for_their_file(crm: Crm) -> None:
    named = '{"Username": "Who", "Email": "Contact"}'
    rows = error_file(crm, done(crm, upload(crm, "Who,Contact\nann,bad\n", mapping=named)))
    rows[1][1] = "ann@example.com"

    again = done(crm, upload(crm, written(rows)))

    assert again["format"]["source"] == "saved"
    assert again["format"]["ignored"] == ["Line", "Reason"]
    assert again["summary"]["successfulInserts"] == 1


class TestLife:
    def test_a_pending_import_is_cancelled(self, crm: Crm) -> None:
        url = upload(crm, HEADER + JOHN).json["statusUrl"]
        assert crm.post(f"{url}/cancel").json["status"] == "cancelled"
        work_off(crm)
        assert crm.get(url).json["summary"]["totalRows"] == 0
        again = crm.post(f"{url}/cancel")
        assert (again.status_code, again.json["code"]) == (409, "import_cancelled")

    def test_an_undo_is_followed_and_told(self, crm: Crm) -> None:
        url = done(crm, upload(crm, HEADER + JOHN + "ann,Ann,,,,\n"))["statusUrl"]
        [ann] = crm.get("/api/crm/fans?q=ann").json["fans"]
        crm.call("PUT", f"/api/crm/fans/{ann['id']}", json={"notes": "kind"})

        answer = crm.post(f"{url}/undo", headers={"Prefer": "respond-async"})
        assert (answer.status_code, answer.json["status"]) == (202, "undoing")
        answered = crm.get(url).json
        undone = done(crm, answer)

        assert undone["status"] == "undone"
        assert [one["progress"]["percent"] for one in (answered, undone)] == [100, 100]
        told = {name: undone["undo"][name] for name in ("reversed", "kept", "errored")}
        assert told == {"reversed": 1, "kept": 1, "errored": 0}
        [kept] = crm.get(f"{url}/kept").json["fans"]
        assert kept == {
            "fanId": ann["id"],
            "name": "Ann",
            "handle": "@ann",
            "outcome": "kept",
            "reason": "it was changed after the import",
        }
        assert crm.post(f"{url}/undo").json["code"] == "import_undone"

    def test_what_changed_nothing_or_is_long_ago_is_not_undone(self, crm: Crm) -> None:
        nothing = done(crm, upload(crm, HEADER))
        assert crm.post(f"{nothing['statusUrl']}/undo").json["code"] == "nothing_to_undo"
        old = done(crm, upload(crm, HEADER + JOHN))
        crm.sql("UPDATE imports SET finished_at = now() - interval '30 days 1 minute'")
        assert crm.post(f"{old['statusUrl']}/undo").json["code"] == "undo_expired"

    def test_the_history_has_them_all(self, crm: Crm) -> None:
        ids = [upload(crm, HEADER + f"fan{n},,,,,\n").json["importId"] for n in range(3)]
        work_off(crm)
        upload(crm, HEADER + JOHN)

        page = crm.get(f"{PATH}?status=completed&limit=2").json

        assert [one["importId"] for one in page["imports"]] == ids[:0:-1]
        assert page["total"] == 3
        rest = crm.get(f"{PATH}?status=completed&cursor={page['nextCursor']}").json
        assert [one["importId"] for one in rest["imports"]] == ids[:1]
        assert crm.get(PATH, "stranger").json["imports"] == []

    def test_what_was_done_is_in_the_audit_log(self, crm: Crm) -> None:
        url = done(crm, upload(crm, HEADER + JOHN, dryRun="true"))["statusUrl"]
        done(crm, crm.post(f"{url}/confirm", headers={"Prefer": "respond-async"}))
        crm.post(f"{url}/undo", headers={"Prefer": "respond-async"})
        actions = [line["action"] for line in crm.get("/api/audit").json["lines"]]
        assert actions[:3] == ["import.undone", "import.confirmed", "import.uploaded"]


def test_names_of_files_are_harmless(crm: Crm) -> None:
    for name, kept in (
        ("..\\..\\etc/passwd.csv", "passwd.csv"),
        ("<script>.csv", "<script>.csv"),
        ("a" * 300 + ".csv", "a" * 255),
        ("na\tme.csv", "name.csv"),
    ):
        answer = upload(crm, HEADER + JOHN, name=name, repeat="true")
        assert crm.get(answer.json["statusUrl"]).json["fileName"] == kept
    assert all(key.startswith(f"imports/{crm.owner}/") for key in crm.files.files)


def test_a_report_tells_when_it_was_made(crm: Crm) -> None:
    before = datetime.now(UTC)
    body = done(crm, upload(crm, HEADER + JOHN))
    for name in ("createdAt", "startedAt", "finishedAt"):
        assert before.isoformat()[:10] <= body[name][:10]
    assert body["progress"] == {
        "percent": 100,
        "bytesRead": len(HEADER + JOHN),
        "rows": 1,
    }
