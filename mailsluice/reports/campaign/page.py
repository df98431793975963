"""A report as a page in Markdown with tables and pictures, without addresses. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum

from mailsluice.core.form_links import FormLink, form_section
from mailsluice.core.markdown import section, with_section
from mailsluice.reports.campaign import provider_tables, tables
from mailsluice.reports.campaign.blames import blames
from mailsluice.reports.campaign.next_steps import next_steps
from mailsluice.reports.campaign.report import Report
from mailsluice.reports.campaign.statistics import Statistics
from mailsluice.reports.campaign.tables import plain
from mailsluice.reports.zones.counts import zone_table


class PictureOf(StrEnum):
    """The pictures of a report."""

    SHARES = "shares"
    OUTCOMES = "outcomes"
    PACE = "pace"
    PROVIDERS = "providers"


def page(
    report: Report,
    pictures: Mapping[PictureOf, str] | None = None,
    file: str = "",
    links: Sequence[FormLink] = (),
) -> str:
    """Write the whole page.

    Args:
        report: The numbers.
        pictures: In Markdown.
        file: The path of the same page as HTML; empty when there is none.
        links: Links to the next forms, which work in Prefect's UI alone.
    """
    shown = pictures or {}
    counted = report.statistics
    lines = [_title(report), "", f"**{report.summary()}**", ""]
    if counted:
        lines += [f"As of {datetime.fromtimestamp(counted.as_of, UTC):%Y-%m-%d %H:%M:%S} UTC.", ""]
    if file:
        lines += [f"This page as a file on the worker's machine: `{file.replace('`', '')}`", ""]
    lines += section("What to do next", [f"- {step}" for step in next_steps(report)])
    lines += form_section(links)
    lines += section(
        "Connections that are down",
        [f"- **{plain(name)}**: {plain(why)}" for name, why in report.down.items()],
    )
    lines += ["## Connections", "", *tables.connections(report)]
    lines += [f"{plain(report.affinity.sentence())}.", ""] if report.affinity else []
    lines += section("Moved to another connection", tables.moves(report))
    lines += _pictures(shown, PictureOf.SHARES, PictureOf.OUTCOMES)
    if counted:
        lines += _counted(report, counted, shown)
    lines += ["## Audience", "", *tables.audience(report)]
    lines += section("Warm-up", tables.warm_ups(report.warm_ups))
    if report.digest:
        lines += [f"Assignment digest: `{report.digest}`", ""]
    return "\n".join(lines)


def _title(report: Report) -> str:
    return f"# {plain(report.campaign)}"


def _counted(report: Report, counted: Statistics, pictures: Mapping[PictureOf, str]) -> list[str]:
    """The sections made from statistics."""
    pace = tables.finish(report, counted.pace) if counted.pace else []
    pace += tables.pace(report, counted.pace) if counted.pace else []
    return [
        *section(_DELIVERIES, tables.deliveries(report, counted)),
        *section("Pace", [*pace, *_pictures(pictures, PictureOf.PACE)] if pace else []),
        *section("Time zones", zone_table(counted.zones)),
        *section(_PROVIDERS, provider_tables.providers(counted.providers)),
        *section(_PAIRS, _pairs(counted, pictures)),
        *section("Recipient domains", tables.domains(counted)),
        *_said(counted),
        *section("Most frequent replies", tables.replies(counted)),
        *section(_BOUNCES, tables.bounces(report, counted)),
    ]


def _pairs(counted: Statistics, pictures: Mapping[PictureOf, str]) -> list[str]:
    heat_map = _pictures(pictures, PictureOf.PROVIDERS)
    lines = provider_tables.by_connection(counted.providers)
    return [*([*heat_map, _ABOUT_HEAT_MAP, ""] if heat_map else []), *lines]


_ABOUT_HEAT_MAP = (
    "The darker a cell, the more trouble: little accepted or delivered, much deferred or refused."
)


def _said(counted: Statistics) -> list[str]:
    if not counted.providers:
        return section("Replies by domain", tables.domain_replies(counted))
    lines = [*blames((*counted.replies, *counted.later_replies)), *provider_tables.said(counted)]
    return section("What the mailbox providers said", lines)


_PROVIDERS, _PAIRS = "Mailbox providers", "Mailbox providers by connection"
_DELIVERIES, _BOUNCES = "Deliveries, as reported by the providers", "Bounces and complaints"
_AFTER_PROVIDERS = (
    *(_PAIRS, "Recipient domains", "Replies by domain", "Most frequent replies"),
    *(_BOUNCES, "Audience"),
)
_AFTER_DELIVERIES = ("Pace", "Time zones", _PROVIDERS, *_AFTER_PROVIDERS)


def refreshed(text: str, report: Report, later: Statistics) -> str:
    """Bring the sections about deliveries, providers and bounces of a page up to date.

    All else stays, also what only the run knew. `later` needs these three alone.
    """
    if not text.startswith(f"{_title(report)}\n"):
        return text  # the page of a campaign with a similar name
    deliveries, bounces = tables.deliveries(report, later), tables.bounces(report, later)
    text = with_section(text, _DELIVERIES, deliveries, _AFTER_DELIVERIES)
    providers = provider_tables.providers(later.providers)
    text = with_section(text, _PROVIDERS, providers, _AFTER_PROVIDERS)
    return with_section(text, _BOUNCES, bounces, ("Audience",))


def _pictures(pictures: Mapping[PictureOf, str], *wanted: PictureOf) -> list[str]:
    return [line for picture in wanted if picture in pictures for line in (pictures[picture], "")]
