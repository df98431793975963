"""Counting the mail of campaigns by domain and connection, for a comparison."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
import sqlalchemy as sa

from mailsluice.core.outcome import Verdict
from mailsluice.core.status import RecipientStatus
from mailsluice.reports.comparison.observed import KEYS
from mailsluice.store.campaign_tables import CampaignTables, tables_of_all
from mailsluice.store.database import Database
from mailsluice.store.schema import bounces, campaigns, warm_up_plans

_COLUMNS = [*KEYS, "status", "first", "bounced", "moved", "number"]


def count_mail(database: Database, campaign_ids: Sequence[int]) -> pd.DataFrame:
    """Count the recipients of these campaigns to whom mail was attempted.

    A row has the columns of KEYS (`campaign` is the id), `status` (the recipient's), `first` (the
    verdict of the first attempt), `bounced` (a hard bounce is recorded), `moved` (to the connection
    from another one) and `number`: the recipients that agree in all of these.
    """
    rows: list[sa.Row[Any]] = []
    for tables, mine in tables_of_all(database, campaigns.c.id.in_(campaign_ids)):
        with database.read() as connection:
            rows += connection.execute(_groups(database, tables, mine, campaign_ids))
    counts = pd.DataFrame(rows, columns=_COLUMNS)
    return counts.astype({"bounced": bool, "moved": bool, "number": int})


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
            _domain(database, recipients).label("domain"),
            recipients.c.connection,
            recipients.c.status,
            sa.func.coalesce(first, Verdict.ACCEPTED.value).label("first"),
            recipients.c.id.in_(hard).label("bounced"),
            recipients.c.reassigned_from.is_not(None).label("moved"),
        )
        .where(mine, recipients.c.attempts > 0)
        .subquery()
    )
    return sa.select(*rows.c, sa.func.count()).group_by(*rows.c)


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
        .where(plans.campaign_id.in_(campaign_ids))
        .group_by(plans.campaign_id, plans.connection)
        .having(sa.func.count() > 1)
        .order_by(plans.campaign_id, plans.connection)
    )
    by_campaign: dict[int, list[str]] = {}
    with database.read() as reader:
        for campaign_id, connection in reader.execute(query):
            by_campaign.setdefault(campaign_id, []).append(connection)
    return by_campaign
