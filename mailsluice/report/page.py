"""A report as a page in Markdown: tables and pictures, no addresses. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from itertools import groupby

from mailsluice.markdown import cell, section, table
from mailsluice.masking import masked
from mailsluice.report.left_to_do import left_to_do
from mailsluice.report.replies import AlikeReplies, grouped
from mailsluice.report.report import Report
from mailsluice.report.statistics import Pace, Statistics
from mailsluice.status import RecipientStatus
from mailsluice.warm_up import WarmUpDay

_TOP_REPLIES = 10
_BOUNCES = ("hard", "soft", "complaint")
_OTHERS = "all others"


class PictureOf(StrEnum):
    """What there is a picture of."""

    SHARES = "shares"
    OUTCOMES = "outcomes"
    PACE = "pace"


def page(report: Report, pictures: Mapping[PictureOf, str] | None = None, file: str = "") -> str:
    """All of it. `pictures` are in Markdown; `file` is where the page is as HTML."""
    shown = pictures or {}
    counted = report.statistics
    lines = [f"# {_text(report.campaign)}", "", f"**{report.summary()}**", ""]
    if counted:
        lines += [f"As of {datetime.fromtimestamp(counted.as_of, UTC):%Y-%m-%d %H:%M:%S} UTC.", ""]
    if file:
        lines += [f"The same as a file, on the worker's machine: `{file.replace('`', '')}`", ""]
    lines += section("What is left to do", [f"- {one}" for one in left_to_do(report)])
    lines += section(
        "Connections that are down",
        [f"- **{cell(name)}**: {cell(why)}" for name, why in report.down.items()],
    )
    lines += ["## Connections", "", *_connections(report)]
    lines += _pictures(shown, PictureOf.SHARES, PictureOf.OUTCOMES)
    if counted:
        lines += _counted(report, counted, shown)
    lines += ["## Audience", "", *_audience(report)]
    lines += section("Warm-up", _warm_ups(report.warm_ups))
    if report.digest:
        lines += [f"Assignment digest: `{report.digest}`", ""]
    return "\n".join(lines)


def _counted(report: Report, counted: Statistics, pictures: Mapping[PictureOf, str]) -> list[str]:
    """The parts that are made of statistics."""
    pace = _pace(report, counted.pace) if counted.pace else []
    return [
        *section("Pace", [*pace, *_pictures(pictures, PictureOf.PACE)] if pace else []),
        *section("Recipient domains", _domains(counted)),
        *section("Most frequent replies", _replies(counted)),
        *section("Bounces and complaints", _bounces(report, counted)),
    ]


def _connections(report: Report) -> list[str]:
    shown = report.shown
    head = ["connection", "assigned", "share", *(one.value for one in shown), "sent share"]
    rows = [
        [
            _text(route.connection),
            f"{route.planned:,}",
            f"{report.planned_share(route):.2%}" if report.accepted else "",
            *(f"{route.of(one):,}" for one in shown),
            _percent(report.sent_share(route)),
        ]
        for route in report.routes
    ]
    planned = sum(route.planned for route in report.routes)
    rows.append(["**all**", f"{planned:,}", "", *(f"{report.of(one):,}" for one in shown), ""])
    if report.sent_now:  # else no run has just ended
        head.append("rate/s")
        rates = [one.per_second for one in report.routes]
        for row, rate in zip(rows, [*rates, None], strict=True):
            row.append(f"{rate:,.1f}" if rate else "")
    return table(head, rows)


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:.2%}"


def _pace(report: Report, pace: Pace) -> list[str]:
    unit = span_text(pace.bucket_seconds)
    rows = [
        [
            _text(route.connection),
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


def span_text(seconds: int) -> str:
    """A length of time in words: "1 minute"."""
    for size, name in ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second")):
        if seconds % size == 0:
            number = seconds // size
            return f"{number} {name}" + ("s" if number > 1 else "")
    raise ValueError(f"{seconds} is no whole number of seconds")


def _domains(counted: Statistics) -> list[str]:
    """A row a domain and connection, the largest domain first."""
    sizes: dict[str | None, int] = {}
    for one in counted.domains:
        sizes[one.domain] = sizes.get(one.domain, 0) + one.recipients

    def place(key: tuple[str | None, str]) -> tuple[bool, int, str, str]:
        return key[0] is None, -sizes[key[0]], key[0] or "", key[1]

    cells: dict[tuple[str | None, str], dict[RecipientStatus, int]] = {}
    for one in counted.domains:
        cells.setdefault((one.domain, one.connection), {})[one.status] = one.recipients
    rows = []
    for domain, keys in groupby(sorted(cells, key=place), key=lambda key: key[0]):
        name = _OTHERS if domain is None else _text(domain)
        rows += [[name, *_domain_row(key[1], cells[key])] for key in keys]
    head = ["domain", "connection", "assigned", "sent", "deferred", "failed", "failed %", "other"]
    return table(head, rows, words=2) if rows else []


def _domain_row(connection: str, by_status: Mapping[RecipientStatus, int]) -> list[str]:
    named = (RecipientStatus.SENT, RecipientStatus.DEFERRED, RecipientStatus.FAILED)
    numbers = [by_status.get(one, 0) for one in named]
    total = sum(by_status.values())
    failed = f"{numbers[-1] / total:.1%}" if total else ""
    shown = [f"{one:,}" for one in (total, *numbers)]
    return [_text(connection), *shown, failed, f"{total - sum(numbers):,}"]


def _replies(counted: Statistics) -> list[str]:
    found = grouped(counted.replies)
    if not found:
        return []
    rows = [_reply_row(one) for one in found[:_TOP_REPLIES]]
    rest = counted.other_replies + sum(one.failed + one.deferred for one in found[_TOP_REPLIES:])
    head = ["reply", "connections", "failed", "put off"]
    note = [f"{rest:,} more had other replies.", ""] if rest else []
    return [*table(head, rows, words=2), *note]


def _reply_row(one: AlikeReplies) -> list[str]:
    code = "" if one.code is None else f"{one.code} "
    names = cell(masked(", ".join(sorted(one.connections))))
    return [f"{code}{cell(one.text)}", names, f"{one.failed:,}", f"{one.deferred:,}"]


def _bounces(report: Report, counted: Statistics) -> list[str]:
    if not counted.bounces:
        return []
    sent = {route.connection: route.of(RecipientStatus.SENT) for route in report.routes}
    rows = []
    for name, kinds in sorted(counted.bounces.items()):
        numbers = [kinds.get(one, 0) for one in _BOUNCES]
        share = _percent(sum(numbers) / sent[name] if sent.get(name) else None)
        rows.append([_text(name) or "not known", *(f"{one:,}" for one in numbers), share])
    return table(["connection", *_BOUNCES, "of sent"], rows)


def _audience(report: Report) -> list[str]:
    counts = (report.read_rows, report.accepted, *report.rejected.values())
    lines = table(
        ["rows read", "accepted", *map(_text, report.rejected)],
        [[f"{n:,}" for n in counts]],
        words=0,
    )
    since = report.statistics.suppressed_since if report.statistics else {}
    if since:
        whys = ", ".join(f"{number:,} {cell(masked(why))}" for why, number in sorted(since.items()))
        lines += [f"Held back since the launch, by the suppression list: {whys}.", ""]
    return lines


def _warm_ups(warm_ups: Sequence[WarmUpDay]) -> list[str]:
    head = ["connection", "day", "planned", "cap", "held back"]
    return table(head, [_warm_up(one) for one in warm_ups], words=2) if warm_ups else []


def _warm_up(one: WarmUpDay) -> list[str]:
    cap = "none" if one.cap is None else f"{one.cap:,}"
    held_back = f"{one.held_back_days} days" if one.held_back_days else ""
    return [_text(one.connection), str(one.day), f"{one.planned:,}", cap, held_back]


def _pictures(pictures: Mapping[PictureOf, str], *wanted: PictureOf) -> list[str]:
    return [line for one in wanted if one in pictures for line in (pictures[one], "")]


def _text(text: str) -> str:
    """What people or servers wrote, as it may stand anywhere on the page."""
    return cell(masked(text))
