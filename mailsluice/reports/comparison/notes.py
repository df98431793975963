"""Warnings about a comparison: mail that cannot be compared, numbers that may change. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from mailsluice.reports.comparison.observed import Observed


def notes(observed: Observed, smallest_difference: float) -> list[str]:
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
        f"{name}: {number:,} recipients kept the connection of earlier campaigns (affinity), so the"
        " connections have no random parts of the audience: whoever bounced or left because of a"
        " connection is missing there"
        for name, number in observed.kept.items()
    ]
    warnings += [
        f"{name} still has mail to send: the numbers of accepted and failed mail may change"
        for name in observed.unfinished
    ]
    if not counts["bounced"].any():
        warnings.append(
            "no hard bounce is recorded, so bounces are not compared: run collect-bounces first,"
            " if mail comes back to a mailbox, or set up the events of the providers"
        )
    return [*warnings, *_about_events(observed, smallest_difference)]


def _about_events(observed: Observed, smallest_difference: float) -> Iterator[str]:
    connections = sorted(observed.counts["connection"].unique())
    silent = [name for name in connections if name not in observed.reporting]
    if observed.reporting and silent:
        yield (
            f"no deliveries of {', '.join(silent)} are reported by events, so these are compared"
            f" with {', '.join(sorted(observed.reporting))} by the servers' replies alone:"
            " undelivered, blocked, complained and bounced mail and times to delivery are left out"
        )
    for name, share in sorted(observed.unknown.items()):
        if share > 0:
            yield (
                f"{name}: of {share:.2%} of the mail it is not known yet whether it arrives. This"
                " mail is left out of what events report, not counted as undelivered"
            )
    for first, second in unequally_known(observed, smallest_difference):
        shares = observed.unknown[first], observed.unknown[second]
        yield (
            f"{first} and {second} differ in the part of their mail that is not known yet"
            f" ({shares[0]:.2%} and {shares[1]:.2%}): the missing mail may be the late or lost"
            " one, so what events report is not comparable yet. Wait, or check that both"
            " providers send all events"
        )


def unequally_known(observed: Observed, smallest_difference: float) -> list[tuple[str, str]]:
    """Pairs of connections whose mail is not known to so different parts that events mislead."""
    return [
        (first, second)
        for first, second in combinations(sorted(observed.unknown), 2)
        if abs(observed.unknown[first] - observed.unknown[second]) > smallest_difference
    ]
