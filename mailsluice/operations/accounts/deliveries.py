"""Counting outcomes by campaign, domain and connection, as the input of a comparison."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import pandas as pd

from mailsluice.core.outcome import Verdict
from mailsluice.core.status import CampaignStatus, RecipientStatus
from mailsluice.operations.accounts.errors import LedgerError
from mailsluice.operations.accounts.stored import refuse_archived
from mailsluice.reports.comparison import Observed
from mailsluice.reports.comparison.observed import KEYS
from mailsluice.reports.comparison.queries import connections_warming_up, count_mail, read_delays
from mailsluice.store import CampaignRecord, Campaigns, Database

_ENDED = (CampaignStatus.COMPLETED, CampaignStatus.CANCELLED)


def observe(
    database: Database, campaigns: Sequence[str], connections: Collection[str] = ()
) -> Observed:
    """Count the mail of these campaigns over these connections, or over all when none is named.

    Raises:
        OutboxError: There is no such campaign.
        LedgerError: A campaign is archived, or no campaign has mail over a named connection.
    """
    for name in dict.fromkeys(campaigns):
        refuse_archived(database, name)
    by_id = {record.id: record for record in map(Campaigns(database).get, campaigns)}
    groups = count_mail(database, list(by_id))
    names = {campaign_id: record.name for campaign_id, record in by_id.items()}
    groups["campaign"] = groups["campaign"].map(names)
    warming = {
        names[campaign_id]: held_back
        for campaign_id, held_back in connections_warming_up(database, list(by_id)).items()
    }
    delays = read_delays(database, list(by_id))
    delays["campaign"] = delays["campaign"].map(names)
    observed = _chosen(_counts(groups), set(connections), [*by_id.values()], warming)
    return _with_events(observed, delays)


def _chosen(
    counts: pd.DataFrame,
    connections: set[str],
    records: Sequence[CampaignRecord],
    warming: Mapping[str, Sequence[str]],
) -> Observed:
    """Keep the mail over these connections, or over all when the set is empty."""
    if counts.empty:
        raise LedgerError("no mail of these campaigns has been sent yet: compare them afterwards")
    known = set(counts["connection"])
    if unknown := connections - known:
        raise LedgerError(
            f"no mail of these campaigns went over {', '.join(map(repr, sorted(unknown)))}, but"
            f" over {', '.join(map(repr, sorted(known)))}: check the names"
        )
    wanted = connections or known
    held_back = {
        campaign: [name for name in names if name in wanted] for campaign, names in warming.items()
    }
    return Observed(
        counts[counts["connection"].isin(wanted)],
        [record.name for record in records if record.status not in _ENDED],
        {campaign: names for campaign, names in held_back.items() if names},
        {one.name: one.affinity.kept for one in records if one.affinity and one.affinity.kept},
    )


def _counts(groups: pd.DataFrame) -> pd.DataFrame:
    """The columns of `Observed.counts`, from the groups of `count_mail`."""
    reports = groups.groupby(["campaign", "connection"])["arrived"].transform("any")
    uncertain = (groups[["status", "first"]] == Verdict.UNCERTAIN.value).any(axis=1)
    is_mail = ~groups["moved"] & ~uncertain
    columns = {
        "mail": is_mail,
        "accepted": is_mail & (groups["status"] == RecipientStatus.SENT.value),
        "deferred": is_mail & (groups["first"] == Verdict.DEFERRED.value),
        "failed": is_mail & (groups["status"] == RecipientStatus.FAILED.value),
        "bounced": is_mail & groups["bounced"],
        "known": is_mail & reports & groups["ended"],
        "delivered": is_mail & reports & groups["ended"] & ~groups["undelivered"],
        "undelivered": is_mail & reports & groups["undelivered"],
        "blocked": is_mail & reports & groups["blocked"],
        "complained": is_mail & reports & groups["complained"],
        "reported": is_mail & reports,
        "moved": groups["moved"],
        "uncertain": ~groups["moved"] & uncertain,
    }
    numbers = pd.DataFrame(columns).mul(groups["number"], axis=0)
    return numbers.groupby([groups[key] for key in KEYS]).sum().reset_index()


def _with_events(observed: Observed, delays: pd.DataFrame) -> Observed:
    """Add what the providers that report deliveries say, of the campaigns where they do."""
    sums = observed.counts.groupby("connection")[["reported", "known"]].sum()
    reported = sums[sums["reported"] > 0]
    unknown = 1 - reported["known"] / reported["reported"]
    pairs = observed.counts.loc[observed.counts["reported"] > 0, ["campaign", "connection"]]
    return replace(
        observed,
        delays=delays.merge(pairs.drop_duplicates(), on=["campaign", "connection"]),
        unknown={str(name): float(share) for name, share in unknown.items()},
    )
