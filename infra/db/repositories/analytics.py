"""Sums for analytics. Days and quarters come from the caller's list of moments, never from
PostgreSQL's own idea of a time zone: two lists of zones may differ."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, func, or_, select, union
from sqlalchemy import cast as sql_cast
from sqlalchemy.dialects.postgresql import ARRAY, TEXT
from sqlalchemy.orm import Session

from domain.analytics import (
    AnalyticsFilter,
    FanCounts,
    MessageCounts,
    Money,
    Quarter,
    RevenueDay,
    TagMatch,
    TopFan,
)
from domain.fans import FanId
from domain.messages import State
from domain.users import OwnerId
from infra.db.repositories.fan_lists import MOMENT, plan_anew
from infra.db.tables import ConnectionRow, FanRow, MessageRow, TransactionRow

QUARTER = timedelta(minutes=15)
EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
# Written out, as the partial indexes spell it.
LIVE = FanRow.deleted_at.is_(None)


class SqlAnalyticsRepository:
    """AnalyticsRepository on PostgreSQL."""

    def __init__(self, session: Session) -> None:
        self._session = session

    # Fans

    def fans(self, owner_id: OwnerId, which: AnalyticsFilter, now: datetime) -> FanCounts:
        plan_anew(self._session)
        ours = self._fans(owner_id, which)
        total, value = self._session.execute(
            select(func.count(), func.coalesce(func.sum(FanRow.value_cents), 0)).where(*ours)
        ).one()
        active = (
            select(func.count())
            .select_from(FanRow)
            .where(*ours, FanRow.id.in_(_active(owner_id, now - timedelta(days=which.active_days))))
        )
        return FanCounts(total, self._session.scalar(active) or 0, int(value))

    def top_fans(self, owner_id: OwnerId, which: AnalyticsFilter, limit: int) -> Sequence[TopFan]:
        plan_anew(self._session)
        fans = self._session.scalars(
            select(FanRow)
            .where(*self._fans(owner_id, which))
            .order_by(FanRow.value_cents.desc(), FanRow.id.desc())
            .limit(limit)
        ).all()
        sums = select(TransactionRow.fan_id, *_sums()).where(
            *self._money(owner_id, which), TransactionRow.fan_id.in_([fan.id for fan in fans])
        )
        money = {
            row.fan_id: _money_of(row)
            for row in self._session.execute(sums.group_by(TransactionRow.fan_id))
        }
        return [
            TopFan(
                id=FanId(fan.id),
                name=fan.name,
                handle=fan.handle,
                avatar=fan.avatar,
                value_cents=fan.value_cents,
                money=money.get(fan.id, Money()),
            )
            for fan in fans
        ]

    # Money

    def days(self, owner_id: OwnerId, which: AnalyticsFilter) -> Sequence[RevenueDay]:
        plan_anew(self._session)
        period = which.period
        number = func.width_bucket(
            TransactionRow.happened_at, sql_cast(list(period.midnights[:-1]), ARRAY(MOMENT))
        ).label("number")
        rows = self._session.execute(
            select(number, *_sums()).where(*self._money(owner_id, which)).group_by(number)
        )
        sums = {row.number: _money_of(row) for row in rows}
        return [
            RevenueDay(day, sums.get(number, Money()))
            for number, day in enumerate(period.days, start=1)
        ]

    # Messages

    def messages(self, owner_id: OwnerId, which: AnalyticsFilter) -> MessageCounts:
        plan_anew(self._session)
        sent = self._count(self._messages(owner_id, which, MessageRow.sent_at))
        failed = self._count(
            [
                *self._messages(owner_id, which, MessageRow.failed_at),
                MessageRow.state == State.FAILED.value,
            ]
        )
        return MessageCounts(sent, failed)

    def _count(self, where: Sequence[ColumnElement[bool]]) -> int:
        counted = select(func.count()).select_from(MessageRow).where(*where)
        return self._session.scalar(counted) or 0

    def quarters(self, owner_id: OwnerId, which: AnalyticsFilter) -> Sequence[Quarter]:
        plan_anew(self._session)
        left = _quarter(MessageRow.sent_at)
        sent = self._session.execute(
            select(
                left,
                func.count().label("sent"),
                func.count().filter(MessageRow.state == State.DELIVERED.value).label("delivered"),
                func.count(MessageRow.purchased_at).label("purchased"),
            )
            .where(*self._messages(owner_id, which, MessageRow.sent_at))
            .group_by(left)
        )
        found = [Quarter(row.at, row.sent, row.delivered, row.purchased) for row in sent]
        paid = _quarter(TransactionRow.happened_at)
        money = self._session.execute(
            select(paid, *_sums()).where(*self._money(owner_id, which)).group_by(paid)
        )
        return [*found, *(Quarter(row.at, money=_money_of(row)) for row in money)]

    # What the filters say

    def _fans(self, owner_id: OwnerId, which: AnalyticsFilter) -> list[ColumnElement[bool]]:
        where = [FanRow.user_id == owner_id, LIVE, *_tagged(which)]
        if which.platform is not None:
            where.append(FanRow.platform == which.platform)
        if which.connection_ids:
            where.append(FanRow.connection_id.in_(which.connection_ids))
        return where

    def _money(self, owner_id: OwnerId, which: AnalyticsFilter) -> list[ColumnElement[bool]]:
        where: list[ColumnElement[bool]] = [
            TransactionRow.user_id == owner_id,
            TransactionRow.happened_at >= which.period.since,
            TransactionRow.happened_at < which.period.until,
        ]
        ids = self._connections(owner_id, which)
        if ids is not None:
            fans = select(FanRow.id).where(FanRow.user_id == owner_id)
            if which.platform is not None:
                fans = fans.where(FanRow.platform == which.platform)
            if which.connection_ids:
                fans = fans.where(FanRow.connection_id.in_(which.connection_ids))
            where.append(
                or_(
                    TransactionRow.connection_id.in_(ids),
                    and_(
                        TransactionRow.connection_id.is_(None),
                        TransactionRow.fan_id.in_(fans),
                    ),
                )
            )
        if which.tags:
            where.append(TransactionRow.fan_id.in_(_with_tags(owner_id, which)))
        return where

    def _messages(
        self, owner_id: OwnerId, which: AnalyticsFilter, moment: Any
    ) -> list[ColumnElement[bool]]:
        where: list[ColumnElement[bool]] = [
            MessageRow.user_id == owner_id,
            moment >= which.period.since,
            moment < which.period.until,
        ]
        ids = self._connections(owner_id, which)
        if ids is not None:
            where.append(MessageRow.connection_id.in_(ids))
        if which.tags:
            where.append(MessageRow.fan_id.in_(_with_tags(owner_id, which)))
        return where

    def _connections(self, owner_id: OwnerId, which: AnalyticsFilter) -> list[int] | None:
        """The owner's connections that pass, also those that were disconnected; None: any."""
        if which.platform is None and not which.connection_ids:
            return None
        ours = select(ConnectionRow.id).where(ConnectionRow.user_id == owner_id)
        if which.platform is not None:
            ours = ours.where(ConnectionRow.platform == which.platform)
        if which.connection_ids:
            ours = ours.where(ConnectionRow.id.in_(which.connection_ids))
        return list(self._session.scalars(ours))


def _active(owner_id: OwnerId, since: datetime) -> Any:
    """The ids of fans who are subscribed, or wrote or paid since."""
    subscribed = select(FanRow.id).where(
        FanRow.user_id == owner_id, LIVE, FanRow.subscription == "active"
    )
    # Incoming messages have no state: that is how their index knows them.
    wrote = select(MessageRow.fan_id).where(
        MessageRow.user_id == owner_id,
        MessageRow.state.is_(None),
        MessageRow.created_at >= since,
    )
    paid = select(TransactionRow.fan_id).where(
        TransactionRow.user_id == owner_id,
        TransactionRow.happened_at >= since,
        TransactionRow.reversed_at.is_(None),
        TransactionRow.fan_id.is_not(None),
    )
    return union(subscribed, wrote, paid)


def _tagged(which: AnalyticsFilter) -> list[ColumnElement[bool]]:
    if not which.tags:
        return []
    tags = sql_cast(list(which.tags), ARRAY(TEXT))
    if which.tag_match is TagMatch.ALL:
        return [FanRow.tags.contains(tags)]
    return [FanRow.tags.overlap(tags)]


def _with_tags(owner_id: OwnerId, which: AnalyticsFilter) -> Select[int]:
    """Live fans only: a deleted fan's tags are not told of any more."""
    return select(FanRow.id).where(FanRow.user_id == owner_id, LIVE, *_tagged(which))


def _quarter(moment: Any) -> Any:
    return func.date_bin(QUARTER, moment, EPOCH).label("at")


def _sums() -> list[ColumnElement[Any]]:
    kept = TransactionRow.reversed_at.is_(None)

    def total(column: Any, of: Any) -> Any:
        return func.coalesce(func.sum(column).filter(of), 0)

    return [
        total(TransactionRow.gross_cents, kept).label("gross"),
        total(TransactionRow.net_cents, kept).label("net"),
        total(TransactionRow.fee_cents, kept).label("fees"),
        total(TransactionRow.gross_cents, ~kept).label("refunded"),
        func.count().filter(kept).label("purchases"),
    ]


def _money_of(row: Any) -> Money:
    return Money(int(row.gross), int(row.net), int(row.fees), int(row.refunded), row.purchases)
