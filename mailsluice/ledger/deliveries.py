"""What became of the mail of some campaigns, by domain and connection, counted by the database."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import pandas as pd
import sqlalchemy as sa

from mailsluice.comparison import Observed
from mailsluice.comparison.observed import KEYS, LEFT_OUT, NUMBERS
from mailsluice.ledger.errors import LedgerError
from mailsluice.outbox import CampaignRecord, Campaigns, Database
from mailsluice.outbox.schema import attempts, bounces, recipients, warm_up_plans
from mailsluice.outcome import Verdict
from mailsluice.status import CampaignStatus, RecipientStatus

_ENDED = (CampaignStatus.COMPLETED, CampaignStatus.CANCELLED)


def observe(
    database: Database, campaigns: Sequence[str], connections: Collection[str] = ()
) -> Observed:
    """Count the mail of these campaigns over these connections; over all, where none is named.

    Raises OutboxError where there is no such campaign, LedgerError where it has no such connection.
    """
    records = [Campaigns(database).get(name) for name in dict.fromkeys(campaigns)]
    names = {record.id: record.name for record in records}
    with database.read() as reader:
        rows = reader.execute(_counted(database, list(names))).all()
        warming = _warming(reader, names)
    counts = pd.DataFrame(rows, columns=[*KEYS, *NUMBERS, *LEFT_OUT])
    counts["campaign"] = counts["campaign"].map(names)
    return _chosen(counts, set(connections), records, warming)


def _chosen(
    counts: pd.DataFrame,
    connections: set[str],
    records: Sequence[CampaignRecord],
    warming: dict[str, list[str]],
) -> Observed:
    known = set(counts["connection"])
    if unknown := connections - known:
        raise LedgerError(
            f"no recipient of these campaigns is on {', '.join(map(repr, sorted(unknown)))}; there"
            f" are: {', '.join(map(repr, sorted(known))) or 'none at all'}"
        )
    wanted = connections or known
    held_back = {name: [one for one in found if one in wanted] for name, found in warming.items()}
    return Observed(
        counts[counts["connection"].isin(wanted)],
        [one.name for one in records if one.status not in _ENDED],
        {name: found for name, found in held_back.items() if found},
    )


def _counted(database: Database, campaign_ids: list[int]) -> sa.Select[Any]:
    """KEYS, with the campaign's id, and how many; one row a campaign, domain and connection."""
    one = _recipients(database, campaign_ids).subquery()
    stayed = one.c.moved.is_(sa.false())
    is_certain = sa.and_(
        one.c.status != RecipientStatus.UNCERTAIN, one.c.first != Verdict.UNCERTAIN
    )
    numbers = {
        "mail": sa.true(),
        "accepted": one.c.status == RecipientStatus.SENT,
        "deferred": one.c.first == Verdict.DEFERRED,
        "failed": one.c.status == RecipientStatus.FAILED,
        "bounced": one.c.bounced,
    }
    columns = {name: sa.and_(stayed, is_certain, what) for name, what in numbers.items()}
    columns |= {"moved": one.c.moved, "uncertain": sa.and_(stayed, sa.not_(is_certain))}
    keys = (one.c.campaign_id, one.c.domain, one.c.connection)
    return sa.select(*keys, *map(_number, columns.values())).group_by(*keys)


def _number(condition: sa.ColumnElement[bool]) -> sa.ColumnElement[int]:
    return sa.func.coalesce(sa.func.sum(sa.case((condition, 1), else_=0)), 0)


def _recipients(database: Database, campaign_ids: list[int]) -> sa.Select[Any]:
    """A row for everybody who was attempted."""
    history = (
        sa.select(attempts.c.verdict)
        .where(attempts.c.recipient_id == recipients.c.id)
        .order_by(attempts.c.id)
        .limit(1)
        .scalar_subquery()
    )
    # Nearly all were taken over at once, and have no history to be looked up.
    at_once = sa.and_(
        recipients.c.attempts == 1,
        recipients.c.status == RecipientStatus.SENT,
        recipients.c.code.is_not(None),
    )
    first = sa.case((at_once, Verdict.ACCEPTED.value), else_=history)
    hard = sa.select(bounces.c.recipient_id).where(
        bounces.c.campaign_id.in_(campaign_ids),
        bounces.c.kind == "hard",
        bounces.c.recipient_id.is_not(None),
    )
    return sa.select(
        recipients.c.campaign_id,
        _domain(database).label("domain"),
        recipients.c.connection,
        recipients.c.status,
        sa.func.coalesce(first, Verdict.ACCEPTED.value).label("first"),
        recipients.c.id.in_(hard).label("bounced"),
        recipients.c.reassigned_from.is_not(None).label("moved"),
    ).where(recipients.c.campaign_id.in_(campaign_ids), recipients.c.attempts > 0)


def _domain(database: Database) -> sa.ColumnElement[str]:
    """Addresses are stored normalised: one @, the domain in lower case."""
    if database.is_sqlite:
        at = sa.func.instr(recipients.c.email, "@")
        return sa.func.substr(recipients.c.email, at + 1)
    return sa.func.split_part(recipients.c.email, "@", 2)


def _warming(reader: sa.Connection, names: dict[int, str]) -> dict[str, list[str]]:
    """By campaign: the connections that had a part of it left for later days."""
    plans = warm_up_plans.c
    query = (
        sa.select(plans.campaign_id, plans.connection)
        .where(plans.campaign_id.in_(names))
        .group_by(plans.campaign_id, plans.connection)
        .having(sa.func.count() > 1)
        .order_by(plans.campaign_id, plans.connection)
    )
    found: dict[str, list[str]] = {}
    for campaign_id, connection in reader.execute(query):
        found.setdefault(names[campaign_id], []).append(connection)
    return found
