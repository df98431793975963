"""The tables of a report about mailbox providers, as lines of Markdown. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mailsluice.core.markdown import table
from mailsluice.mailbox_providers import title_of
from mailsluice.reports.campaign.replies import AlikeReplies, grouped
from mailsluice.reports.campaign.statistics import ReplyCount, Statistics
from mailsluice.reports.campaign.tables import PUT_OFF, duration, plain
from mailsluice.reports.deliveries.counts import DeliveryTimes
from mailsluice.reports.providers.counts import Measure, ProviderCounts, ProviderTally

_TOP_REPLIES = 5
"""Replies of each provider that have a row."""
_SMALLER = "smaller providers"


def titled(provider: str | None) -> str:
    """What a report calls a provider; None stands for the smaller ones together."""
    return _SMALLER if provider is None else plain(title_of(provider))


def providers(counts: ProviderCounts) -> list[str]:
    """The mail by provider, the largest provider first, and in all."""
    if not counts:
        return []
    has_events = counts.in_all.reported > 0
    rows = [
        _row(titled(name), counts.of(name), counts.times.get(name), has_events=has_events)
        for name in counts.providers
    ]
    rows.append(_row("**all**", counts.in_all, None, has_events=has_events))
    head = ["provider", "recipients", *(measure.value for measure in _REPLIED)]
    return table([*head, *(_BY_EVENTS if has_events else ())], rows)


_REPLIED = (Measure.ACCEPTED, Measure.DEFERRED, Measure.REFUSED)
_BY_EVENTS = ("delivered", "bounced", "complained", "median time", "95 % within")


def _row(
    title: str, tally: ProviderTally, times: DeliveryTimes | None, *, has_events: bool
) -> list[str]:
    numbers = [tally.recipients, tally.accepted, tally.deferred, tally.refused]
    if has_events:
        numbers += [tally.delivered, tally.bounced, tally.complained]
    row = [title, *(f"{number:,}" for number in numbers)]
    if has_events:
        took = (times.median_seconds, times.p95_seconds) if times else ()
        row += [*map(duration, took), "", ""][:2]
    return row


def by_connection(counts: ProviderCounts) -> list[str]:
    """Shares by provider and connection; none when one connection has all the mail."""
    connections = sorted({connection for _, connection in counts.tallies})
    if len(connections) < 2:
        return []
    head = ["provider", "connection", "recipients", *(f"{one} %" for one in _shown(counts))]
    rows = [
        [titled(provider), plain(connection), *_shares(tally, _shown(counts))]
        for provider in counts.providers
        for connection in connections
        if (tally := counts.tallies.get((provider, connection))) and tally.recipients
    ]
    return table(head, rows, words=2)


def _shown(counts: ProviderCounts) -> Sequence[Measure]:
    return tuple(Measure) if counts.in_all.reported else _REPLIED


def _shares(tally: ProviderTally, measures: Sequence[Measure]) -> Iterator[str]:
    yield f"{tally.recipients:,}"
    for measure in measures:
        share = tally.share(measure)
        yield "" if share is None else f"{share:.1%}"


def said(counted: Statistics) -> list[str]:
    """The replies of each provider; the provider and the reply that occur most often come first.

    Replies of a connection's server count as failed or deferred. Replies that the provider gave to
    a relay later, which events report, count as bounced.
    """
    by_provider: dict[str | None, list[ReplyCount]] = {}
    for reply in (*counted.replies, *counted.later_replies):
        by_provider.setdefault(reply.group, []).append(reply)
    groups = {name: grouped(replies) for name, replies in by_provider.items()}
    frequent = sorted(groups, key=lambda name: (name is None, -_number(groups[name]), name or ""))
    has_later = bool(counted.later_replies)
    rows = [
        cells
        for name in frequent
        for cells in _reply_rows(titled(name), groups[name], has_later=has_later)
    ]
    head = ["provider", "reply", "connections", "failed", PUT_OFF]
    return table([*head, *(["later"] if has_later else ())], rows, words=3) if rows else []


def _reply_rows(
    title: str, groups: Sequence[AlikeReplies], *, has_later: bool
) -> Iterator[list[str]]:
    rest = groups[_TOP_REPLIES:]
    shown = [
        (
            f"{'' if group.code is None else f'{group.code} '}{plain(group.text)}",
            plain(", ".join(sorted(group.connections))),
            (group,),
        )
        for group in groups[:_TOP_REPLIES]
    ]
    for text, connections, together in [*shown, *([("rarer replies", "", rest)] if rest else [])]:
        numbers = [
            sum(group.failed for group in together),
            sum(group.deferred for group in together),
            *([sum(group.later for group in together)] if has_later else ()),
        ]
        yield [title, text, connections, *(f"{number:,}" for number in numbers)]


def _number(groups: Sequence[AlikeReplies]) -> int:
    return sum(group.number for group in groups)
