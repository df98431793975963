"""What keeps connections from being comparable, or numbers from being final."""

from __future__ import annotations

from mailsluice.reports.comparison.observed import Observed


def notes(observed: Observed) -> list[str]:
    """All that is to be minded, in sentences. No addresses."""
    counts = observed.counts
    per_campaign = counts.groupby("campaign")[["mail", "moved", "uncertain"]].sum()
    with_mail = counts[counts["mail"] > 0].groupby("campaign")["connection"].nunique()
    silent = counts.groupby("connection")["mail"].sum()
    found = [f"{name} has no mail in these campaigns" for name in silent.index[silent == 0]]
    found += [
        f"{name} went over one connection alone: it tells nothing about how that one compares"
        for name in with_mail.index[with_mail == 1]
    ]
    found += [
        f"{name}: {row.moved:,} recipients that were moved from one connection to another (it was"
        " down, or warming up) are left out"
        for name, row in per_campaign.iterrows()
        if row.moved
    ]
    found += [
        f"{name}: {row.uncertain:,} recipients of whom nobody knows whether they got the mail are"
        " left out"
        for name, row in per_campaign.iterrows()
        if row.uncertain
    ]
    found += [
        f"{name}: {', '.join(held_back)} warmed up, so its mail went out on other days than that of"
        " the others. A difference may be one between days"
        for name, held_back in observed.warming.items()
    ]
    found += [
        f"{name} still has mail to send: accepted and failed are what is known up to now"
        for name in observed.unfinished
    ]
    if not counts["bounced"].any():
        found.append(
            "no hard bounce is known of, so bounces are not compared: perhaps nobody reads them"
        )
    return found
