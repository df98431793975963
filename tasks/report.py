"""The task that shows what happened."""

from __future__ import annotations

from prefect import task
from prefect.artifacts import acreate_markdown_artifact
from prefect.cache_policies import NO_CACHE
from slugify import slugify

from mailsluice.report import Report


@task(
    name="report",
    task_run_name="Write the report",
    cache_policy=NO_CACHE,
    persist_result=False,
)
async def publish_report(report: Report) -> None:
    """Write the report as a markdown artifact, one key a campaign."""
    await acreate_markdown_artifact(
        key=f"campaign-{slugify(report.campaign) or 'report'}",
        markdown=report.markdown(),
        description=report.summary(),
    )
