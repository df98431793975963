"""What became of the mail of some campaigns, by domain and connection, counted by the database."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import pandas as pd
import sqlalchemy as sa

from mailsluice.core.outcome import Verdict
from mailsluice.core.status import CampaignStatus, RecipientStatus
from mailsluice.operations.accounts.errors import LedgerError
from mailsluice.operations.accounts.stored import refuse_archived
from mailsluice.reports.comparison import Observed
from mailsluice.reports.comparison.observed import KEYS
from mailsluice.store import CampaignRecord, Campaigns, Database
from mailsluice.store.schema import attempts, bounces, recipients, warm_up_plans

_GROUP = [*KEYS, "status", "first", "bounced", "moved", "number"]
_ENDED = (CampaignStatus.COMPLETED, CampaignStatus.CANCELLED)


def observe(
    database: Database, campaigns: Sequence[str], connections: Collection[str] = ()
) -> Observed:
    """Count the mail of these campaigns over these connections; over all, where none is named.

    Raises OutboxError where there is no such campaign, LedgerError where it has no such connection,
    or is archived.
    """
    for name in dict.fromkeys(campaigns):
        refuse_archived(database, name)
    found = [Campaigns(database).get(name) for name in campaigns]
    records = [*{record.id: record for record in found}.values()]
    names = {record.id: record.name for record in records}
    with database.read() as reader:
        groups = pd.DataFrame(reader.execute(_groups(database, list(names))), columns=_GROUP)
        warming = _warming(reader, names)
    groups = groups.astype({"bounced": bool, "moved": bool, "number": int})
    groups["campaign"] = groups["campaign"].map(names)
    return _chosen(_counts(groups), set(connections), records, warming)


def _chosen(
    counts: pd.DataFrame,
    connections: set[str],
    records: Sequence[CampaignRecord],
    warming: dict[str, list[str]],
) -> Observed:
    if counts.empty:
        raise LedgerError("no mail of these campaigns has been sent yet: compare them afterwards")
    known = set(counts["connection"])
    if unknown := connections - known:
        raise LedgerError(
            f"no mail of these campaigns went over {', '.join(map(repr, sorted(unknown)))}, but"
            f" over {', '.join(map(repr, sorted(known)))}: check the names"
        )
    wanted = connections or known
    held_back = {name: [one for one in found if one in wanted] for name, found in warming.items()}
    return Observed(
        counts[counts["connection"].isin(wanted)],
        [one.name for one in records if one.status not in _ENDED],
        {name: found for name, found in held_back.items() if found},
    )


def _counts(groups: pd.DataFrame) -> pd.DataFrame:
    """The columns of `Observed.counts`, of groups that are alike in all that was asked for."""
    uncertain = (groups[["status", "first"]] == Verdict.UNCERTAIN.value).any(axis=1)
    is_mail = ~groups["moved"] & ~uncertain
    columns = {
        "mail": is_mail,
        "accepted": is_mail & (groups["status"] == RecipientStatus.SENT.value),
        "deferred": is_mail & (groups["first"] == Verdict.DEFERRED.value),
        "failed": is_mail & (groups["status"] == RecipientStatus.FAILED.value),
        "bounced": is_mail & groups["bounced"],
        "moved": groups["moved"],
        "uncertain": ~groups["moved"] & uncertain,
    }
    numbers = pd.DataFrame(columns).mul(groups["number"], axis=0)
    return numbers.groupby([groups[key] for key in KEYS]).sum().reset_index()


def _groups(database: Database, campaign_ids: list[int]) -> sa.Select[Any]:
    """How many of those who were attempted are alike in what matters here: columns _GROUP."""
    history = (
        sa.select(attempts.c.verdict)
        .where(attempts.c.recipient_id == recipients.c.id)
        .order_by(attempts.c.id + 0)  # else PostgreSQL may walk the primary key for each of them
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
    alike = sa.select(
        recipients.c.campaign_id.label("campaign"),
        _domain(database).label("domain"),
        recipients.c.connection,
        recipients.c.status,
        sa.func.coalesce(first, Verdict.ACCEPTED.value).label("first"),
        recipients.c.id.in_(hard).label("bounced"),
        recipients.c.reassigned_from.is_not(None).label("moved"),
    ).where(recipients.c.campaign_id.in_(campaign_ids), recipients.c.attempts > 0)
    rows = alike.subquery()
    return sa.select(*rows.c, sa.func.count()).group_by(*rows.c)


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
