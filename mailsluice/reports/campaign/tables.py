"""The tables of a report, each as lines of Markdown; none where there is nothing to show. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby

from mailsluice.assignment.warming import WarmUpDay
from mailsluice.core.markdown import cell, table
from mailsluice.core.masking import masked
from mailsluice.core.moves import together
from mailsluice.core.status import RecipientStatus
from mailsluice.core.suppression import held_back
from mailsluice.reports.campaign.replies import AlikeReplies, grouped
from mailsluice.reports.campaign.report import Report, RouteReport, named
from mailsluice.reports.campaign.statistics import (
    AcceptedOverTime,
    DomainOutcome,
    ReplyCount,
    Statistics,
    span_text,
)

WAITING = named(RecipientStatus.DEFERRED)
PUT_OFF = "times put off"
"""How often a server said "later": more than once to some."""
_TOP_REPLIES = 10
_TOP_DOMAIN_REPLIES = 3
_BOUNCES = ("hard", "soft", "complaint")
_OTHERS = "all others"


def connections(report: Report) -> list[str]:
    """Planned and sent shares, who moved, and outcomes, by connection."""
    shown = report.shown
    now = ["recipients"] if report.moves else []  # else those that were assigned
    head = ["connection", "assigned", "share", *now, *map(named, shown), "sent share"]
    rows = [
        [
            plain(route.connection),
            f"{route.planned:,}",
            f"{report.planned_share(route):.2%}" if report.accepted else "",
            *(f"{route.recipients:,}" for _ in now),
            *(f"{route.of(one):,}" for one in shown),
            _percent(report.sent_share(route)),
        ]
        for route in report.routes
    ]
    planned = sum(route.planned for route in report.routes)
    total = [f"{report.of(one):,}" for one in shown]
    there = sum(route.recipients for route in report.routes)
    rows.append(["**all**", f"{planned:,}", "", *(f"{there:,}" for _ in now), *total, ""])
    if report.sent_now:  # else no run has just ended
        head.append("rate/s")
        rates = [one.per_second for one in report.routes]
        for row, rate in zip(rows, [*rates, None], strict=True):
            row.append(f"{rate:,.1f}" if rate else "")
    return table(head, rows)


def moves(report: Report) -> list[str]:
    """Tables of moves: how many, from where to where, why; what each connection lost and got."""
    if not report.moves:
        return []
    away, here = report.moved_away, report.moved_here
    rows = [
        [plain(one.connection), *(f"{n:,}" for n in (one.planned, *_moved(one, away, here)))]
        for one in report.routes
    ]
    head = ["connection", "assigned", "moved away", "moved here", "recipients"]
    said = [f"- {plain(one.sentence())}" for one in together(report.moves)]
    return [*said, "", *table(head, rows)]


def _moved(
    route: RouteReport, away: Mapping[str, int], here: Mapping[str, int]
) -> tuple[int, int, int]:
    name = route.connection
    return away.get(name, 0), here.get(name, 0), route.recipients


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:.2%}"


def pace(report: Report, pace: AcceptedOverTime) -> list[str]:
    """The most that went over each connection in a bucket, beside its limits."""
    unit = span_text(pace.bucket_seconds)
    rows = [
        [
            plain(route.connection),
            _limits(report, route.connection),
            f"{pace.busiest(route.connection):,}",
        ]
        for route in report.routes
        if pace.busiest(route.connection)
    ]
    return table(["connection", "limits", f"most in {unit}"], rows, words=2)


def _limits(report: Report, connection: str) -> str:
    if connection not in report.limits:
        return "not known"
    return cell(", ".join(map(str, report.limits[connection]))) or "none"


def _by_size(counted: Statistics) -> list[DomainOutcome]:
    """The outcomes of the largest domain first, those of all others last."""
    sizes: dict[str | None, int] = {}
    for one in counted.domains:
        sizes[one.domain] = sizes.get(one.domain, 0) + one.recipients

    def place(one: DomainOutcome) -> tuple[bool, int, str, str]:
        return one.domain is None, -sizes[one.domain], one.domain or "", one.connection

    return sorted(counted.domains, key=place)


def domains(counted: Statistics) -> list[str]:
    """Outcomes of each domain over each connection, the largest domain first."""
    cells: dict[tuple[str | None, str], dict[RecipientStatus, int]] = {}
    for one in _by_size(counted):
        cells.setdefault((one.domain, one.connection), {})[one.status] = one.recipients
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
    numbers = [by_status.get(one, 0) for one in statuses]
    total = sum(by_status.values())
    failed = f"{numbers[-1] / total:.1%}" if total else ""
    shown = [f"{one:,}" for one in (total, *numbers)]
    other = f"{total - sum(numbers):,}"
    return [plain(connection), *shown, failed, other, f"{put_off:,}"]


def replies(counted: Statistics) -> list[str]:
    """What servers said to those that failed or were put off; alike replies are one row."""
    found = grouped(counted.replies)
    if not found:
        return []
    rows = [_reply_row(one) for one in found[:_TOP_REPLIES]]
    rest = counted.other_replies + sum(one.failed + one.deferred for one in found[_TOP_REPLIES:])
    head = ["reply", "connections", "failed", PUT_OFF]
    note = [f"{rest:,} more had rarer ones.", ""] if rest else []
    return [*table(head, rows, words=2), *note]


def domain_replies(counted: Statistics) -> list[str]:
    """Table of the most frequent replies for each of the largest domains."""
    by_domain: dict[str, list[ReplyCount]] = {}
    for one in counted.replies:
        if one.domain is not None:
            by_domain.setdefault(one.domain, []).append(one)
    rows = []
    for domain in dict.fromkeys(one.domain for one in _by_size(counted) if one.domain):
        found = grouped(by_domain.get(domain, ()))
        rows += [[plain(domain), *_reply_row(one)] for one in found[:_TOP_DOMAIN_REPLIES]]
        if rest := found[_TOP_DOMAIN_REPLIES:]:
            failed, put_off = sum(one.failed for one in rest), sum(one.deferred for one in rest)
            rows.append([plain(domain), "rarer ones", "", f"{failed:,}", f"{put_off:,}"])
    head = ["domain", "reply", "connections", "failed", PUT_OFF]
    return table(head, rows, words=3) if rows else []


def _reply_row(one: AlikeReplies) -> list[str]:
    code = "" if one.code is None else f"{one.code} "
    names = plain(", ".join(sorted(one.connections)))
    return [f"{code}{plain(one.text)}", names, f"{one.failed:,}", f"{one.deferred:,}"]


def bounces(report: Report, counted: Statistics) -> list[str]:
    """Mail that came back, and complaints, by connection."""
    if not counted.bounces:
        return []
    sent = {route.connection: route.of(RecipientStatus.SENT) for route in report.routes}
    rows = []
    for name, kinds in sorted(counted.bounces.items()):
        numbers = [kinds.get(one, 0) for one in _BOUNCES]
        share = _percent(sum(numbers) / sent[name] if sent.get(name) else None)
        rows.append([plain(name) or "not known", *(f"{one:,}" for one in numbers), share])
    return table(["connection", *_BOUNCES, "of sent"], rows)


def audience(report: Report) -> list[str]:
    """What was read, and who was held back, why."""
    counts = (report.read_rows, report.accepted, *report.rejected.values())
    lines = table(
        ["rows read", "accepted", *map(plain, report.rejected)],
        [[f"{n:,}" for n in counts]],
        words=0,
    )
    for when, why in (("", report.held_back), (" since the launch", report.suppressed_since)):
        if held := held_back(why):
            lines += [f"Suppressed{when} {plain(held)}.", ""]
    return lines


def warm_ups(days: Sequence[WarmUpDay]) -> list[str]:
    """What was planned for each day of a warm-up."""
    head = ["connection", "day", "planned", "cap", "held back"]
    return table(head, [_warm_up(one) for one in days], words=2) if days else []


def _warm_up(one: WarmUpDay) -> list[str]:
    cap = "none" if one.cap is None else f"{one.cap:,}"
    behind = f"{one.held_back_days} days" if one.held_back_days else ""
    return [plain(one.connection), str(one.day), f"{one.planned:,}", cap, behind]


def plain(text: str) -> str:
    """What people or servers wrote, as it may stand anywhere on the page."""
    return cell(masked(text))
