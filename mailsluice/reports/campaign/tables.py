"""The tables of a report as lines of Markdown; a table without rows has no lines. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from itertools import groupby

from mailsluice.assignment.warming import ALL_PROVIDERS, WarmUpDay
from mailsluice.core.markdown import cell, table
from mailsluice.core.masking import masked
from mailsluice.core.moves import together
from mailsluice.core.source_counts import SourceCounts
from mailsluice.core.status import RecipientStatus
from mailsluice.core.suppression import held_back
from mailsluice.events.event import DeliveryState, FailureKind
from mailsluice.mailbox_providers import title_of
from mailsluice.reports.campaign.replies import AlikeReplies, grouped
from mailsluice.reports.campaign.report import Report, RouteReport, named
from mailsluice.reports.campaign.statistics import (
    AcceptedOverTime,
    DomainOutcome,
    ReplyCount,
    Statistics,
    span_text,
)
from mailsluice.reports.deliveries.counts import DeliveryCounts

DEFERRED, DELIVERED, DROPPED, BOUNCED, UNSUBSCRIBED, COMPLAINED = DeliveryState
BLOCK = FailureKind.BLOCK
WAITING = named(RecipientStatus.DEFERRED)
PUT_OFF = "deferrals"
"""The title of the column of deferrals, of which a recipient may have several."""
_TOP_REPLIES = 10
_MOST_PROVIDERS = 10
_TOP_DOMAIN_REPLIES = 3
_BOUNCES = ("hard", "soft", "complaint")
_OTHERS = "all others"


def connections(report: Report) -> list[str]:
    """Assigned or claimed recipients, shares and outcomes by connection."""
    shown, is_pooled = report.shown, report.is_pooled
    now = ["recipients"] if report.moves else []  # equal to those assigned otherwise
    first = ["claimed", "computed share"] if is_pooled else ["assigned", "share"]
    head = ["connection", *first, *now, *map(named, shown), "sent share"]
    rows = [
        [
            plain(route.title),
            f"{route.recipients if is_pooled else route.planned:,}",
            f"{report.planned_share(route):.2%}" if report.accepted and route.connection else "",
            *(f"{route.recipients:,}" for _ in now),
            *(f"{route.of(status):,}" for status in shown),
            _percent(report.sent_share(route)),
        ]
        for route in report.routes
    ]
    planned = sum(route.planned for route in report.routes)
    total = [f"{report.of(status):,}" for status in shown]
    there = sum(route.recipients for route in report.routes)
    planned = there if is_pooled else planned
    rows.append(["**all**", f"{planned:,}", "", *(f"{there:,}" for _ in now), *total, ""])
    if report.sent_now:  # the report is that of a run
        head.append("rate/s")
        rates = [route.per_second for route in report.routes]
        for row, rate in zip(rows, [*rates, None], strict=True):
            row.append(f"{rate:,.1f}" if rate else "")
    return table(head, rows)


def moves(report: Report) -> list[str]:
    """The moves in sentences, and a table of recipients moved away and here by connection."""
    if not report.moves:
        return []
    away, here = report.moved_away, report.moved_here
    rows = [
        [plain(route.connection), *(f"{n:,}" for n in (route.planned, *_moved(route, away, here)))]
        for route in report.routes
    ]
    head = ["connection", "assigned", "moved away", "moved here", "recipients"]
    said = [
        f"- {plain(move.sentence())}" + (f" (first at {_moment(move.at)})" if move.at else "")
        for move in together(report.moves)
    ]
    return [*said, "", *table(head, rows)]


def _moved(
    route: RouteReport, away: Mapping[str, int], here: Mapping[str, int]
) -> tuple[int, int, int]:
    name = route.connection
    return away.get(name, 0), here.get(name, 0), route.recipients


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:.2%}"


def pace(report: Report, pace: AcceptedOverTime) -> list[str]:
    """The most messages of each connection in one bucket, beside its limits where known."""
    limits = ["limits"] if report.limits else []
    rows = [
        [
            plain(route.connection),
            *(_limits(report, route.connection) for _ in limits),
            f"{pace.busiest(route.connection):,}",
        ]
        for route in report.routes
        if pace.busiest(route.connection)
    ]
    head = ["connection", *limits, f"most in {span_text(pace.bucket_seconds)}"]
    return table(head, rows, words=1 + len(limits))


def finish(report: Report, pace: AcceptedOverTime) -> list[str]:
    """When the campaign was to be finished, and when it was; nothing where no time was set."""
    if report.finish_at is None or pace.last is None:
        return []
    planned = f"The campaign was to be finished by {_moment(report.finish_at)}."
    last = f"The last message so far was accepted at {_moment(pace.last)}"
    minutes = round((pace.last - report.finish_at) / 60)
    if minutes > 0:
        last += f", {minutes:,} {'minute' if minutes == 1 else 'minutes'} later"
    elif not report.open:
        last += ", in time"
    return [f"{planned} {last}.", ""]


def _moment(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"


def _limits(report: Report, connection: str) -> str:
    if connection not in report.limits:
        return "not known"
    return cell(", ".join(map(str, report.limits[connection]))) or "none"


def _by_size(counted: Statistics) -> list[DomainOutcome]:
    """The outcomes, those of the largest domain first and those of all others last."""
    sizes: dict[str | None, int] = {}
    for outcome in counted.domains:
        sizes[outcome.domain] = sizes.get(outcome.domain, 0) + outcome.recipients

    def place(outcome: DomainOutcome) -> tuple[bool, int, str, str]:
        return (
            outcome.domain is None,
            -sizes[outcome.domain],
            outcome.domain or "",
            outcome.connection,
        )

    return sorted(counted.domains, key=place)


def domains(counted: Statistics) -> list[str]:
    """Outcomes by domain and connection, the largest domain first."""
    cells: dict[tuple[str | None, str], dict[RecipientStatus, int]] = {}
    for outcome in _by_size(counted):
        cells.setdefault((outcome.domain, outcome.connection), {})[outcome.status] = (
            outcome.recipients
        )
    rows = []
    for domain, keys in groupby(cells, key=lambda key: key[0]):
        name = _OTHERS if domain is None else plain(domain)
        rows += [
            [name, *_domain_row(key[1], cells[key], counted.put_off.get(key, 0))] for key in keys
        ]
    head = ["domain", "connection", "recipients", "sent", WAITING, "failed", "failed %", "other"]
    return table([*head, PUT_OFF], rows, words=2) if rows else []


def _domain_row(
    connection: str, by_status: Mapping[RecipientStatus, int], put_off: int
) -> list[str]:
    statuses = (RecipientStatus.SENT, RecipientStatus.DEFERRED, RecipientStatus.FAILED)
    numbers = [by_status.get(status, 0) for status in statuses]
    total = sum(by_status.values())
    failed = f"{numbers[-1] / total:.1%}" if total else ""
    shown = [f"{number:,}" for number in (total, *numbers)]
    other = f"{total - sum(numbers):,}"
    return [plain(connection), *shown, failed, other, f"{put_off:,}"]


def replies(counted: Statistics) -> list[str]:
    """The replies of failures and deferrals; similar replies share a row."""
    groups = grouped(counted.replies)
    if not groups:
        return []
    rows = [_reply_row(group) for group in groups[:_TOP_REPLIES]]
    rest = counted.other_replies + sum(
        group.failed + group.deferred for group in groups[_TOP_REPLIES:]
    )
    head = ["reply", "connections", "failed", PUT_OFF]
    note = [f"Rarer replies: {rest:,}.", ""] if rest else []
    return [*table(head, rows, words=2), *note]


def domain_replies(counted: Statistics) -> list[str]:
    """The most frequent replies for each of the largest domains."""
    by_domain: dict[str, list[ReplyCount]] = {}
    for reply in counted.replies:
        if reply.group is not None:
            by_domain.setdefault(reply.group, []).append(reply)
    rows = []
    for domain in dict.fromkeys(outcome.domain for outcome in _by_size(counted) if outcome.domain):
        groups = grouped(by_domain.get(domain, ()))
        rows += [[plain(domain), *_reply_row(group)] for group in groups[:_TOP_DOMAIN_REPLIES]]
        if rest := groups[_TOP_DOMAIN_REPLIES:]:
            failed = sum(group.failed for group in rest)
            put_off = sum(group.deferred for group in rest)
            rows.append([plain(domain), "rarer replies", "", f"{failed:,}", f"{put_off:,}"])
    head = ["domain", "reply", "connections", "failed", PUT_OFF]
    return table(head, rows, words=3) if rows else []


def _reply_row(group: AlikeReplies) -> list[str]:
    code = "" if group.code is None else f"{group.code} "
    names = plain(", ".join(sorted(group.connections)))
    return [f"{code}{plain(group.text)}", names, f"{group.failed:,}", f"{group.deferred:,}"]


def bounces(report: Report, counted: Statistics) -> list[str]:
    """Bounces and complaints by connection."""
    if not counted.bounces:
        return []
    sent = {route.connection: route.of(RecipientStatus.SENT) for route in report.routes}
    rows = []
    for name, kinds in sorted(counted.bounces.items()):
        numbers = [kinds.get(kind, 0) for kind in _BOUNCES]
        share = _percent(sum(numbers) / sent[name] if sent.get(name) else None)
        rows.append([plain(name) or "not known", *(f"{number:,}" for number in numbers), share])
    return table(["connection", *_BOUNCES, "of sent"], rows)


def deliveries(report: Report, counted: Statistics) -> list[str]:
    """Deliveries by connection and in all; none when no event is known."""
    known, in_all = counted.deliveries.by_connection, counted.deliveries.in_all
    if not known:
        return []
    accepted = {route.connection: route.of(RecipientStatus.SENT) for route in report.routes}
    names = [*(name for name in accepted if accepted[name] or name in known), *known]
    rows = [
        [plain(name), *_delivery_row(known.get(name, _NO_EVENTS), accepted.get(name, 0))]
        for name in dict.fromkeys(names)
    ]
    rows.append(["**all**", *_delivery_row(in_all, sum(accepted.values()))])
    blocked = in_all.by_failure.get(BLOCK, 0)
    note = f" Of the bounces, {blocked:,} blame the sender or the content." if blocked else ""
    until = f"Events until {datetime.fromtimestamp(counted.as_of, UTC):%Y-%m-%d %H:%M:%S} UTC."
    return [*table([*_DELIVERY_HEAD], rows), until + note, ""]


_NO_EVENTS = DeliveryCounts({}, {})


_DELIVERY_HEAD = (
    "connection", "accepted", "delivered", "deferred", "bounced", "dropped", "unknown yet",
    "complained", "unsubscribed", "median time", "95 % within",
)  # fmt: skip


def _delivery_row(counts: DeliveryCounts, accepted: int) -> list[str]:
    """Delivered, deferred, bounced, dropped and unknown ones are together those accepted."""
    numbers = [
        counts.of(DELIVERED, COMPLAINED, UNSUBSCRIBED),
        *(counts.of(state) for state in (DEFERRED, BOUNCED, DROPPED)),
    ]
    unknown = max(0, accepted - sum(numbers))
    wishes = counts.of(COMPLAINED), counts.of(UNSUBSCRIBED)
    times = (
        "" if seconds is None else duration(seconds)
        for seconds in (counts.median_seconds, counts.p95_seconds)
    )
    return [*(f"{number:,}" for number in (accepted, *numbers, unknown, *wishes)), *times]


def duration(seconds: float) -> str:
    """A length of time for a cell, in seconds, minutes or hours."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.1f} h"


def audience(report: Report) -> list[str]:
    """Rows read, accepted and rejected, and why rows and recipients were suppressed."""
    counts = (report.read_rows, report.accepted, *report.rejected.values())
    lines = table(
        ["rows read", "accepted", *map(plain, report.rejected)],
        [[f"{n:,}" for n in counts]],
        words=0,
    )
    lines += sources(report.sources)
    for when, why in (("", report.held_back), (" since the launch", report.suppressed_since)):
        if held := held_back(why):
            lines += [f"Suppressed{when} {plain(held)}.", ""]
    return lines


def sources(counts: Sequence[SourceCounts]) -> list[str]:
    """Rows read, accepted and rejected of each source."""
    if not counts:
        return []
    head = ["source", "rows read", "accepted", *map(plain, counts[0].rejected)]
    rows = [
        [
            plain(one.source),
            *(f"{n:,}" for n in (one.read_rows, one.accepted, *one.rejected.values())),
        ]
        for one in counts
    ]
    return table(head, rows)


def warm_ups(days: Sequence[WarmUpDay]) -> list[str]:
    """The plan for each day of a warm-up, in all and for the largest providers with own caps."""
    if not days:
        return []
    planned: Counter[str] = Counter()
    for day in days:
        planned[day.provider] += day.planned
    del planned[ALL_PROVIDERS]
    named = [ALL_PROVIDERS, *(name for name, _ in planned.most_common(_MOST_PROVIDERS))]
    head = ["connection", "day", "provider", "planned", "cap", "held back"]
    lines = table(head, [_warm_up(day) for day in days if day.provider in named], words=3)
    more = len(planned) - _MOST_PROVIDERS
    return [*lines, f"{more:,} smaller providers are left out.", ""] if more > 0 else lines


def _warm_up(day: WarmUpDay) -> list[str]:
    provider = title_of(day.provider) if day.provider else "all"
    cap = "none" if day.cap is None else f"{day.cap:,}"
    behind = f"{day.held_back_days} days" if day.held_back_days else ""
    cells = [plain(day.connection), str(day.day), plain(provider)]
    return [*cells, f"{day.planned:,}", cap, behind]


def plain(text: str) -> str:
    """Text from people or servers, masked and escaped for any place on the page."""
    return cell(masked(text))
