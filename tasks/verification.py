"""The task that shows whether a campaign's numbers add up."""

from __future__ import annotations

from prefect import task
from prefect.artifacts import acreate_markdown_artifact
from prefect.cache_policies import NO_CACHE
from slugify import slugify

from mailsluice.operations.accounts import Verification


@task(
    name="publish-verification",
    task_run_name="Write the verification",
    cache_policy=NO_CACHE,
    persist_result=False,
)
async def publish_verification(verification: Verification) -> None:
    """Write it as a markdown artifact, one key a campaign."""
    await acreate_markdown_artifact(
        key=f"verification-{slugify(verification.tallies.campaign) or 'report'}",
        markdown=verification.markdown(),
        description=verification.summary(),
    )
