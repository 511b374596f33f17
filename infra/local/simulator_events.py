"""What the simulated platform tells by webhook, in the shapes that were captured of the real one:
ids are numbers in messages and strings in notifications, and `user_id` is the creator."""

from infra.local.simulator_ledger import Delivery
from infra.local.simulator_webhooks import Sent, Webhooks
from infra.local.simulator_wire import (
    CREATOR_ID,
    Json,
    describe,
    fan_view,
    instant,
    message_view,
    naive,
    number,
    short_fan_view,
)
from infra.local.simulator_world import SimFan, SimMoney, World


class Events:
    """One method for each thing that happens."""

    def __init__(self, world: World, webhooks: Webhooks) -> None:
        self._world = world
        self._webhooks = webhooks

    def message_sent(self, message: Delivery, *, after: float = 0) -> Sent:
        payload = self._message(message)
        payload["toUser"] = self._fan(message.account, message.chat, message.received_at)
        return self._webhooks.emit(message.account, "messages.sent", payload, after=after)

    def message_received(self, message: Delivery) -> Sent:
        payload = self._message(message)
        payload["fromUser"] = self._fan(message.account, message.chat, message.received_at)
        payload["fanData"] = self._fan_data(message.account, message.chat)
        return self._webhooks.emit(message.account, "messages.received", payload)

    def message_deleted(self, account: str, message_id: int) -> Sent:
        return self._webhooks.emit(account, "messages.deleted", {"id": str(message_id)})

    def message_unlocked(self, message: Delivery, money: SimMoney) -> Sent:
        pairs = {"{NAME}": "fan", "{MESSAGE_LINK}": "<p>message</p>"}
        payload = self._notice(money, "paided_message", "subscriber_pay_for_chat_message", pairs)
        return self._webhooks.emit(message.account, "messages.ppv.unlocked", payload)

    def tip_received(self, money: SimMoney) -> Sent:
        payload = self._notice(money, "tip", "new_tips", {"{POST_DATA}": ""})
        payload |= {"amountGross": money.amount, "amountNet": money.net}
        return self._webhooks.emit(money.account, "tips.received", payload)

    def money_moved(self, money: SimMoney) -> Sent:
        fan = self._world.fan(money.account, money.fan)
        payload: Json = {
            "id": money.id,
            # Without a zone, and UTC all the same.
            "created_at": naive(money.at),
            "type": money.kind,
            "tips_source": "chat" if money.kind == "tip" else None,
            "amount": money.amount,
            "vat_amount": 0,
            "tax_amount": 0,
            "net_amount": money.net,
            "fee_amount": money.fee,
            "currency": "USD",
            "description": describe(money, fan),
            "status": money.status,
            "fan": {
                "id": fan.id,
                "username": fan.username,
                "name": fan.name,
                "display_name": fan.name,
                "avatar": None,
            },
            "fanData": self._fan_data(money.account, money.fan),
        }
        return self._webhooks.emit(money.account, "transactions.new", payload)

    def subscription(self, fan: SimFan, how: str, now: float) -> Sent:
        """`how` is new, renewed or expired."""
        sub_types = {
            "new": "new_subscriber",
            "renewed": "returning_subscriber",
            "expired": "expired_subscriber",
        }
        payload = self._notification(
            fan, f"sub-{int(now * 1000)}", "subscribed", sub_types[how], now
        )
        payload["replacePairs"] = {
            "{SUBSCRIBER_LINK}": f"<a href='https://onlyfans.com/{fan.username}'>fan</a>",
            "{PRICE}": f"${fan.price:.2f}",
        }
        return self._webhooks.emit(fan.account, f"subscriptions.{how}", payload)

    def account_changed(self, account: str, event: str) -> Sent:
        payload: Json = {"id": account, "onlyfans_id": str(CREATOR_ID), "platform": "onlyfans"}
        return self._webhooks.emit(account, f"accounts.{event}", payload)

    def presence(self, account: str, chat: str, what: str) -> Sent:
        """`what` is typing, online or offline; such events carry no key and are never repeated."""
        payload = {"id": number(chat)}
        return self._webhooks.emit(account, f"users.{what}", payload, is_ephemeral=True)

    def _message(self, message: Delivery) -> Json:
        payload = message_view(message, self._world)
        del payload["isSentByMe"], payload["fromUser"]
        return payload

    def _fan(self, account: str, chat: str, now: float) -> Json:
        return fan_view(self._world.fan(account, chat), now)

    def _notice(self, money: SimMoney, kind: str, sub_type: str, pairs: dict[str, str]) -> Json:
        fan = self._world.fan(money.account, money.fan)
        payload = self._notification(fan, f"n-{money.id}", kind, sub_type, money.at)
        payload["replacePairs"] = {**pairs, "{AMOUNT}": f"${money.amount:.2f}"}
        payload["text"] = f"paid you ${money.amount:.2f}"
        return payload

    def _notification(self, fan: SimFan, name: str, kind: str, sub_type: str, at: float) -> Json:
        return {
            "id": name,
            "type": kind,
            "createdAt": instant(at),
            "text": "",
            "subType": sub_type,
            "user_id": str(CREATOR_ID),
            "isRead": False,
            "canGoToProfile": True,
            "user": short_fan_view(fan),
            "fanData": self._fan_data(fan.account, fan.id),
        }

    def _fan_data(self, account: str, chat: str) -> Json:
        paid = [
            one for one in self._world.money(account) if one.fan == chat and one.status != "undo"
        ]
        spent = {
            name: round(sum(one.net for one in paid if one.kind == kind), 2)
            for name, kind in (
                ("messages", "message"),
                ("tips", "tip"),
                ("subscribes", "subscription"),
            )
        }
        total = round(sum(spent.values()), 2)
        return {
            "available": True,
            "spending": {"total": total, **spent, "posts": 0, "streams": 0},
            "previous_reply_at": None,
        }
