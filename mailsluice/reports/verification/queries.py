"""Counting a campaign's rows for its verification."""

from __future__ import annotations

import sqlalchemy as sa

from mailsluice.core.folding import ANOTHER_SPELLING
from mailsluice.core.status import RecipientStatus
from mailsluice.events.event import DeliveryState
from mailsluice.events.merging import RANKS
from mailsluice.reports.verification.tallies import DeliveryTally, SourceTally, StateTally, Tallies
from mailsluice.store import CampaignRecord, Campaigns, Database, Leases
from mailsluice.store.campaign_sources import CampaignSources
from mailsluice.store.campaign_tables import CampaignTables, tables_of
from mailsluice.store.pool import is_pooled
from mailsluice.store.schema import deliveries, events, rejects


def count_campaign(database: Database, record: CampaignRecord, *, complete: bool = True) -> Tallies:
    """Count a campaign's rows with a few statements, whatever their number.

    `complete=False` skips two searches: the one for repeated addresses sorts all of them, and its
    result cannot change after the launch; the one for deliveries reads the events of all campaigns,
    and the result does not depend on the run.
    """
    routes = Campaigns(database).routes(record.id)
    tables = tables_of(database, record.id)
    with database.sorting() as connection:
        is_held = Leases(database).is_held(connection, record.id)
        states = _states(connection, tables, record.id)
        return Tallies(
            campaign=record.name,
            status=record.status,
            is_held=is_held,
            read_rows=record.read_rows,
            accepted=record.accepted,
            rejected=record.rejected,
            stored_rejects=_stored_rejects(connection, record.id),
            assigned={route.connection: route.assigned for route in routes},
            moved=_moved(connection, tables, record.id, states),
            states=states,
            unexplained_sent=_unexplained_sent(connection, tables, record.id, states),
            repeated=_repeated(database, tables, record.id) if complete else None,
            # PostgreSQL's foreign key excludes stray attempts, and the search would read the
            # attempts of all campaigns.
            stray_attempts=_stray_attempts(connection, tables) if database.is_sqlite else 0,
            sources=_sources(database, connection, tables, record.id) if complete else (),
            deliveries=_deliveries(connection, tables, record.id) if complete else (),
            contradicted=_contradicted(connection, tables, record.id) if complete else 0,
            is_pooled=is_pooled(database, record.id),
        )


def _states(
    connection: sa.Connection, tables: CampaignTables, campaign_id: int
) -> tuple[StateTally, ...]:
    """Count in one statement, so that the numbers agree even while a run is sending."""
    recipients = tables.recipients
    query = (
        sa.select(
            recipients.c.connection,
            recipients.c.status,
            sa.func.count(),
            sa.func.count(recipients.c.code),
            sa.func.count(recipients.c.next_attempt_at),
            sa.func.count(recipients.c.reassigned_from),
        )
        .where(recipients.c.campaign_id == campaign_id)
        .group_by(recipients.c.connection, recipients.c.status)
        .order_by(recipients.c.connection, recipients.c.status)
    )
    return tuple(StateTally(*row) for row in connection.execute(query))


def _stored_rejects(connection: sa.Connection, campaign_id: int) -> dict[str, int]:
    query = (
        sa.select(rejects.c.reason, sa.func.count().label("number"))
        .where(rejects.c.campaign_id == campaign_id)
        .group_by(rejects.c.reason)
    )
    return {row.reason: row.number for row in connection.execute(query)}


def _sources(
    database: Database, connection: sa.Connection, tables: CampaignTables, campaign_id: int
) -> tuple[SourceTally, ...]:
    sources = CampaignSources(database).of(campaign_id)
    if not sources:
        return ()
    recipients = tables.recipients
    query = (
        sa.select(recipients.c.source, sa.func.count().label("number"))
        .where(recipients.c.campaign_id == campaign_id)
        .group_by(recipients.c.source)
    )
    stored = {row.source: row.number for row in connection.execute(query)}
    return tuple(
        SourceTally(source.source, source.accepted, stored.get(number, 0))
        for number, source in enumerate(sources, start=1)
    )


def _moved(
    connection: sa.Connection,
    tables: CampaignTables,
    campaign_id: int,
    states: tuple[StateTally, ...],
) -> dict[tuple[str, str], int]:
    if not any(tally.reassigned for tally in states):
        return {}  # the usual case, known from the first statement
    recipients = tables.recipients
    query = (
        sa.select(recipients.c.reassigned_from, recipients.c.connection, sa.func.count())
        .where(recipients.c.campaign_id == campaign_id, recipients.c.reassigned_from.is_not(None))
        .group_by(recipients.c.reassigned_from, recipients.c.connection)
    )
    return {(before, now): number for before, now, number in connection.execute(query)}


def _unexplained_sent(
    connection: sa.Connection,
    tables: CampaignTables,
    campaign_id: int,
    states: tuple[StateTally, ...],
) -> int:
    sent = [tally for tally in states if tally.status == RecipientStatus.SENT]
    if all(tally.with_code == tally.recipients for tally in sent):
        return 0  # the usual case, known from the first statement
    recipients, attempts = tables.recipients, tables.attempts
    is_explained = sa.exists().where(attempts.c.recipient_id == recipients.c.id)
    query = sa.select(sa.func.count()).where(
        recipients.c.campaign_id == campaign_id,
        recipients.c.status == RecipientStatus.SENT,
        recipients.c.code.is_(None),
        ~is_explained,
    )
    return connection.execute(query).scalar_one()


def _repeated(database: Database, tables: CampaignTables, campaign_id: int) -> int:
    recipients = tables.recipients
    is_left_out = sa.func.coalesce(recipients.c.reply, "") == ANOTHER_SPELLING
    groups = (
        sa.select(sa.func.count().label("number"))
        .where(recipients.c.campaign_id == campaign_id, ~is_left_out)
        .group_by(tables.compared)
        .having(sa.func.count() > 1)
        .subquery()
    )
    query = sa.select(sa.func.coalesce(sa.func.sum(groups.c.number - 1), 0))
    with database.sorting() as connection:
        return int(connection.execute(query).scalar_one())


def _stray_attempts(connection: sa.Connection, tables: CampaignTables) -> int:
    recipients, attempts = tables.recipients, tables.attempts
    has_recipient = sa.exists().where(recipients.c.id == attempts.c.recipient_id)
    query = sa.select(sa.func.count()).select_from(attempts).where(~has_recipient)
    return connection.execute(query).scalar_one()


_MAY_HAVE_DELIVERIES = (
    RecipientStatus.SENT.value,
    RecipientStatus.UNCERTAIN.value,
    RecipientStatus.SENDING.value,  # the reply may be read only after the event
)


def _deliveries(
    connection: sa.Connection, tables: CampaignTables, campaign_id: int
) -> tuple[DeliveryTally, ...]:
    recipients = tables.recipients
    was_sent_there = sa.and_(
        recipients.c.connection == deliveries.c.connection,
        recipients.c.status.in_(_MAY_HAVE_DELIVERIES),
    )
    since = sa.case(
        {state.value: deliveries.c[f"{state}_at"] for state in DeliveryState},
        value=deliveries.c.state,
    )
    number = sa.func.count()
    query = (
        sa.select(
            deliveries.c.connection,
            deliveries.c.state,
            number,
            number.filter(~sa.func.coalesce(was_sent_there, sa.false())),
            number.filter(sa.func.coalesce(since > deliveries.c.at, sa.true())),
        )
        .outerjoin(
            recipients,
            sa.and_(
                recipients.c.id == deliveries.c.recipient_id,
                recipients.c.campaign_id == campaign_id,
            ),
        )
        .where(deliveries.c.campaign_id == campaign_id)
        .group_by(deliveries.c.connection, deliveries.c.state)
        .order_by(deliveries.c.connection, deliveries.c.state)
    )
    return tuple(DeliveryTally(*row) for row in connection.execute(query))


def _contradicted(connection: sa.Connection, tables: CampaignTables, campaign_id: int) -> int:
    """Count recipients with an event that comes after their delivery in the order of `merged`.

    Housekeeping deletes old events, so a delivery may come after all events that are stored.
    """
    recipients = tables.recipients
    rank = sa.case({state.value: rank for state, rank in RANKS.items()}, value=events.c.state)
    comes_after = sa.tuple_(rank, events.c.at, events.c.state) > sa.tuple_(
        deliveries.c.rank, deliveries.c.at, deliveries.c.state
    )
    query = (
        sa.select(sa.func.count(recipients.c.id.distinct()))
        .select_from(events)
        .join(recipients, recipients.c.id == events.c.recipient_id)
        .outerjoin(deliveries, deliveries.c.recipient_id == events.c.recipient_id)
        .where(
            recipients.c.campaign_id == campaign_id,
            sa.func.coalesce(comes_after, sa.true()),
        )
    )
    return connection.execute(query).scalar_one()
