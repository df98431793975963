"""Counting the mail of campaigns by mailbox provider and connection, for a comparison."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
import sqlalchemy as sa

from mailsluice.core.outcome import Verdict
from mailsluice.core.status import RecipientStatus
from mailsluice.events.event import DeliveryState, FailureKind
from mailsluice.mailbox_providers import UNRESOLVED
from mailsluice.reports.comparison.observed import KEYS
from mailsluice.store.campaign_tables import CampaignTables, tables_of_all
from mailsluice.store.database import Database
from mailsluice.store.schema import (
    bounces,
    campaign_providers,
    campaigns,
    deliveries,
    warm_up_plans,
)

_FATES = ["arrived", "ended", "undelivered", "blocked", "complained"]
_COLUMNS = [*KEYS, "status", "first", "bounced", *_FATES, "moved", "number"]


def count_mail(database: Database, campaign_ids: Sequence[int]) -> pd.DataFrame:
    """Count the recipients of these campaigns to whom mail was attempted.

    A row has the columns of KEYS (`campaign` is the id), `status` (the recipient's), `first` (the
    verdict of the first attempt), `bounced` (a hard bounce is recorded), `moved` (to the connection
    from another one) and `number`: the recipients that agree in all of these. By the events of
    providers: `arrived` (a delivery is reported), `ended` (the mail has arrived, or does not any
    more), `undelivered`, `blocked`, `complained`.
    """
    rows: list[sa.Row[Any]] = []
    for tables, mine in tables_of_all(database, campaigns.c.id.in_(campaign_ids)):
        with database.read() as connection:
            rows += connection.execute(_groups(database, tables, mine, campaign_ids))
    counts = pd.DataFrame(rows, columns=_COLUMNS)
    flags = dict.fromkeys(["bounced", *_FATES, "moved"], bool)
    return counts.astype({**flags, "number": int})


def read_delays(database: Database, campaign_ids: Sequence[int]) -> pd.DataFrame:
    """Count accepted recipients with an event by the seconds until their delivery.

    See `Observed.delays`; the column `campaign` has ids here.
    """
    rows: list[sa.Row[Any]] = []
    for tables, mine in tables_of_all(database, campaigns.c.id.in_(campaign_ids)):
        with database.read() as connection:
            rows += connection.execute(_delays(database, tables, mine))
    columns = [*KEYS, "seconds", "delivered", "number"]
    counts = pd.DataFrame(rows, columns=columns)
    return counts.astype({"seconds": int, "delivered": bool, "number": int})


def _delays(
    database: Database, tables: CampaignTables, mine: sa.ColumnElement[bool]
) -> sa.Select[Any]:
    recipients = tables.recipients
    until = sa.func.coalesce(
        deliveries.c.delivered_at,
        sa.case(
            (deliveries.c.state == DeliveryState.DEFERRED.value, database.now),
            else_=deliveries.c.at,
        ),
    )
    seconds = sa.func.round(until - recipients.c.settled_at)  # clocks differ a little
    rows = (
        sa.select(
            recipients.c.campaign_id.label("campaign"),
            recipients.c.provider,
            _domain(database, recipients).label("domain"),
            recipients.c.connection,
            sa.case((seconds > 0, seconds), else_=0).label("seconds"),
            deliveries.c.delivered_at.is_not(None).label("delivered"),
        )
        .join(deliveries, deliveries.c.recipient_id == recipients.c.id)
        .where(
            mine,
            recipients.c.status == RecipientStatus.SENT.value,
            recipients.c.code.is_not(None),  # else its acceptance has no time
            recipients.c.reassigned_from.is_(None),
            recipients.c.settled_at.is_not(None),
        )
        .subquery()
    )
    return _named(sa.select(*rows.c, sa.func.count().label("number")).group_by(*rows.c))


def _groups(
    database: Database,
    tables: CampaignTables,
    mine: sa.ColumnElement[bool],
    campaign_ids: Sequence[int],
) -> sa.Select[Any]:
    recipients, attempts = tables.recipients, tables.attempts
    first_recorded = (
        sa.select(attempts.c.verdict)
        .where(attempts.c.recipient_id == recipients.c.id)
        .order_by(attempts.c.id + 0)  # else PostgreSQL may walk the primary key for each recipient
        .limit(1)
        .scalar_subquery()
    )
    # Nearly all recipients were accepted at the first attempt, and have no rows in `attempts`.
    at_once = sa.and_(
        recipients.c.attempts == 1,
        recipients.c.status == RecipientStatus.SENT,
        recipients.c.code.is_not(None),
    )
    first = sa.case((at_once, Verdict.ACCEPTED.value), else_=first_recorded)
    hard = sa.select(bounces.c.recipient_id).where(
        bounces.c.campaign_id.in_(campaign_ids),
        bounces.c.kind == "hard",
        bounces.c.recipient_id.is_not(None),
    )
    rows = (
        sa.select(
            recipients.c.campaign_id.label("campaign"),
            recipients.c.provider,
            _domain(database, recipients).label("domain"),
            recipients.c.connection,
            recipients.c.status,
            sa.func.coalesce(first, Verdict.ACCEPTED.value).label("first"),
            recipients.c.id.in_(hard).label("bounced"),
            *_fates(recipients),
            recipients.c.reassigned_from.is_not(None).label("moved"),
        )
        .outerjoin(deliveries, deliveries.c.recipient_id == recipients.c.id)
        .where(mine, recipients.c.attempts > 0)
        .subquery()
    )
    return _named(sa.select(*rows.c, sa.func.count().label("number")).group_by(*rows.c))


def _fates(recipients: sa.Table) -> list[sa.Label[bool]]:
    """The columns of _FATES; those of recipients without a delivery are false."""
    state = sa.func.coalesce(deliveries.c.state, "")
    failed = recipients.c.status == RecipientStatus.FAILED.value
    blocked = sa.func.coalesce(deliveries.c.failure, "") == FailureKind.BLOCK.value
    columns: dict[str, sa.ColumnElement[bool]] = {
        "arrived": deliveries.c.delivered_at.is_not(None),
        "ended": sa.or_(failed, state.not_in(["", DeliveryState.DEFERRED.value])),
        "undelivered": sa.or_(
            failed, state.in_([DeliveryState.BOUNCED.value, DeliveryState.DROPPED.value])
        ),
        "blocked": blocked,
        "complained": state == DeliveryState.COMPLAINED.value,
    }
    return [column.label(name) for name, column in columns.items()]


def _named(groups: sa.Select[Any]) -> sa.Select[Any]:
    """The groups with the name of their provider; with their domain where that is not known."""
    counted, known = groups.subquery(), campaign_providers.c
    campaign, number, domain, *others = counted.c
    named = sa.func.coalesce(sa.func.nullif(known.provider, UNRESOLVED), domain)
    is_its = sa.and_(known.campaign_id == campaign, known.number == number)
    return sa.select(campaign, named.label("provider"), *others).outerjoin_from(
        counted, campaign_providers, is_its
    )


def _domain(database: Database, recipients: sa.Table) -> sa.ColumnElement[str]:
    """The domain of a stored address, which has one @ and a domain in lower case."""
    if database.is_sqlite:
        at = sa.func.instr(recipients.c.email, "@")
        return sa.func.substr(recipients.c.email, at + 1)
    return sa.func.split_part(recipients.c.email, "@", 2)


def connections_warming_up(database: Database, campaign_ids: Sequence[int]) -> dict[int, list[str]]:
    """By campaign id: the connections whose warm-up left a part of their mail for later days."""
    plans = warm_up_plans.c
    query = (
        sa.select(plans.campaign_id, plans.connection)
        .where(plans.campaign_id.in_(campaign_ids), plans.provider == "")
        .group_by(plans.campaign_id, plans.connection)
        .having(sa.func.count() > 1)
        .order_by(plans.campaign_id, plans.connection)
    )
    by_campaign: dict[int, list[str]] = {}
    with database.read() as reader:
        for campaign_id, connection in reader.execute(query):
            by_campaign.setdefault(campaign_id, []).append(connection)
    return by_campaign
