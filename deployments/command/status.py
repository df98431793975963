"""The command that shows the state of campaigns, and the table that other commands show it by."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from deployments.command.campaign_list import show_campaigns
from deployments.command.output import AsJson, Flag, show, show_table, table

if TYPE_CHECKING:
    from mailsluice import Report

_WATCH_SECONDS = 2.0


def status(
    name: str | None = None,
    /,
    *,
    watch: Flag = False,
    by: Literal["connection", "provider", "zone"] = "connection",
    json: AsJson = False,
) -> None:
    """Show the state of a campaign, or the latest campaigns and all that have not ended.

    Args:
        name: The campaign's name. Default: a list of campaigns.
        watch: Show the campaign's state every two seconds, until no recipient waits.
        by: Show the campaign by connection, or once by mailbox provider or time zone.
        json: Print JSON instead of text.
    """
    import mailsluice

    if name is not None and by == "provider":
        _show_providers(name, as_json=json)
        return
    if name is not None and by == "zone":
        _show_zones(name, as_json=json)
        return
    if name is not None and watch:
        _watch(name, as_json=json)
        return
    if name is not None:
        show_report(mailsluice.report(name), as_json=json)
        return
    show_campaigns(as_json=json)


def show_report(report: Report, *, as_json: bool) -> None:
    """Print the state of a campaign: a table of its connections, and what is down or held."""
    if as_json:
        show("", report_values(report), as_json=True)
        return
    show_table(*_rows(report))
    for name, reason in report.down.items():
        print(f"{name} is down: {reason}")
    for held in report.held if report.open else ():
        print(f"{held}: decide with `mailsluice decide {report.campaign}`")


def _show_providers(name: str, *, as_json: bool) -> None:
    from dataclasses import asdict

    from mailsluice.mailbox_providers import title_of
    from mailsluice.reports.deliveries.queries import count_providers
    from mailsluice.store import Campaigns, Database

    with Database() as database:
        counts = count_providers(database, Campaigns(database).get(name).id)
    tallies = {
        "smaller providers" if provider is None else provider: asdict(counts.of(provider))
        for provider in counts.providers
    }
    if as_json:
        show("", tallies, as_json=True)
    elif not tallies:
        print(
            f"No mailbox provider of {name} is known: look them up (resolve: mx), unless the"
            " campaign is archived or of an older version"
        )
    else:
        columns = [
            column
            for column in next(iter(tallies.values()))
            if any(tally[column] for tally in tallies.values())
        ]
        rows = [
            (title_of(provider), *(f"{tally[column]:,}" for column in columns))
            for provider, tally in tallies.items()
        ]
        show_table(f"{name} by mailbox provider", ("provider", *columns), rows)


def _show_zones(name: str, *, as_json: bool) -> None:
    from mailsluice.reports.zones.queries import zone_counts
    from mailsluice.store import Campaigns, Database

    with Database() as database:
        counts = zone_counts(database, Campaigns(database).get(name).id)
    if as_json:
        show("", counts, as_json=True)
    elif not counts:
        print(f"{name} is not sent by time zone: its sending window names no column of them")
    else:
        rows = [
            (one.zone or "not known", f"{one.recipients:,}", f"{one.sent:,}", f"{one.waiting:,}")
            for one in counts
        ]
        show_table(f"{name} by time zone", ("time zone", "recipients", "sent", "waiting"), rows)


def _watch(name: str, *, as_json: bool) -> None:
    """Show a campaign's state again and again; as JSON, only its last one."""
    from rich.live import Live

    import mailsluice

    with Live(auto_refresh=False) as screen:
        while (report := mailsluice.report(name)).open:
            screen.update(table(*_rows(report)), refresh=True)
            time.sleep(_WATCH_SECONDS)
        screen.update("")
    show_report(report, as_json=as_json)


def _rows(report: Report) -> tuple[str, Sequence[str], list[Sequence[str]]]:
    """Return the title, the columns and the rows of a report's table."""
    statuses = report.shown
    is_pooled = report.is_pooled
    now = ["recipients"] if report.moves and not is_pooled else []  # else equal to those assigned
    rows: list[Sequence[str]] = [
        (
            route.title,
            f"{route.recipients if is_pooled else route.planned:,}",
            *(f"{route.recipients:,}" for _ in now),
            *(f"{route.of(each):,}" for each in statuses),
        )
        for route in report.routes
    ]
    title = f"{report.campaign}: {report.summary()}"
    return title, ("connection", "claimed" if is_pooled else "assigned", *now, *statuses), rows


def report_values(report: Report) -> dict[str, Any]:
    """Return a report for JSON."""
    from dataclasses import asdict

    return {"summary": report.summary(), "open": report.open, **asdict(report)}
