"""Warnings about a comparison: mail that cannot be compared, numbers that may change. Pure."""

from __future__ import annotations

from mailsluice.reports.comparison.observed import Observed


def notes(observed: Observed) -> list[str]:
    """Warnings in sentences, without addresses."""
    counts = observed.counts
    per_campaign = counts.groupby("campaign")[["mail", "moved", "uncertain"]].sum()
    with_mail = counts[counts["mail"] > 0].groupby("campaign")["connection"].nunique()
    totals = counts.groupby("connection")["mail"].sum()
    warnings = [f"{name} has no mail in these campaigns" for name in totals.index[totals == 0]]
    warnings += [
        f"{name} went over one connection only, so its mail compares nothing"
        for name in with_mail.index[with_mail == 1]
    ]
    warnings += [
        f"{name}: {row.moved:,} recipients were moved from a connection that was down or warming"
        " up, and are left out"
        for name, row in per_campaign.iterrows()
        if row.moved
    ]
    warnings += [
        f"{name}: {row.uncertain:,} recipients are uncertain, and are left out"
        for name, row in per_campaign.iterrows()
        if row.uncertain
    ]
    warnings += [
        f"{name}: {', '.join(held_back)} warmed up, so this mail was sent on other days than the"
        " rest. A difference may come from the days"
        for name, held_back in observed.warming.items()
    ]
    warnings += [
        f"{name} still has mail to send: the numbers of accepted and failed mail may change"
        for name in observed.unfinished
    ]
    if not counts["bounced"].any():
        warnings.append(
            "no hard bounce is recorded, so bounces are not compared: run collect-bounces first,"
            " if mail comes back to a mailbox"
        )
    return warnings
