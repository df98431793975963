"""Warm-ups of connections: what campaigns planned for each day, and the outcome of past days.

Rows with a provider are about the recipients at a mailbox provider that has caps of its own. Rows
without one are about all recipients of a connection, except for outcomes: these leave out what
providers with caps of their own answer for.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from mailsluice.assignment.day_outcome import DayOutcome
from mailsluice.assignment.warming import ALL_PROVIDERS, Warming, WarmUpDay, WarmUpState
from mailsluice.campaign.warm_up import WarmUp
from mailsluice.core.status import CampaignStatus
from mailsluice.store.campaign_tables import tables_of_all
from mailsluice.store.database import Database
from mailsluice.store.schema import campaigns, warm_up_days, warm_up_plans
from mailsluice.store.warm_up_outcomes import counted

_NOTHING = DayOutcome(0, 0)
_DAY_KEY = ("connection", "provider", "day")
_IS_DAY = [warm_up_days.c[name] == sa.bindparam(f"key_{name}") for name in _DAY_KEY]


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
        providers: Collection[str] = (),
    ) -> dict[str, WarmUpState]:
        """The state of each connection's warm-up for a campaign launched at this moment.

        Connections without a warm-up, or before its start, are left out. `providers` are the
        mailbox providers of the campaign's recipients.
        """
        return {
            name: self._state(connection, campaign_id or 0, name, warm_up, moment, providers)
            for name, warm_up in warm_ups.items()
            if warm_up.start and warm_up.start <= warm_up.today(moment)
        }

    def _state(
        self,
        reader: sa.Connection,
        campaign_id: int,
        name: str,
        warm_up: WarmUp,
        moment: datetime,
        providers: Collection[str],
    ) -> WarmUpState:
        today = warm_up.today(moment)
        taken = _taken(reader, campaign_id, name, today)
        outcomes = self._outcomes(reader, name, warm_up, today)
        own = warm_up.of_providers({*providers, *taken, *outcomes} - {ALL_PROVIDERS})
        nothing: dict[date, Any] = {}
        return WarmUpState(
            warm_up,
            today,
            taken.get(ALL_PROVIDERS, nothing),
            outcomes.get(ALL_PROVIDERS, nothing),
            {
                provider: WarmUpState(
                    caps, today, taken.get(provider, nothing), outcomes.get(provider, nothing)
                )
                for provider, caps in own.items()
            },
        )

    def _outcomes(
        self, reader: sa.Connection, name: str, warm_up: WarmUp, today: date
    ) -> dict[str, dict[date, DayOutcome]]:
        """The outcomes of the days before today with messages, by provider with caps and day."""
        plans, days = warm_up_plans.c, warm_up_days.c
        same = (getattr(days, key) == getattr(plans, key) for key in _DAY_KEY)
        query = (
            sa.select(plans.provider, plans.day, days.attempted, days.troubled, days.complained)
            .outerjoin(warm_up_days, sa.and_(*same))
            .where(plans.connection == name, plans.day < today, plans.day >= warm_up.start)
            .distinct()
        )
        rows = reader.execute(query).all()
        counted = {
            day: self._counted(reader, name, warm_up, day)
            for day in {day for _, day, attempted, *_ in rows if attempted is None}
        }
        outcomes: dict[str, dict[date, DayOutcome]] = {}
        for provider, day, attempted, troubled, complained in rows:
            outcomes.setdefault(provider, {})[day] = (
                counted[day].get(provider, _NOTHING)
                if attempted is None
                else DayOutcome(attempted, troubled, complained or 0)
            )
        return outcomes

    def _counted(
        self, reader: sa.Connection, name: str, warm_up: WarmUp, day: date
    ) -> dict[str, DayOutcome]:
        """Count a day's outcome, over the campaigns that planned for the connection until then.

        Returns the outcome at each mailbox provider that has caps of its own, and that of all other
        mail.
        """
        first, last = warm_up.begins(day), warm_up.begins(day + timedelta(days=1))
        plans = warm_up_plans.c
        ids = sa.select(plans.campaign_id).where(plans.connection == name, plans.day <= day)
        outcomes = [
            found
            for tables, mine in tables_of_all(self._database, campaigns.c.id.in_(ids))
            for found in counted(reader, tables, mine, name, first, last)
        ]
        own = warm_up.of_providers({provider for provider, _ in outcomes} - {ALL_PROVIDERS})
        totals: dict[str, DayOutcome] = {}
        for provider, outcome in outcomes:
            key = provider if provider in own else ALL_PROVIDERS
            totals[key] = totals.get(key, _NOTHING) + outcome
        return totals

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
            state = states[warming.connection]
            _plan(transaction, campaign_id, warming.plan())
            _note_outcomes(
                transaction, warming.connection, {ALL_PROVIDERS: state, **state.providers}
            )

    def held_back_days(self, connection: str, today: date) -> int:
        """Days by which today's cap is behind its plan, as decided by the launches so far."""
        days = warm_up_days.c
        query = (
            sa.select(days.held_back_days)
            .where(days.connection == connection, days.provider == ALL_PROVIDERS, days.day <= today)
            .order_by(days.day.desc())
            .limit(1)
        )
        with self._database.read() as reader:
            return int(reader.execute(query).scalar_one_or_none() or 0)

    def providers_held_back(self, connection: str, today: date) -> dict[str, int]:
        """Days by which today's caps of mailbox providers are behind their plan, where they are."""
        days = warm_up_days.c
        last = (
            sa.select(days.provider, sa.func.max(days.day).label("day"))
            .where(days.connection == connection, days.provider != ALL_PROVIDERS, days.day <= today)
            .group_by(days.provider)
            .subquery()
        )
        query = (
            sa.select(days.provider, days.held_back_days)
            .join(last, sa.and_(last.c.provider == days.provider, last.c.day == days.day))
            .where(days.connection == connection, days.held_back_days > 0)
        )
        with self._database.read() as reader:
            return {row.provider: row.held_back_days for row in reader.execute(query)}

    def of_campaign(self, campaign_id: int) -> list[WarmUpDay]:
        """A campaign's plan, by connection and day; then by provider with caps of its own."""
        plans, days = warm_up_plans.c, warm_up_days.c
        same = (getattr(days, key) == getattr(plans, key) for key in _DAY_KEY)
        query = (
            sa.select(
                plans.connection,
                plans.provider,
                plans.day,
                plans.planned,
                days.cap,
                days.held_back_days,
            )
            .join(warm_up_days, sa.and_(*same))
            .where(plans.campaign_id == campaign_id)
            .order_by(plans.connection, plans.day, plans.provider)
        )
        with self._database.read() as reader:
            return [WarmUpDay(*row) for row in reader.execute(query)]


def _taken(
    reader: sa.Connection, campaign_id: int, name: str, today: date
) -> dict[str, dict[date, int]]:
    """Plans of other campaigns by provider and day.

    The later days of cancelled campaigns are left out.
    """
    plans = warm_up_plans.c
    query = (
        sa.select(plans.provider, plans.day, sa.func.sum(plans.planned))
        .join(campaigns, campaigns.c.id == plans.campaign_id)
        .where(
            plans.connection == name,
            plans.day >= today,
            plans.campaign_id != campaign_id,
            sa.or_(plans.day == today, campaigns.c.status != CampaignStatus.CANCELLED),
        )
        .group_by(plans.provider, plans.day)
    )
    taken: dict[str, dict[date, int]] = {}
    for provider, day, planned in reader.execute(query):
        taken.setdefault(provider, {})[day] = int(planned)
    return taken


def _plan(transaction: sa.Connection, campaign_id: int, plan: Sequence[WarmUpDay]) -> None:
    keys = [{name: getattr(row, name) for name in _DAY_KEY} for row in plan]
    planned = [
        {**key, "campaign_id": campaign_id, "planned": row.planned}
        for key, row in zip(keys, plan, strict=True)
    ]
    days = [
        {**key, "cap": row.cap, "held_back_days": row.held_back_days}
        for key, row in zip(keys, plan, strict=True)
    ]
    transaction.execute(sa.insert(warm_up_plans), planned)
    is_day = [{f"key_{name}": value for name, value in key.items()} for key in keys]
    transaction.execute(sa.delete(warm_up_days).where(*_IS_DAY), is_day)
    transaction.execute(sa.insert(warm_up_days), days)


def _note_outcomes(
    transaction: sa.Connection, connection: str, states: Mapping[str, WarmUpState]
) -> None:
    outcomes = [
        {
            "key_connection": connection,
            "key_provider": provider,
            "key_day": day,
            "attempted": outcome.attempted,
            "troubled": outcome.troubled,
            "complained": outcome.complained,
        }
        for provider, state in states.items()
        for day, outcome in state.outcomes.items()
    ]
    if outcomes:
        transaction.execute(sa.update(warm_up_days).where(*_IS_DAY), outcomes)
