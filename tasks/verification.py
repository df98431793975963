"""The task that publishes the verification of a campaign."""

from __future__ import annotations

from prefect import task

from mailsluice.operations.accounts import Verification
from tasks.publishing import UNSTORED, publish


@task(name="publish-verification", task_run_name="Publish the verification", **UNSTORED)
async def publish_verification(verification: Verification) -> None:
    """Publish the page of a verification, under one key for each campaign."""
    await publish(
        "verification",
        verification.tallies.campaign,
        page=verification.markdown(),
        summary=verification.summary(),
    )
