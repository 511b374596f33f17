"""The simulated platform's own endpoints below /_admin: faults, settings, and what fans do."""

from dataclasses import replace

from infra.local.simulator_calls import Call, json_object
from infra.local.simulator_faults import BadFault, Reply, error_reply, json_reply
from infra.local.simulator_ledger import Delivery
from infra.local.simulator_page import page
from infra.local.simulator_world import MONTH, SimFan, SimMoney

STATUSES = ("loading", "done", "undo")


def add_fault(call: Call) -> Reply:
    try:
        fault = call.state.faults.add(json_object(call.body))
    except BadFault as problem:
        return error_reply(422, "BAD_FAULT", str(problem))
    return json_reply(201, fault.as_json())


def list_faults(call: Call) -> Reply:
    return json_reply(200, [fault.as_json() for fault in call.state.faults.listed()])


def clear_faults(call: Call) -> Reply:
    call.state.faults.clear()
    return list_faults(call)


def change_settings(call: Call) -> Reply:
    """What is not given stays as it is."""
    state, fields = call.state, json_object(call.body)
    state.three_second_rule = bool(fields.get("threeSecondRule", state.three_second_rule))
    state.latency_ms = float(fields.get("latencyMs", state.latency_ms))
    state.sent_webhook = str(fields.get("sentWebhook", state.sent_webhook))
    state.sent_delay = float(fields.get("sentDelaySeconds", state.sent_delay))
    state.fans_answer = bool(fields.get("fansAnswer", state.fans_answer))
    state.listing_reads = bool(fields.get("listingReads", state.listing_reads))
    content = {
        "threeSecondRule": state.three_second_rule,
        "latencyMs": state.latency_ms,
        "sentWebhook": state.sent_webhook,
        "sentDelaySeconds": state.sent_delay,
        "fansAnswer": state.fans_answer,
        "listingReads": state.listing_reads,
    }
    return json_reply(200, content)


def show_ledger(call: Call) -> Reply:
    deliveries = call.state.ledger.deliveries(call.query.get("account"))
    return json_reply(200, [delivery.as_json() for delivery in deliveries])


def clear_ledger(call: Call) -> Reply:
    call.state.ledger.clear()
    call.state.world.clear()
    return json_reply(200, [])


def show_webhooks(call: Call) -> Reply:
    return json_reply(200, call.state.webhooks.as_json())


def change_webhooks(call: Call) -> Reply:
    """Faults of deliveries, and where they go: {duplicate, shuffleSeconds, drop, delaySeconds,
    badSignature, backoffSeconds, url, secret}."""
    if problem := call.state.webhooks.change(json_object(call.body)):
        return error_reply(422, "VALIDATION_ERROR", problem)
    return show_webhooks(call)


def clear_webhooks(call: Call) -> Reply:
    call.state.webhooks.clear()
    return show_webhooks(call)


def add_inbound(call: Call) -> Reply:
    """A fan writes: {account, chat, text}."""
    if (given := _given(call, "account", "chat", "text")) is None:
        return error_reply(422, "VALIDATION_ERROR", "give account, chat and text")
    account, chat, text = given
    return json_reply(201, call.state.hear(account, chat, text).as_json())


def add_tip(call: Call) -> Reply:
    """A fan tips: {account, chat, amount} in dollars."""
    if (given := _given(call, "account", "chat")) is None or (amount := _amount(call)) is None:
        return error_reply(422, "VALIDATION_ERROR", "give account, chat and amount")
    account, chat = given
    money = call.state.world.pay(account, chat, "tip", amount)
    call.state.events.tip_received(money)
    return _told(call, money)


def add_purchase(call: Call) -> Reply:
    """A fan unlocks a priced message: {account, id}, or {account, chat} for the newest of them."""
    message = _message(call)
    if message is None or not message.from_us or not message.price:
        return error_reply(404, "NOT_FOUND", "there is no priced message of that kind")
    world = call.state.world
    if world.is_bought(message.id):
        return error_reply(409, "BOUGHT", "the fan has it already")
    world.buy(message.id)
    money = world.pay(message.account, message.chat, "message", message.price)
    call.state.events.message_unlocked(message, money)
    return _told(call, money)


def change_subscription(call: Call) -> Reply:
    """A fan subscribes, renews or lets it run out: {account, chat, how: new|renewed|expired,
    username?, name?}."""
    fields, given = json_object(call.body), _given(call, "account", "chat", "how")
    if given is None or given[2] not in {"new", "renewed", "expired"}:
        return error_reply(422, "VALIDATION_ERROR", "give account, chat and how")
    account, chat, how = given
    world, now = call.state.world, call.arrived_at
    fan = world.fan(account, chat)
    fan = replace(
        fan,
        username=str(fields.get("username", fan.username)),
        name=str(fields.get("name", fan.name)),
        last_seen=now,
        subscribed_at=now if how == "new" else fan.subscribed_at,
        expires_at=now if how == "expired" else now + MONTH,
    )
    world.keep_fan(fan)
    call.state.events.subscription(fan, how, now)
    if how == "expired":
        return json_reply(201, {"fan": fan.id, "transaction": None})
    return _told(call, world.pay(account, chat, "subscription", fan.price))


def add_fan(call: Call) -> Reply:
    """Describe a fan: {account, chat, username, name?}; nothing is told."""
    fields, given = json_object(call.body), _given(call, "account", "chat", "username")
    if given is None:
        return error_reply(422, "VALIDATION_ERROR", "give account, chat and username")
    account, chat, username = given
    name = str(fields.get("name", username))
    fan = SimFan(account, chat, username, name, subscribed_at=call.arrived_at)
    call.state.world.keep_fan(fan)
    return json_reply(201, {"fan": fan.id})


def change_transaction(call: Call) -> Reply:
    """The same transaction with another status: {account, id, status: loading|done|undo}."""
    given = _given(call, "account", "id", "status")
    if given is None or given[2] not in STATUSES:
        return error_reply(422, "VALIDATION_ERROR", "give account, id and status")
    money = call.state.world.change_money(*given)
    return _told(call, money) if money else error_reply(404, "NOT_FOUND")


def list_transactions(call: Call) -> Reply:
    account = call.query.get("account", "")
    shown = [
        {"id": one.id, "fan": one.fan, "kind": one.kind, "amount": one.amount, "status": one.status}
        for one in call.state.world.money(account)
    ]
    return json_reply(200, shown)


def delete_message(call: Call) -> Reply:
    """A message leaves its chat, whoever deleted it: {account, id}."""
    message = _message(call)
    if message is None:
        return error_reply(404, "NOT_FOUND")
    call.state.ledger.delete(message.account, message.chat, message.id, message.received_at)
    call.state.events.message_deleted(message.account, message.id)
    return json_reply(200, {"id": str(message.id)})


def open_messages(call: Call) -> Reply:
    """A fan reads what we wrote: {account, chat}; the platform tells nobody."""
    if (given := _given(call, "account", "chat")) is None:
        return error_reply(422, "VALIDATION_ERROR", "give account and chat")
    ours = [one for one in call.state.ledger.chat(*given) if one.from_us]
    for message in ours:
        call.state.world.open(message.id)
    return json_reply(200, {"opened": len(ours)})


def end_session(call: Call) -> Reply:
    """The account's session ends: {account}. Its calls are 401 until it is restored."""
    if (given := _given(call, "account")) is None:
        return error_reply(422, "VALIDATION_ERROR", "give account")
    [account] = given
    call.state.world.end_session(account)
    call.state.events.account_changed(account, "session_expired")
    return json_reply(200, {"account": account, "session": "ended"})


def restore_session(call: Call) -> Reply:
    if (given := _given(call, "account")) is None:
        return error_reply(422, "VALIDATION_ERROR", "give account")
    [account] = given
    call.state.world.restore_session(account)
    call.state.events.account_changed(account, "reconnected")
    return json_reply(200, {"account": account, "session": "live"})


def add_presence(call: Call) -> Reply:
    """A fan types, comes or goes: {account, chat, what: typing|online|offline}."""
    given = _given(call, "account", "chat", "what")
    if given is None or given[2] not in {"typing", "online", "offline"}:
        return error_reply(422, "VALIDATION_ERROR", "give account, chat and what")
    call.state.events.presence(*given)
    return json_reply(201, {"told": given[2]})


def list_media(call: Call) -> Reply:
    shown = [
        {"id": one.id, "type": one.type, "bytes": one.bytes, "isVault": one.is_vault}
        for one in call.state.world.media(call.query.get("account", ""))
    ]
    return json_reply(200, shown)


def health(_call: Call) -> Reply:
    return json_reply(200, {"status": "ok"})


def show_page(call: Call) -> Reply:
    html = page(call.state.ledger.deliveries(), call.state.faults.listed())
    return Reply(200, html.encode(errors="replace"), content_type="text/html; charset=utf-8")


def _told(call: Call, money: SimMoney) -> Reply:
    call.state.events.money_moved(money)
    content = {"fan": money.fan, "transaction": money.id, "status": money.status}
    return json_reply(201, content)


def _given(call: Call, *names: str) -> list[str] | None:
    """The body's texts of these names, if all are there."""
    fields = json_object(call.body)
    values = [fields.get(name) for name in names]
    texts = [value for value in values if isinstance(value, str) and value]
    return texts if len(texts) == len(names) else None


def _amount(call: Call) -> float | None:
    amount = json_object(call.body).get("amount")
    if isinstance(amount, bool) or not isinstance(amount, int | float) or amount <= 0:
        return None
    return float(amount)


def _message(call: Call) -> Delivery | None:
    """The message of {account, id}; of {account, chat}, the newest priced one not bought."""
    fields, state = json_object(call.body), call.state
    account, number = str(fields.get("account")), str(fields.get("id", ""))
    if number.isdecimal():
        return state.ledger.find(account, int(number))
    priced = [
        one
        for one in state.ledger.chat(account, str(fields.get("chat")))
        if one.from_us and one.price and not state.world.is_bought(one.id)
    ]
    return priced[-1] if priced else None
