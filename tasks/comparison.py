"""The task that shows a comparison."""

from __future__ import annotations

from prefect import task
from prefect.artifacts import acreate_markdown_artifact
from prefect.cache_policies import NO_CACHE
from slugify import slugify

from mailsluice.reports.comparison import Comparison


@task(name="publish-comparison", cache_policy=NO_CACHE, persist_result=False)
async def publish_comparison(comparison: Comparison) -> None:
    """Write it as a markdown artifact, one key a set of campaigns."""
    first, *others = comparison.campaigns
    more = f"-and-{len(others)}" if others else ""
    await acreate_markdown_artifact(
        key=f"comparison-{slugify(first) or 'campaign'}{more}",
        markdown=comparison.markdown(),
        description=comparison.summary(),
    )
