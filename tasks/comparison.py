"""The task that publishes a comparison of connections."""

from __future__ import annotations

from prefect import task

from mailsluice.reports.comparison import Comparison
from tasks.publishing import UNSTORED, publish


@task(name="publish-comparison", task_run_name="Publish the comparison", **UNSTORED)
async def publish_comparison(comparison: Comparison) -> None:
    """Publish the page of a comparison, under one key for each set of campaigns."""
    first, *others = comparison.campaigns
    await publish(
        "comparison",
        f"{first} and {len(others)}" if others else first,
        page=comparison.markdown(),
        summary=comparison.summary(),
    )
