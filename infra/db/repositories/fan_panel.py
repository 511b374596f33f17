"""What stands beside a thread, collected from the fan's rows."""

from collections.abc import Sequence

from sqlalchemy import func, select
from sqlalchemy import text as sql
from sqlalchemy.orm import Session

from domain.conversations import PANEL_LENGTH, PREVIEW_LENGTH, Bought, FanPanel, SentMedia
from domain.fans import FanId
from domain.users import OwnerId
from infra.db.repositories.merges import family
from infra.db.tables import FanRow, MessageRow, TransactionRow

# What failed, was cancelled or was taken back has not reached the fan.
REACHED = ("queued", "sending", "unknown", "sent", "delivered")


def panel_of(session: Session, owner_id: OwnerId, fan_id: FanId) -> FanPanel:
    fan = session.scalars(
        select(FanRow).where(FanRow.id == fan_id, FanRow.user_id == owner_id)
    ).one()
    gross, net = session.execute(
        select(
            func.coalesce(func.sum(TransactionRow.gross_cents), 0),
            func.coalesce(func.sum(TransactionRow.net_cents), 0),
        ).where(
            TransactionRow.fan_id == fan_id,
            TransactionRow.user_id == owner_id,
            TransactionRow.reversed_at.is_(None),
        )
    ).one()
    # What a merged fan got and bought, this one has.
    fans = family(session, fan_id)
    return FanPanel(
        value_cents=fan.value_cents,
        tips_cents=fan.tips_cents,
        gross_cents=int(gross),
        net_cents=int(net),
        last_purchase_at=fan.last_purchase_at,
        subscription_ends_at=fan.subscription_ends_at,
        notes=fan.notes,
        already_sent=_already_sent(session, owner_id, fans),
        already_bought=_already_bought(session, owner_id, fans),
    )


def _already_sent(
    session: Session, owner_id: OwnerId, fans: Sequence[FanId]
) -> Sequence[SentMedia]:
    rows = session.scalars(
        select(MessageRow)
        .where(
            MessageRow.fan_id.in_(fans),
            MessageRow.user_id == owner_id,
            MessageRow.state.in_(REACHED),
            MessageRow.deleted_at.is_(None),
            MessageRow.direction == "out",
            sql("attachments <> '[]'::jsonb"),
        )
        .order_by(MessageRow.created_at.desc(), MessageRow.id.desc())
        .limit(PANEL_LENGTH)
    )
    media = [
        SentMedia(row.id, item["type"], item["url"], row.created_at)
        for row in rows
        for item in row.attachments
    ]
    return media[:PANEL_LENGTH]


def _already_bought(session: Session, owner_id: OwnerId, fans: Sequence[FanId]) -> Sequence[Bought]:
    rows = session.scalars(
        select(MessageRow)
        .where(
            MessageRow.fan_id.in_(fans),
            MessageRow.user_id == owner_id,
            MessageRow.purchased_at.is_not(None),
        )
        .order_by(MessageRow.purchased_at.desc(), MessageRow.id.desc())
        .limit(PANEL_LENGTH)
    )
    return [
        Bought(
            row.id,
            row.text[:PREVIEW_LENGTH],
            row.price_cents or 0,
            tuple(item["url"] for item in row.attachments),
            row.purchased_at,
        )
        for row in rows
        if row.purchased_at is not None
    ]
