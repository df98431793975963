"""Counting in the database what a report shows, with one pass for each question."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from mailsluice.core.outcome import Verdict
from mailsluice.core.status import RecipientStatus
from mailsluice.events.event import DeliveryState
from mailsluice.mailbox_providers import UNRESOLVED
from mailsluice.reports.campaign.statistics import (
    AcceptedOverTime,
    DomainOutcome,
    ReplyCount,
    Statistics,
    bucket_seconds,
)
from mailsluice.reports.deliveries.queries import delivery_counts, delivery_times
from mailsluice.reports.providers.queries import (
    Outcome,
    attempted_number,
    provider_counts,
    provider_group,
    shown_providers,
)
from mailsluice.reports.zones.queries import zone_counts
from mailsluice.store.campaign_tables import tables_of
from mailsluice.store.database import Database
from mailsluice.store.schema import bounces, deliveries

TOP_DOMAINS = 10
MOST_REPLIES = 5_000
"""Reply texts that are read; rarer ones are only counted."""
_SHOWN_CHARACTERS = 400
_SAME_CHARACTERS = 100
"""Replies whose first characters agree count as one: ids are mostly at the end."""
_NO_FURTHER = (RecipientStatus.FAILED.value, RecipientStatus.UNCERTAIN.value)


def statistics(database: Database, campaign_id: int) -> Statistics:
    """Count with a few statements, without locks; a few seconds for a million recipients."""
    with database.sorting() as connection:
        counting = _Counting(database, connection, campaign_id)
        domains, outcomes, first, last = counting.domains()
        largest = sorted({outcome.domain for outcome in domains if outcome.domain is not None})
        replies, other_replies = counting.replies(largest)
        times = delivery_times(database, connection, campaign_id)
        return Statistics(
            as_of=float(connection.execute(sa.select(database.now)).scalar_one()),
            domains=domains,
            pace=None if first is None or last is None else counting.pace(first, last),
            put_off=counting.put_off(largest),
            replies=replies,
            other_replies=other_replies,
            bounces=counting.bounces(),
            deliveries=delivery_counts(connection, campaign_id, times),
            providers=provider_counts(
                database, connection, campaign_id, times.by_provider, outcomes
            ),
            zones=zone_counts(database, campaign_id),
            later_replies=counting.later_replies(largest),
        )


def later_statistics(database: Database, campaign_id: int) -> Statistics:
    """Count only what changes after the end of a campaign: deliveries and bounces."""
    with database.sorting() as connection:
        times = delivery_times(database, connection, campaign_id)
        return Statistics(
            as_of=float(connection.execute(sa.select(database.now)).scalar_one()),
            domains=[],
            pace=None,
            put_off={},
            replies=[],
            other_replies=0,
            bounces=_Counting(database, connection, campaign_id).bounces(),
            deliveries=delivery_counts(connection, campaign_id, times),
            providers=provider_counts(database, connection, campaign_id, times.by_provider),
        )


class _Counting:
    """The statements about one campaign, over one connection to the database."""

    def __init__(self, database: Database, connection: sa.Connection, campaign_id: int) -> None:
        self._is_sqlite = database.is_sqlite
        self._connection = connection
        self._campaign_id = campaign_id
        tables = tables_of(database, campaign_id)
        self._recipients, self._attempts = tables.recipients, tables.attempts
        self._mine = self._recipients.c.campaign_id == campaign_id
        self._providers = shown_providers(database, campaign_id)

    def domains(
        self,
    ) -> tuple[list[DomainOutcome], list[Outcome], float | None, float | None]:
        """Outcomes by domain (the largest ones, and the rest) and by provider.

        Then the times of the first and the last acceptance.
        """
        counted = self._by_domain()
        largest = (
            sa.select(counted.c.domain)
            .group_by(counted.c.domain)
            .order_by(sa.func.sum(counted.c.number).desc(), counted.c.domain)
            .limit(TOP_DOMAINS)
            .cte("largest")
        )
        query = (
            sa.select(
                largest.c.domain,
                counted.c.connection,
                counted.c.provider,
                counted.c.status,
                sa.func.sum(counted.c.number).label("number"),
                sa.func.sum(counted.c.attempted).label("attempted"),
                sa.func.min(counted.c.first).label("first"),
                sa.func.max(counted.c.last).label("last"),
            )
            .outerjoin_from(counted, largest, counted.c.domain == largest.c.domain)
            .group_by(largest.c.domain, counted.c.connection, counted.c.provider, counted.c.status)
        )
        rows = self._connection.execute(query).all()
        numbers: Counter[tuple[str | None, str, str]] = Counter()
        for row in rows:
            numbers[row.domain, row.connection, row.status] += int(row.number)
        domains = [
            DomainOutcome(domain, name, RecipientStatus(status), number)
            for (domain, name, status), number in numbers.items()
        ]
        outcomes = [
            Outcome(row.provider, row.connection, row.status, int(row.number), int(row.attempted))
            for row in rows
        ]
        sent = [row for row in rows if row.status == RecipientStatus.SENT and row.first is not None]
        first = min((row.first for row in sent), default=None)
        return domains, outcomes, first, max((row.last for row in sent), default=None)

    def _by_domain(self) -> sa.CTE:
        return (
            sa.select(
                self._domain().label("domain"),
                self._recipients.c.connection,
                provider_group(self._recipients),
                self._recipients.c.status,
                sa.func.count().label("number"),
                attempted_number(self._recipients),
                sa.func.min(self._recipients.c.settled_at).label("first"),
                sa.func.max(self._recipients.c.settled_at).label("last"),
            )
            .where(self._mine)
            .group_by(sa.text("1, 2, 3, 4"))
            .cte("counted")
        )

    def _domain(self) -> sa.ColumnElement[str]:
        email = self._recipients.c.email  # normalised: one @
        at = sa.func.instr(email, "@") if self._is_sqlite else sa.func.strpos(email, "@")
        return sa.func.lower(sa.func.substr(email, at + 1))

    def _large_domain(self, largest: Sequence[str]) -> sa.ColumnElement[str | None]:
        """The recipient's domain, or null when it is not among the largest."""
        domain = self._domain()
        return sa.case((domain.in_(largest), domain), else_=sa.null()).label("domain")

    def _replying(self, largest: Sequence[str]) -> sa.ColumnElement[str | None]:
        """The recipient's provider if it is shown, else the domain as `_large_domain`."""
        domain = self._large_domain(largest)
        resolved = {n: name for n, name in self._providers.items() if name != UNRESOLVED}
        if not resolved:
            return domain
        return sa.case(resolved, value=self._recipients.c.provider, else_=domain).label("domain")

    def put_off(self, largest: Sequence[str]) -> dict[tuple[str | None, str], int]:
        """Deferrals by domain (None for all others) and connection."""
        query = (
            sa.select(self._large_domain(largest), self._attempts.c.connection, sa.func.count())
            .join_from(
                self._recipients,
                self._attempts,
                self._attempts.c.recipient_id == self._recipients.c.id,
            )
            .where(self._mine, self._attempts.c.verdict == Verdict.DEFERRED)
            .group_by(sa.text("1"), self._attempts.c.connection)
        )
        rows = self._connection.execute(query)
        return {(domain, name): int(number) for domain, name, number in rows}

    def pace(self, first: float, last: float) -> AcceptedOverTime:
        """Messages accepted in each bucket of time."""
        length = bucket_seconds(last - first)
        start = first - first % length
        exact = (self._recipients.c.settled_at - start) / float(
            length
        )  # casts round or truncate, by database
        bucket = sa.cast(exact if self._is_sqlite else sa.func.floor(exact), sa.Integer)
        query = (
            sa.select(self._recipients.c.connection, bucket, sa.func.count())
            .where(
                self._mine,
                self._recipients.c.status == RecipientStatus.SENT,
                self._recipients.c.settled_at.between(first, last),
            )
            .group_by(self._recipients.c.connection, sa.text("2"))
        )
        sent: dict[str, dict[int, int]] = {}
        for name, number, messages in self._connection.execute(query):
            sent.setdefault(name, {})[number] = messages
        return AcceptedOverTime(start, length, sent, last)

    def replies(self, largest: Sequence[str]) -> tuple[list[ReplyCount], int]:
        """The most frequent replies of failures and deferrals, and the number of all others."""
        group = self._replying(largest)
        kept, tried = self._recipients.c, self._attempts.c
        failed, other_failed = self._texts(
            sa.select(group, kept.connection, kept.code, _text(kept.reply, kept.email)).where(
                self._mine, kept.status.in_(_NO_FURTHER), kept.reply.is_not(None)
            )
        )
        deferred, other_deferred = self._texts(
            sa.select(group, tried.connection, tried.code, _text(tried.reply, kept.email))
            .join_from(
                self._recipients,
                self._attempts,
                self._attempts.c.recipient_id == self._recipients.c.id,
            )
            .where(self._mine, self._attempts.c.verdict == Verdict.DEFERRED)
        )
        counts = [ReplyCount(*_reply(row), row.number, 0) for row in failed]
        counts += [ReplyCount(*_reply(row), 0, row.number) for row in deferred]
        return counts, other_failed + other_deferred

    def later_replies(self, largest: Sequence[str]) -> list[ReplyCount]:
        """The most frequent replies to accepted mail that providers' events report."""
        kept, given = self._recipients.c, deliveries.c
        states = [DeliveryState.BOUNCED.value, DeliveryState.DEFERRED.value]
        rows, _ = self._texts(
            sa.select(
                self._replying(largest),
                kept.connection,
                sa.cast(sa.null(), sa.SmallInteger).label("code"),
                _text(given.reply, kept.email),
            )
            .join_from(deliveries, self._recipients, kept.id == given.recipient_id)
            .where(
                given.campaign_id == self._campaign_id,
                self._mine,
                given.state.in_(states),
                given.reply != "",
            )
        )
        return [ReplyCount(*_reply(row), 0, 0, row.number) for row in rows]

    def _texts(self, query: sa.Select[Any]) -> tuple[Sequence[Any], int]:
        """Rows of domain, connection, code, text and number, and how many others there are."""
        reply = query.subquery().c
        number = sa.func.count().label("number")
        beginning = sa.func.substr(reply.text, 1, _SAME_CHARACTERS)
        rows = self._connection.execute(
            sa.select(
                reply.domain,
                reply.connection,
                reply.code,
                sa.func.min(reply.text).label("text"),
                number,
                sa.func.sum(number).over().label("all"),
            )
            .group_by(reply.domain, reply.connection, reply.code, beginning)
            .order_by(number.desc(), beginning, reply.connection, reply.domain)
            .limit(MOST_REPLIES)
        ).all()
        return rows, int(rows[0].all) - sum(row.number for row in rows) if rows else 0

    def bounces(self) -> Mapping[str, Mapping[str, int]]:
        """Bounces and complaints by connection and kind."""
        query = (
            sa.select(sa.func.coalesce(bounces.c.connection, ""), bounces.c.kind, sa.func.count())
            .where(bounces.c.campaign_id == self._campaign_id)
            .group_by(bounces.c.connection, bounces.c.kind)
        )
        counts: dict[str, dict[str, int]] = {}
        for name, kind, number in self._connection.execute(query):
            counts.setdefault(name, {})[kind] = number
        return counts


def _reply(row: Any) -> tuple[str | None, str, int | None, str]:
    return row.domain, row.connection, row.code, row.text


def _text(reply: sa.Column[Any], email: sa.Column[Any]) -> sa.ColumnElement[str]:
    """The reply with a placeholder for the recipient's address, so that equal replies agree."""
    plain = sa.func.replace(reply, email, "a@b")
    return sa.func.substr(plain, 1, _SHOWN_CHARACTERS).label("text")
