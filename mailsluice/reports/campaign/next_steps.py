"""What to do next, and which deployment does it. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from mailsluice.core.status import RecipientStatus
from mailsluice.reports.campaign.report import Report
from mailsluice.reports.campaign.tables import plain

_COMPARABLE = 2  # connections


def next_steps(report: Report) -> Iterator[str]:
    """Sentences in Markdown, the most urgent first."""
    if report.archive:
        yield f"**The campaign is over**, and was {plain(report.archive)}"
        return
    for name in report.down:
        yield f"**{plain(name)} is down**, see below why: fix it, then `verify-connection`"
    if report.open:
        yield (
            f"**{report.open:,} recipients do not have it yet**: retry this run to go on, or start"
            " `send-campaign` with the same campaign; nobody gets the mail twice"
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
            " status failed lists who, to clean the list"
        )
    sent = report.of(RecipientStatus.SENT)
    if report.statistics and sent:
        yield (
            "**What bounced later** is not in these numbers before it was collected:"
            " `collect-bounces`, then `report-campaign` for this page anew"
        )
    if sent and len([one for one in report.routes if one.planned]) >= _COMPARABLE:
        yield "**Which connection does better**: `compare-connections`"
