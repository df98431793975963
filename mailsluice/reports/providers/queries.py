"""Counting a campaign's mail by mailbox provider, with one pass for each question."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa

from mailsluice.core.outcome import Verdict
from mailsluice.core.status import RecipientStatus
from mailsluice.events.event import DeliveryState
from mailsluice.mailbox_providers import UNRESOLVED
from mailsluice.reports.deliveries.counts import DeliveryTimes
from mailsluice.reports.providers.counts import MOST_SHOWN, ProviderCounts, ProviderTally
from mailsluice.store.archives import Archives
from mailsluice.store.campaign_tables import tables_of
from mailsluice.store.database import Database
from mailsluice.store.providers import Providers
from mailsluice.store.schema import deliveries

_SETTLED = (RecipientStatus.SENT, RecipientStatus.FAILED, RecipientStatus.UNCERTAIN)
_DELIVERED = (DeliveryState.DELIVERED, DeliveryState.UNSUBSCRIBED, DeliveryState.COMPLAINED)


def shown_providers(database: Database, campaign_id: int) -> dict[int, str]:
    """The campaign's largest providers by number; none where no provider is known."""
    names = Providers(database).of(campaign_id)
    if {*names.values()} <= {UNRESOLVED}:
        return {}
    return {number: name for number, name in names.items() if number <= MOST_SHOWN}


@dataclass(frozen=True, slots=True)
class Outcome:
    """Recipients of one provider that one connection has in one state."""

    provider: int
    """The number of the provider; 0 for all smaller ones."""
    connection: str
    status: str
    recipients: int
    attempted: int

    @property
    def tally(self) -> ProviderTally:
        """The outcome as a part of a tally."""
        is_sent, is_failed = (
            self.status == status for status in (RecipientStatus.SENT, RecipientStatus.FAILED)
        )
        return ProviderTally(
            self.recipients,
            self.attempted,
            accepted=self.recipients if is_sent else 0,
            refused=self.recipients if is_failed else 0,
        )


def provider_group(recipients: sa.Table) -> sa.Label[int]:
    """The number of a recipient's provider, 0 when it is not among the largest."""
    provider = recipients.c.provider
    return sa.case((provider <= MOST_SHOWN, provider), else_=0).label("provider")


def attempted_number(recipients: sa.Table) -> sa.Label[int]:
    """The number of recipients, of a group, to whom mail was attempted."""
    kept = recipients.c
    is_attempted = sa.or_(kept.attempts > 0, kept.status.in_([one.value for one in _SETTLED]))
    return sa.func.sum(sa.case((is_attempted, 1), else_=0)).label("attempted")


def provider_counts(
    database: Database,
    connection: sa.Connection,
    campaign_id: int,
    times: Mapping[int, DeliveryTimes],
    outcomes: Iterable[Outcome] | None = None,
) -> ProviderCounts:
    """Count the recipients of each provider, and what became of them.

    The counts of an archived campaign are those of its archive.

    Args:
        database: The state database.
        connection: A connection to it.
        campaign_id: The campaign's row.
        times: Times to delivery by the number of the provider.
        outcomes: Saves a pass over all recipients, if they are known.
    """
    archive = Archives(database).find(campaign_id)
    if archive and archive.providers:
        return ProviderCounts.from_json(archive.providers)
    names = shown_providers(database, campaign_id)
    if not names:
        return ProviderCounts()
    return _Counting(database, connection, campaign_id).counts(names, times, outcomes)


def sent_by_provider(database: Database, campaign_id: int) -> ProviderCounts:
    """Count recipients and outcomes alone, with one pass over the recipients."""
    names = shown_providers(database, campaign_id)
    if not names:
        return ProviderCounts()
    with database.sorting() as connection:
        return _Counting(database, connection, campaign_id).outcomes(names)


_Pair = tuple[int, str]
"""The number of a provider, 0 for all smaller ones, and a connection."""


class _Counting:
    """The statements about one campaign, over one connection to the database."""

    def __init__(self, database: Database, connection: sa.Connection, campaign_id: int) -> None:
        self._connection = connection
        self._campaign_id = campaign_id
        tables = tables_of(database, campaign_id)
        self._recipients, self._attempts = tables.recipients, tables.attempts
        self._mine = self._recipients.c.campaign_id == campaign_id
        self._group = provider_group(self._recipients)

    def counts(
        self,
        names: Mapping[int, str],
        times: Mapping[int, DeliveryTimes],
        outcomes: Iterable[Outcome] | None,
    ) -> ProviderCounts:
        """Everything; `names` are the largest providers by number."""
        found = self.outcomes(names, outcomes)
        tallies = dict(found.tallies)
        for (number, connection), tally in (*self._deferred(), *self._deliveries()):
            pair = names.get(number), connection
            tallies[pair] = tallies.get(pair, ProviderTally()) + tally
        return ProviderCounts(tallies, {names.get(one): took for one, took in times.items()})

    def outcomes(
        self, names: Mapping[int, str], outcomes: Iterable[Outcome] | None = None
    ) -> ProviderCounts:
        """Count the outcomes by the recipients' rows alone, without events."""
        tallies: defaultdict[tuple[str | None, str], ProviderTally] = defaultdict(ProviderTally)
        for one in self._outcomes() if outcomes is None else outcomes:
            tallies[names.get(one.provider), one.connection] += one.tally
        return ProviderCounts(tallies)

    def _outcomes(self) -> Iterator[Outcome]:
        kept = self._recipients.c
        query = (
            sa.select(
                self._group,
                kept.connection,
                kept.status,
                sa.func.count(),
                attempted_number(self._recipients),
            )
            .where(self._mine)
            .group_by(sa.text("1, 2, 3"))
        )
        return (
            Outcome(number, name, status, count, int(attempted))
            for number, name, status, count, attempted in self._connection.execute(query)
        )

    def _deferred(self) -> Iterator[tuple[_Pair, ProviderTally]]:
        kept, tried = self._recipients.c, self._attempts.c
        query = (
            sa.select(self._group, kept.connection, sa.func.count(tried.recipient_id.distinct()))
            .join_from(self._recipients, self._attempts, tried.recipient_id == kept.id)
            .where(self._mine, tried.verdict == Verdict.DEFERRED)
            .group_by(sa.text("1"), kept.connection)
        )
        for number, name, count in self._connection.execute(query):
            yield (number, name), ProviderTally(deferred=count)

    def _deliveries(self) -> Iterator[tuple[_Pair, ProviderTally]]:
        query = self._delivered(
            self._group, self._recipients.c.connection, deliveries.c.state, sa.func.count()
        ).group_by(sa.text("1"), self._recipients.c.connection, deliveries.c.state)
        for number, name, state, count in self._connection.execute(query):
            tally = ProviderTally(reported=count)
            if state in _DELIVERED:
                tally = replace(tally, delivered=count)
            if state == DeliveryState.BOUNCED:
                tally = replace(tally, bounced=count)
            if state == DeliveryState.COMPLAINED:
                tally = replace(tally, complained=count)
            yield (number, name), tally

    def _delivered(self, *columns: Any) -> sa.Select[Any]:
        return (
            sa.select(*columns)
            .join_from(
                deliveries, self._recipients, self._recipients.c.id == deliveries.c.recipient_id
            )
            .where(deliveries.c.campaign_id == self._campaign_id, self._mine)
        )
