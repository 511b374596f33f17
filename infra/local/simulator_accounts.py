"""The simulated platform's endpoints of an account: profile, chats, fans, money, media."""

import re
from collections.abc import Callable

from infra.local.simulator_calls import Call, Disturbed
from infra.local.simulator_faults import Reply, json_reply
from infra.local.simulator_wire import (
    CREATOR_ID,
    chat_view,
    envelope,
    fan_view,
    money_view,
    naive,
    number,
    paged,
    short_fan_view,
    whole,
)
from infra.local.simulator_world import SimFan

# Fewer than may be asked for, as integrators see.
FANS_MOST = 20
MEDIA_TYPES = {
    b"\xff\xd8\xff": "photo",
    b"\x89PNG": "photo",
    b"GIF8": "gif",
    b"ID3": "audio",
    b"\xff\xfb": "audio",
}


def show_profile(call: Call, account: str) -> Reply | Disturbed:
    name = account.removeprefix("acct_")
    content = {
        "view": "m",
        "id": CREATOR_ID,
        "name": name.capitalize(),
        "username": name.lower(),
        "avatar": None,
        "isPerformer": True,
    }
    return call.read(account, None, envelope(content))


def list_chats(call: Call, account: str) -> Reply | Disturbed:
    world = call.state.world
    chats = [
        chat_view(world.fan(account, chat), last, world, call.arrived_at)
        for chat, last in call.state.ledger.chats(account)
    ]
    if call.query.get("filter") == "unread":
        chats = [chat for chat in chats if chat["unreadMessagesCount"]]
    return call.read(account, None, paged(chats, call.query, call.path))


def fans(which: str) -> Callable[[Call, str], Reply | Disturbed]:
    """The endpoint of one list of fans: all, active, expired or latest."""

    def list_fans(call: Call, account: str) -> Reply | Disturbed:
        now = call.arrived_at
        shown = [
            fan_view(fan, now)
            for fan in call.state.world.fans(account)
            if which in {"all", "latest"} or (fan.expires_at > now) == (which == "active")
        ]
        return call.read(account, None, paged(shown, call.query, call.path, most=FANS_MOST))

    return list_fans


def show_user(call: Call, account: str, name: str) -> Reply | Disturbed:
    """Somebody by name or id; whoever is no fan is shown without a subscription."""
    for fan in call.state.world.fans(account):
        if name.lower() in {fan.username.lower(), fan.id}:
            return call.read(account, None, envelope(fan_view(fan, call.arrived_at)))
    if name.startswith("stranger"):
        stranger = SimFan(account, "999999", name, name)
        return call.read(account, None, envelope(short_fan_view(stranger)))
    content = {
        "error": "ONLYFANS_COM_ERROR",
        "message": "User not found",
        "onlyfans_response": {"status": 404, "body": {"error": {"message": "Not found"}}},
    }
    return json_reply(404, content)


def list_transactions(call: Call, account: str) -> Reply | Disturbed:
    """Newest first; `marker` goes on behind the transaction it names."""
    world, limit = call.state.world, max(1, min(whole(call.query.get("limit"), 10), 100))
    start = call.query.get("startDate", "")
    rows = [
        money_view(one, world.fan(account, one.fan))
        for one in world.money(account)
        if not start or naive(one.at) >= start
    ]
    ids = [row["id"] for row in rows]
    marker = call.query.get("marker")
    rest = rows[ids.index(marker) + 1 :] if marker in ids else rows
    more = len(rest) > limit
    content = {
        "list": rest[:limit],
        "marker": marker,
        "nextMarker": rest[limit - 1]["id"] if more else None,
        "hasMore": more,
    }
    return call.read(account, None, envelope(content))


def mark_as_read(call: Call, account: str, chat: str) -> Reply | Disturbed:
    call.state.world.mark_read(account, chat)
    return call.write(account, chat, envelope({"success": True}))


def upload_to_vault(call: Call, account: str) -> Reply | Disturbed:
    """A file that messages may carry again and again."""
    return _upload(call, account, is_vault=True)


def upload_for_message(call: Call, account: str) -> Reply | Disturbed:
    """A file that one message may carry."""
    return _upload(call, account, is_vault=False)


def _upload(call: Call, account: str, *, is_vault: bool) -> Reply | Disturbed:
    content = _file_of(call)
    if not content:
        problem = {
            "error": "VALIDATION_ERROR",
            "message": "The given data was invalid.",
            "errors": {"file": ["The file field is required."]},
        }
        return json_reply(422, problem)
    kinds = (kind for start, kind in MEDIA_TYPES.items() if content.startswith(start))
    file = call.state.world.keep_media(
        account, next(kinds, "video"), len(content), is_vault=is_vault
    )
    if is_vault:
        shown = {"id": number(file.id), "type": file.type, "size": file.bytes, "isReady": True}
        return call.write(account, None, envelope(shown))
    return call.write(account, None, {"prefixed_id": file.id, "file_name": "file"})


def _file_of(call: Call) -> bytes | None:
    """The part `file` of a multipart body."""
    boundary = re.search(r'boundary="?([^";]+)', call.content_type)
    if boundary is None:
        return None
    for part in call.body.split(b"--" + boundary[1].encode()):
        head, found, content = part.partition(b"\r\n\r\n")
        if found and re.search(rb'\bname="file"', head):
            return content.removesuffix(b"\r\n")
    return None
