"""What the platform says of messages and purchases, as rows.

Every fact may come twice and in any order. A message of ours that the platform shows before its
send was recorded is the delicate one: it must end as one row."""

from collections.abc import Sequence
from datetime import datetime

from domain.connections import Connection
from domain.inbound import FanSeen, MessageDeleted, MessagePurchased, MessageSeen
from domain.messages import Message, State
from domain.ports import PlatformMessage
from domain.purchases import paid, purchased
from domain.repositories import Doubtful, KnownFan, UnitOfWork
from domain.services.inbound_fans import fan_of, stamp
from domain.services.settling import Verdict, decide, matching


def message_seen(
    work: UnitOfWork,
    connection: Connection,
    seen: MessageSeen,
    now: datetime,
    *,
    others: Sequence[MessageSeen] = (),
    is_final: bool,
) -> tuple[KnownFan | None, bool]:
    """The fan, and whether the fact found its row; False = one of our messages may be it, look
    again later. `others` are like facts that wait too; with `is_final` nothing waits any longer."""
    wrote_at = None if seen.from_us else seen.created_at
    fan = fan_of(work, connection, seen.fan, now, wrote_at=wrote_at)
    held = work.inbound.message(connection.id, seen.platform_message_id)
    if held is not None:
        if held.direction == "out":
            work.inbound.confirm(held.id, seen)
            if fan and held.price_cents:
                match_purchases(work, connection, fan, held.price_cents)
        return fan, True
    if fan is None:
        return None, True
    if seen.from_us:
        doubtful = work.inbound.in_doubt(fan.id)
        if doubtful and not is_final:
            return fan, False
        ours = _ours(work, doubtful, [seen, *others], now)
        if ours is not None and work.messages.move(
            ours,
            State.DELIVERED,
            platform_message_id=seen.platform_message_id,
            sent_at=seen.created_at,
        ):
            work.inbound.confirm(ours.id, seen)
            if seen.price_cents:
                match_purchases(work, connection, fan, seen.price_cents)
            return fan, True
    _store(work, connection, fan, seen)
    return fan, True


def _store(work: UnitOfWork, connection: Connection, fan: KnownFan, seen: MessageSeen) -> None:
    """A row of its own: the fan wrote, or the creator somewhere else."""
    conversation = work.inbound.conversation(fan, connection)
    work.inbound.add_message(fan, connection, conversation, seen)
    work.inbound.touch(conversation, is_direct=not seen.is_mass)
    if seen.from_us and seen.price_cents:
        match_purchases(work, connection, fan, seen.price_cents)


def _ours(
    work: UnitOfWork, doubtful: Sequence[Doubtful], events: Sequence[MessageSeen], now: datetime
) -> Message | None:
    """The oldest of our messages that the events prove sent: as many events as look-alikes, so
    that which gets which id makes no difference."""
    by_id = {one.platform_message_id: one for one in events}
    shown = [platform_message(one) for one in by_id.values()]
    for one in doubtful:
        found = matching(one, shown)
        is_it = any(candidate.id == events[0].platform_message_id for candidate in found)
        # One that is queued again leaves with its old key, and gets this id as its answer.
        if not is_it or one.message.state is State.QUEUED:
            continue
        if decide(one, len(found), work.queue.twins(one.message), now) is Verdict.SENT:
            return one.message
    return None


def platform_message(seen: MessageSeen) -> PlatformMessage:
    """As the chat would show it."""
    return PlatformMessage(
        id=seen.platform_message_id,
        from_us=seen.from_us,
        text=seen.text,
        price_cents=seen.price_cents,
        media_count=len(seen.attachments) if seen.media_count is None else seen.media_count,
        created_at=seen.created_at,
        attachments=seen.attachments,
        is_opened=seen.is_opened,
    )


def message_deleted(
    work: UnitOfWork, connection: Connection, fact: MessageDeleted, now: datetime
) -> None:
    """Also before the message itself: whoever stores it then finds it gone."""
    held = work.inbound.message(connection.id, fact.platform_message_id)
    at = fact.happened_at or now
    if held is None:
        work.inbound.remember_deleted(connection.id, fact.platform_message_id, at)
        return
    work.inbound.delete(held.id, at)
    work.inbound.touch(held.conversation_id, is_direct=False)


def message_purchased(
    work: UnitOfWork, connection: Connection, fact: MessagePurchased, now: datetime
) -> KnownFan | None:
    """Remember the purchase and find its message among all of that price."""
    who: FanSeen = fact.fan
    fan = fan_of(work, connection, who, now)
    if fan is None:
        return None
    work.purchases.remember(
        connection.id,
        fact.platform_id or f"{who.platform_user_id} {fact.price_cents} {stamp(fact.happened_at)}",
        who.platform_user_id,
        fact.price_cents,
        fact.happened_at,
    )
    match_purchases(work, connection, fan, fact.price_cents)
    return fan


def match_purchases(
    work: UnitOfWork, connection: Connection, fan: KnownFan, price_cents: int
) -> None:
    """Say anew which messages of this price were bought, and which payments paid them."""
    messages = work.purchases.priced(fan, connection.id, price_cents)
    bought = purchased(messages, work.purchases.purchases(fan, connection.id, price_cents))
    for message in messages:
        if message.purchased_at != bought.get(message.id):
            work.purchases.set_purchased(message.id, bought.get(message.id))
    payments = work.purchases.payments(fan, connection.id, price_cents)
    links = paid(messages, bought, payments)
    for payment in payments:
        if payment.message_id != links.get(payment.id):
            work.purchases.set_paid(payment.id, links.get(payment.id))
