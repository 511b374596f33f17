"""The PlatformAccounts port on the OFAPI gateway: everything a connected account can do but send.

Each method is one request. The gateway's next page is an address of its own; only its query is
taken, so a strange answer cannot lead a key anywhere else."""

import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any, BinaryIO, TypeVar
from urllib.parse import parse_qsl, quote, urlencode, urlsplit
from uuid import uuid4

from domain.inbound import FanSeen, MoneyMoved
from domain.messages import Outcome
from domain.ports import (
    Account,
    Chat,
    Listed,
    PlatformMessage,
    PlatformRefused,
    PlatformUnavailable,
    Profile,
)
from infra.platform import ofapi_wire as wire
from infra.platform.deadline import NO_ANSWER, Answer
from infra.platform.gateway import Gateway
from infra.platform.outcomes import parse, refusal

T = TypeVar("T")
Json = dict[str, Any]

# A chat with its fan takes up to 13 KB, and answers may be 1 MiB long.
CHATS_PAGE, FANS_PAGE, MESSAGES_PAGE, MONEY_PAGE = 25, 50, 50, 50
UPLOAD_PART_BYTES = 64 * 1024
MARK_MAX = 1000
REFUSALS = frozenset(
    {Outcome.AUTH_LOST, Outcome.QUOTA_EXHAUSTED, Outcome.RATE_LIMITED, Outcome.REFUSED}
)


class OfapiAccounts(Gateway):
    """The PlatformAccounts port on the gateway."""

    def profile(self, account: Account, deadline: timedelta) -> Profile:
        """Whose account it is: proof that the id and the key are good."""
        return _read(wire.profile, self._ask(account, "GET", "me", deadline=deadline).get("data"))

    def chats(self, account: Account, mark: str | None, deadline: timedelta) -> Listed[Chat]:
        """The account's chats, the most recently active first."""
        first = {"limit": str(CHATS_PAGE), "order": "recent"}
        return self._list(account, "chats", first, mark, _chat, deadline=deadline)

    def messages(
        self, account: Account, platform_user_id: str, mark: str | None, deadline: timedelta
    ) -> Listed[PlatformMessage]:
        """The messages of one chat, newest first."""
        query = {"limit": str(MESSAGES_PAGE), "order": "desc"}
        if mark is not None:
            query["last_id"] = mark
        place = f"chats/{quote(platform_user_id, safe='')}/messages"
        answer = self._ask(account, "GET", f"{place}?{urlencode(query)}", deadline=deadline)
        items = _items(answer)
        page = _readable(items, lambda item: wire.message(item, platform_user_id))
        last = _last_id(items) if wire.says_more(answer) else None
        return Listed(page, last if last != mark else None, len(items) - len(page))

    def fans(self, account: Account, mark: str | None, deadline: timedelta) -> Listed[FanSeen]:
        """Every fan of the account, past ones included."""
        return self._list(
            account, "fans/all", {"limit": str(FANS_PAGE)}, mark, wire.fan, deadline=deadline
        )

    def find_fan(self, account: Account, handle: str, deadline: timedelta) -> FanSeen | None:
        """The fan of the account with exactly this handle (without @, whatever its case)."""
        place = f"users/{quote(handle, safe='')}"
        answer = self._ask(account, "GET", place, missing_is_fine=True, deadline=deadline)
        found = answer.get("data")
        if not isinstance(found, dict) or not wire.is_fan(found):
            return None
        seen = _read(wire.fan, found)
        return seen if (seen.username or "").lower() == handle.lower() else None

    def transactions(
        self, account: Account, since: datetime, mark: str | None, deadline: timedelta
    ) -> Listed[MoneyMoved]:
        """The account's transactions since an instant, newest first."""
        start = since.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
        query = {"limit": str(MONEY_PAGE), "startDate": start}
        if mark is not None:
            query["marker"] = mark
        answer = self._ask(account, "GET", f"transactions?{urlencode(query)}", deadline=deadline)
        items = _items(answer)
        page = _readable(items, wire.money)
        data = answer["data"]
        on = data.get("nextMarker") if isinstance(data, dict) and wire.says_more(answer) else None
        following = None if on in (None, "") or str(on) == mark else str(on)[:MARK_MAX]
        return Listed(page, following, len(items) - len(page))

    def unsend(
        self, account: Account, platform_user_id: str, message_id: str, deadline: timedelta
    ) -> None:
        """Take a sent message back; one that is gone already is no error."""
        chat, number = quote(platform_user_id, safe=""), quote(message_id, safe="")
        place = f"chats/{chat}/messages/{number}"
        self._ask(account, "DELETE", place, missing_is_fine=True, deadline=deadline)

    def mark_read(self, account: Account, platform_user_id: str, deadline: timedelta) -> None:
        """Tell the platform that the creator has read the chat."""
        place = f"chats/{quote(platform_user_id, safe='')}/mark-as-read"
        self._ask(account, "POST", place, deadline=deadline)

    def upload(self, account: Account, file: BinaryIO, name: str, deadline: timedelta) -> str:
        """Put a file into the account's vault; returns its id there, good for any message."""
        boundary = f"huntaze-{uuid4().hex}"
        safe_name = quote(name[-100:], safe=" ._-()") or "file"
        before = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{safe_name}"'
            "\r\nContent-Type: application/octet-stream\r\n\r\n"
        ).encode()
        after = f"\r\n--{boundary}--\r\n".encode()
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        headers = {
            "Content-Type": f"multipart/form-data; boundary={boundary}",
            "Content-Length": str(len(before) + size + len(after)),
        }
        answer = self._ask(
            account,
            "POST",
            "media/vault",
            headers=headers,
            content=_parts(before, file, after),
            deadline=deadline,
        )
        return _read(_vault_id, answer)

    def _list(
        self,
        account: Account,
        place: str,
        first: dict[str, str],
        mark: str | None,
        reader: Callable[[Any], T],
        *,
        deadline: timedelta,
    ) -> Listed[T]:
        """A list paged by the gateway; the mark is the query of its next page."""
        query = urlencode(first) if mark is None else mark
        answer = self._ask(account, "GET", f"{place}?{query}", deadline=deadline)
        items = _items(answer)
        page = _readable(items, reader)
        on = _next_query(answer, query, len(items)) if wire.says_more(answer) and items else None
        return Listed(page, on if on != query else None, len(items) - len(page))

    def _ask(
        self,
        account: Account,
        method: str,
        place: str,
        *,
        deadline: timedelta,
        headers: dict[str, str] | None = None,
        content: Iterator[bytes] | None = None,
        missing_is_fine: bool = False,
    ) -> Json:
        """One call; its good answer, or {} for a thing that is not there and need not be."""
        key = self._usable_key(account.access_key)
        if key is None:
            raise PlatformRefused(
                Outcome.AUTH_LOST,
                "There is no access key, or it holds characters that no key has.",
            )
        url = f"{self._base_url}/{quote(account.account_id, safe='')}/{place}"
        all_headers = wire.request_headers(key) | (headers or {})
        # A body of no length is one too: without it some servers wait for more.
        body = b"" if content is None and method == "POST" else content
        try:
            answer = self._http.call(
                method, url, all_headers, body, monotonic() + deadline.total_seconds()
            )
        except NO_ANSWER as problem:
            raise PlatformUnavailable(wire.error_code(problem)) from problem
        return _judged(answer, missing_is_fine=missing_is_fine)


def _judged(answer: Answer, *, missing_is_fine: bool) -> Json:
    if answer.status == 204:
        return {}
    against = refusal(answer.status, answer.headers, answer.body, datetime.now(UTC))
    if against is None:
        good = parse(answer.body)
        assert isinstance(good, dict)  # refusal() lets nothing else pass
        return good
    if against.outcome is Outcome.REFUSED and against.status == 404 and missing_is_fine:
        return {}
    if against.outcome in REFUSALS:
        raise PlatformRefused(against.outcome, against.detail, retry_after=against.retry_after)
    raise PlatformUnavailable(f"http_{answer.status}")


def _read(reader: Callable[[Any], T], item: Any) -> T:
    try:
        return reader(item)
    except wire.UNREADABLE as problem:
        raise PlatformUnavailable("the answer cannot be read") from problem


def _items(answer: Json) -> list[Any]:
    return _read(wire.list_of, answer)


def _readable(items: list[Any], reader: Callable[[Any], T]) -> list[T]:
    """What can be read of a page: one strange item must not stop all that come after it."""
    page = []
    for item in items:
        try:
            page.append(reader(item))
        except wire.UNREADABLE:
            continue
    return page


def _chat(item: Any) -> Chat:
    seen = wire.fan(item["fan"])
    last = item.get("lastMessage")
    return Chat(
        fan=seen,
        last_message=wire.message(last, seen.platform_user_id) if last else None,
        unread_count=wire.whole(item.get("unreadMessagesCount") or 0),
    )


def _last_id(items: list[Any]) -> str | None:
    """The id to go on behind, also when the last item itself is beyond reading."""
    for item in reversed(items):
        value = item.get("id") if isinstance(item, dict) else None
        if isinstance(value, int | str) and not isinstance(value, bool):
            return str(value)[:MARK_MAX]
    return None


def _next_query(answer: Json, query: str, count: int) -> str | None:
    """The query of the next page. Pages hold fewer items than were asked for, so an offset that
    runs ahead of what was shown is put right."""
    pagination = answer.get("_pagination")
    address = pagination.get("next_page") if isinstance(pagination, dict) else None
    asked = dict(parse_qsl(query))
    shown_up_to = _offset(asked) + count
    if isinstance(address, str) and len(address) <= MARK_MAX:
        following = dict(parse_qsl(urlsplit(address).query))
    else:
        following = {**asked, "offset": str(shown_up_to)}
    if _offset(following) > shown_up_to:
        following["offset"] = str(shown_up_to)
    return urlencode(following) or None


def _offset(query: dict[str, str]) -> int:
    value = query.get("offset", "")
    return int(value) if value.isascii() and value.isdecimal() and len(value) < 16 else 0


def _vault_id(answer: Json) -> str:
    """The number of a file in the vault; the answer shows the file, or a list of one."""
    data = answer.get("data", answer)
    if isinstance(data, list):
        [data] = data
    media = data.get("media", data)
    if isinstance(media, list):
        [media] = media
    return str(wire.whole(media["id"]))


def _parts(before: bytes, file: BinaryIO, after: bytes) -> Iterator[bytes]:
    yield before
    while part := file.read(UPLOAD_PART_BYTES):
        yield part
    yield after
