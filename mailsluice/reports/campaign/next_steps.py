"""The next steps that a report recommends, each with its deployment and its command. Pure."""

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
        yield (
            f"**{plain(name)} is down**, for the reason below: fix the cause, then check the"
            " connection with `verify-connection` (`mailsluice connection test`)"
        )
    for held in report.held:
        yield (
            f"**{plain(held)}**: decide whether its recipients get the mail. Resume the suspended"
            " run in the Prefect UI, which shows a form, or use `mailsluice decide`"
        )
    if report.open:
        yield (
            f"**{report.open:,} recipients still wait**: a run that is Scheduled continues by"
            " itself; retry any other, or send the same campaign again with `send-campaign`"
            " (`mailsluice send`); no recipient gets the mail twice"
        )
    if uncertain := report.of(RecipientStatus.UNCERTAIN):
        yield (
            f"**{uncertain:,} are uncertain**: list them (`export-campaign` with the status"
            " uncertain, or `mailsluice export`), look them up at the provider, then settle them"
            " with `resolve-uncertain` (`mailsluice resolve`)"
        )
    if failed := report.of(RecipientStatus.FAILED):
        yield (
            f"**{failed:,} failed**: the replies below say why; `export-campaign` with the"
            " status failed, or `mailsluice export`, lists the addresses, so that you can clean"
            " your list"
        )
    sent = report.of(RecipientStatus.SENT)
    if report.statistics and sent:
        yield (
            "**Later bounces** are counted only after `collect-bounces` (`mailsluice bounces"
            " collect`) has read returned mail, or providers' events have come (`collect-events`,"
            " `mailsluice events serve`); then create this report again with `report-campaign`"
            " (`mailsluice report`)"
        )
    compared = [route for route in report.routes if route.planned or route.share]
    if sent and len(compared) >= _COMPARABLE:
        yield "**To compare the connections**: `compare-connections`"
