"""Alerts about campaigns whose share of bounces or complaints passed a threshold."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa

from mailsluice.bounces import BounceKind
from mailsluice.bounces.shares import Exceeded, ReturnedCounts, exceeded, responsible
from mailsluice.core.status import RecipientStatus
from mailsluice.events.event import DeliveryState, FailureKind
from mailsluice.store.campaign_tables import tables_of
from mailsluice.store.database import Database
from mailsluice.store.providers import Providers
from mailsluice.store.schema import alerts, bounces, campaigns, deliveries


class Alerts:
    """The `alerts` table: one row for each campaign and threshold that was passed."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def due(self, campaign_id: int) -> tuple[str, list[Exceeded]]:
        """The campaign's name, and the thresholds that it passed since the last call.

        Each threshold is returned once: this call records that it was reported.
        """
        passed = list(exceeded(self._returned(campaign_id)))
        with self._database.write() as transaction:
            name = sa.select(campaigns.c.name).where(campaigns.c.id == campaign_id)
            new = [
                threshold
                for threshold in passed
                if self._is_new(transaction, campaign_id, threshold)
            ]
            campaign = transaction.execute(name).scalar_one()
        by_provider = self._by_provider(campaign_id) if new else {}
        return campaign, [
            replace(threshold, responsible=responsible(threshold, by_provider)) for threshold in new
        ]

    def _is_new(self, transaction: sa.Connection, campaign_id: int, threshold: Exceeded) -> bool:
        insert = self._database.insert_ignoring(alerts).values(
            campaign_id=campaign_id,
            kind="complaints" if threshold.complaints else "bounces",
            threshold=threshold.threshold,
            at=self._database.now,
        )
        return bool(transaction.execute(insert.returning(alerts.c.threshold)).all())

    def _returned(self, campaign_id: int) -> ReturnedCounts:
        queries = _Queries(tables_of(self._database, campaign_id).recipients, campaign_id)
        with self._database.read() as connection:
            by_kind = connection.execute(queries.returned()).all()
            known = connection.execute(queries.reported()).all()
            kinds = {row.kind for row in by_kind}
            if not any(row.blocked for row in known) and not kinds & _BAD:
                return ReturnedCounts(0, 0, 0, 0)  # the usual case, without reading all recipients
            counted = connection.execute(queries.attempted()).all()
        return _counts(by_kind, known, counted)

    def _by_provider(self, campaign_id: int) -> dict[str, ReturnedCounts]:
        """The same for each of the largest mailbox providers."""
        names = Providers(self._database).of(campaign_id)
        queries = _Queries(tables_of(self._database, campaign_id).recipients, campaign_id)
        given = (queries.returned, queries.reported, queries.attempted)
        parts: defaultdict[int, list[list[Any]]] = defaultdict(lambda: [[], [], []])
        with self._database.read() as connection:
            for place, query in enumerate(given if names else ()):
                for row in connection.execute(query(by_provider=True)):
                    parts[row.provider][place].append(row)
        return {name: _counts(*parts[number]) for number, name in names.items() if number in parts}


@dataclass(frozen=True, slots=True)
class _Queries:
    """Statements about one campaign, for all of its mail or by the largest mailbox providers."""

    recipients: sa.Table
    campaign_id: int

    def returned(self, *, by_provider: bool = False) -> sa.Select[Any]:
        """Addresses by kind of bounce."""
        number = sa.func.count(bounces.c.email.distinct()).label("number")
        query = sa.select(bounces.c.kind, number).where(bounces.c.campaign_id == self.campaign_id)
        return self._grouped(query, bounces.c.kind, bounces.c.recipient_id if by_provider else None)

    def reported(self, *, by_provider: bool = False) -> sa.Select[Any]:
        """Deliveries by connection."""
        of, number = deliveries.c, sa.func.count()
        query = sa.select(
            of.connection,
            number.filter(of.state != DeliveryState.DEFERRED).label("known"),
            number.filter(of.failure == FailureKind.BLOCK).label("blocked"),
            sa.func.count(of.delivered_at).label("delivered"),
        ).where(of.campaign_id == self.campaign_id)
        return self._grouped(query, of.connection, of.recipient_id if by_provider else None)

    def attempted(self, *, by_provider: bool = False) -> sa.Select[Any]:
        """Recipients by connection."""
        of = self.recipients.c
        sent = sa.func.count().filter(of.status == RecipientStatus.SENT)
        query = sa.select(of.connection, sa.func.count().label("number"), sent.label("sent")).where(
            of.campaign_id == self.campaign_id, of.attempts > 0
        )
        if not by_provider:
            return query.group_by(of.connection)
        return query.add_columns(self._provider).group_by(of.connection, self._provider)

    @property
    def _provider(self) -> sa.ColumnElement[int]:
        provider = self.recipients.c.provider
        most: sa.ColumnElement[int] = sa.literal_column(str(_MOST_PROVIDERS))
        small: sa.ColumnElement[int] = sa.literal_column("0")
        # No parameters, of which GROUP BY would get others.
        return sa.case((provider <= most, provider), else_=small).label("provider")

    def _grouped(
        self,
        query: sa.Select[Any],
        key: sa.ColumnElement[str],
        recipient_id: sa.ColumnElement[Any] | None,
    ) -> sa.Select[Any]:
        """Group by the key, and by the provider of the recipients with these ids."""
        if recipient_id is None:
            return query.group_by(key)
        is_it = sa.and_(
            self.recipients.c.id == recipient_id, self.recipients.c.campaign_id == self.campaign_id
        )
        joined = query.join(self.recipients, is_it).add_columns(self._provider)
        return joined.group_by(key, self._provider)


_BAD = {BounceKind.HARD, BounceKind.COMPLAINT}
_MOST_PROVIDERS = 100
"""Smaller providers are not named: their mail alone hardly passes a threshold."""


def _counts(by_kind: Sequence[Any], known: Sequence[Any], counted: Sequence[Any]) -> ReturnedCounts:
    """Add up the rows of the statements `returned`, `reported` and `attempted`."""
    kinds = {row.kind: row.number for row in by_kind}
    sent = {row.connection: row.sent for row in counted}
    unknown = sum(max(0, sent.get(row.connection, 0) - row.known) for row in known if row.delivered)
    return ReturnedCounts(
        sum(row.number for row in counted) - unknown,
        sum(sent.values()),
        kinds.get(BounceKind.HARD, 0),
        kinds.get(BounceKind.COMPLAINT, 0),
        sum(row.blocked for row in known),
    )
