"""The task that shows what became of a test."""

from __future__ import annotations

from prefect import task
from prefect.artifacts import acreate_markdown_artifact
from prefect.cache_policies import NO_CACHE
from slugify import slugify

from mailsluice.operations.send_test import Proof
from tasks.form_links import form_links


@task(name="publish-proof", cache_policy=NO_CACHE, persist_result=False)
async def publish_proof(proof: Proof) -> None:
    """Write it as a markdown artifact, one key a campaign."""
    links = await form_links(
        {"plan-campaign": "Plan this campaign", "send-campaign": "Send this campaign"}
    )
    await acreate_markdown_artifact(
        key=f"test-{slugify(proof.campaign) or 'campaign'}",
        markdown=proof.markdown(links),
        description=proof.summary(),
    )
