"""Warm-ups of connections: what campaigns planned for each day, and the outcome of past days."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta

import sqlalchemy as sa

from mailsluice.assignment.warming import DayOutcome, Warming, WarmUpDay, WarmUpState
from mailsluice.bounces import BounceKind
from mailsluice.campaign.warm_up import WarmUp
from mailsluice.core.status import CampaignStatus, RecipientStatus
from mailsluice.store.campaign_tables import CampaignTables, tables_of_all
from mailsluice.store.database import Database
from mailsluice.store.schema import bounces, campaigns, deliveries, warm_up_days, warm_up_plans

_TROUBLE = ("deferred", "failed")  # verdicts of attempts


class WarmUps:
    """The `warm_up_plans` and `warm_up_days` tables."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def lock(self, transaction: sa.Connection) -> None:
        """Keep other launches from planning until this transaction ends, as SQLite does anyway."""
        if not self._database.is_sqlite:
            statement = f"LOCK TABLE {warm_up_plans.name} IN SHARE ROW EXCLUSIVE MODE"
            transaction.exec_driver_sql(statement)

    def states(
        self,
        connection: sa.Connection,
        campaign_id: int | None,
        warm_ups: Mapping[str, WarmUp],
        moment: datetime,
    ) -> dict[str, WarmUpState]:
        """The state of each connection's warm-up for a campaign launched at this moment.

        Connections without a warm-up, or before its start, are left out.
        """
        return {
            name: self._state(connection, campaign_id, name, warm_up, warm_up.today(moment))
            for name, warm_up in warm_ups.items()
            if warm_up.start and warm_up.start <= warm_up.today(moment)
        }

    def _state(
        self,
        reader: sa.Connection,
        campaign_id: int | None,
        name: str,
        warm_up: WarmUp,
        today: date,
    ) -> WarmUpState:
        return WarmUpState(
            warm_up,
            today,
            self._taken(reader, campaign_id, name, today),
            self._outcomes(reader, name, warm_up, today),
        )

    def _taken(
        self, reader: sa.Connection, campaign_id: int | None, name: str, today: date
    ) -> dict[date, int]:
        """Plans of other campaigns by day, without the later days of cancelled campaigns."""
        plans = warm_up_plans.c
        query = (
            sa.select(plans.day, sa.func.sum(plans.planned))
            .join(campaigns, campaigns.c.id == plans.campaign_id)
            .where(
                plans.connection == name,
                plans.day >= today,
                plans.campaign_id != (campaign_id or 0),
                sa.or_(plans.day == today, campaigns.c.status != CampaignStatus.CANCELLED),
            )
            .group_by(plans.day)
        )
        return {day: int(planned) for day, planned in reader.execute(query)}

    def _outcomes(
        self, reader: sa.Connection, name: str, warm_up: WarmUp, today: date
    ) -> dict[date, DayOutcome]:
        plans, days = warm_up_plans.c, warm_up_days.c
        query = (
            sa.select(plans.day, days.attempted, days.troubled, days.complained)
            .outerjoin(
                warm_up_days, sa.and_(days.connection == plans.connection, days.day == plans.day)
            )
            .where(plans.connection == name, plans.day < today, plans.day >= warm_up.start)
            .distinct()
        )
        return {
            day: self._counted(reader, name, warm_up, day)
            if attempted is None
            else DayOutcome(attempted, troubled, complained or 0)
            for day, attempted, troubled, complained in reader.execute(query).all()
        }

    def _counted(self, reader: sa.Connection, name: str, warm_up: WarmUp, day: date) -> DayOutcome:
        """Count a day's outcome, over the campaigns that planned for the connection until then."""
        first, last = warm_up.begins(day), warm_up.begins(day + timedelta(days=1))
        plans = warm_up_plans.c
        ids = sa.select(plans.campaign_id).where(plans.connection == name, plans.day <= day)
        counted = [
            _counted(reader, tables, mine, name, first, last)
            for tables, mine in tables_of_all(self._database, campaigns.c.id.in_(ids))
        ]
        return DayOutcome(
            sum(outcome.attempted for outcome in counted),
            sum(outcome.troubled for outcome in counted),
            sum(outcome.complained for outcome in counted),
        )

    def record(
        self,
        transaction: sa.Connection,
        campaign_id: int,
        warmings: Iterable[Warming],
        states: Mapping[str, WarmUpState],
    ) -> None:
        """Store a campaign's plan, replacing that of an interrupted launch."""
        transaction.execute(
            sa.delete(warm_up_plans).where(warm_up_plans.c.campaign_id == campaign_id)
        )
        for warming in warmings:
            self._record(transaction, campaign_id, warming)
            for day, outcome in states[warming.connection].outcomes.items():
                transaction.execute(
                    sa.update(warm_up_days)
                    .where(
                        warm_up_days.c.connection == warming.connection, warm_up_days.c.day == day
                    )
                    .values(
                        attempted=outcome.attempted,
                        troubled=outcome.troubled,
                        complained=outcome.complained,
                    )
                )

    def _record(self, transaction: sa.Connection, campaign_id: int, warming: Warming) -> None:
        same = {"connection": warming.connection}
        plans = [
            {**same, "campaign_id": campaign_id, "day": day, "planned": number}
            for day, number in warming.days
        ]
        transaction.execute(sa.insert(warm_up_plans), plans)
        transaction.execute(
            sa.delete(warm_up_days).where(
                warm_up_days.c.connection == warming.connection,
                warm_up_days.c.day == sa.bindparam("p_day"),
            ),
            [{"p_day": day} for day in warming.caps],
        )
        held_back = {"held_back_days": warming.held_back_days}
        days = [{**same, **held_back, "day": day, "cap": cap} for day, cap in warming.caps.items()]
        transaction.execute(sa.insert(warm_up_days), days)

    def held_back_days(self, connection: str, today: date) -> int:
        """Days by which today's cap is behind its plan, as decided by the launches so far."""
        days = warm_up_days.c
        query = (
            sa.select(days.held_back_days)
            .where(days.connection == connection, days.day <= today)
            .order_by(days.day.desc())
            .limit(1)
        )
        with self._database.read() as reader:
            return int(reader.execute(query).scalar_one_or_none() or 0)

    def of_campaign(self, campaign_id: int) -> list[WarmUpDay]:
        """A campaign's plan, by connection and day."""
        plans, days = warm_up_plans.c, warm_up_days.c
        query = (
            sa.select(plans.connection, plans.day, plans.planned, days.cap, days.held_back_days)
            .join(warm_up_days, sa.and_(days.connection == plans.connection, days.day == plans.day))
            .where(plans.campaign_id == campaign_id)
            .order_by(plans.connection, plans.day)
        )
        with self._database.read() as reader:
            return [WarmUpDay(*row) for row in reader.execute(query)]


def _counted(
    reader: sa.Connection,
    tables: CampaignTables,
    mine: sa.ColumnElement[bool],
    name: str,
    first: float,
    last: float,
) -> DayOutcome:
    """Count the outcome of the time from `first` to `last`, in these tables."""
    recipients, attempts = tables.recipients, tables.attempts
    in_trouble = sa.exists().where(
        attempts.c.recipient_id == recipients.c.id,
        attempts.c.connection == name,
        attempts.c.at >= first,
        attempts.c.at < last,
        attempts.c.verdict.in_(_TROUBLE),
    )
    reported = sa.exists().where(  # behind a relay, only its events tell
        deliveries.c.recipient_id == recipients.c.id,
        sa.or_(deliveries.c.deferred_at.is_not(None), deliveries.c.bounced_at.is_not(None)),
    )
    sent = sa.and_(
        recipients.c.connection == name,
        recipients.c.status == RecipientStatus.SENT,
        recipients.c.settled_at >= first,
        recipients.c.settled_at < last,
    )
    troubled = sa.or_(in_trouble, sa.and_(sent, reported))
    number = sa.select(sa.func.count())
    complained = (
        sa.select(sa.func.count(recipients.c.id.distinct()))
        .select_from(bounces)
        .join(recipients, recipients.c.id == bounces.c.recipient_id)
        .where(
            mine,
            sent,
            bounces.c.campaign_id == recipients.c.campaign_id,
            bounces.c.kind == BounceKind.COMPLAINT,
        )
    )
    in_trouble_now, accepted, complaints = (
        reader.execute(query).scalar_one()
        for query in (number.where(mine, troubled), number.where(mine, sent, ~troubled), complained)
    )
    return DayOutcome(accepted + in_trouble_now, in_trouble_now, complaints)
