"""The next steps that a report recommends, and the deployment for each. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from mailsluice.core.status import RecipientStatus
from mailsluice.reports.campaign.report import Report
from mailsluice.reports.campaign.tables import plain

_COMPARABLE = 2  # connections


def next_steps(report: Report) -> Iterator[str]:
    """Steps in Markdown, the most urgent first."""
    if report.archive:
        yield f"**The campaign has ended**, and was {plain(report.archive)}"
        return
    for name in report.down:
        yield f"**{plain(name)} is down**, for the reason below: fix it, then `verify-connection`"
    if report.open:
        yield (
            f"**{report.open:,} recipients still wait**: retry this run to go on, or start"
            " `send-campaign` with the same campaign; no recipient gets the mail twice"
        )
    if uncertain := report.of(RecipientStatus.UNCERTAIN):
        yield (
            f"**{uncertain:,} are uncertain**: look them up at the provider"
            " (`export-campaign` with the status uncertain lists them), then"
            " `resolve-uncertain`"
        )
    if failed := report.of(RecipientStatus.FAILED):
        yield (
            f"**{failed:,} failed**: the replies below say why; `export-campaign` with the"
            " status failed lists the addresses, so that you can clean your list"
        )
    sent = report.of(RecipientStatus.SENT)
    if report.statistics and sent:
        yield (
            "**Later bounces** are counted only after `collect-bounces`; then `report-campaign`"
            " publishes this page again"
        )
    if sent and len([route for route in report.routes if route.planned]) >= _COMPARABLE:
        yield "**To compare the connections**: `compare-connections`"
