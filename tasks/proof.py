"""The task that publishes the result of a test."""

from __future__ import annotations

from prefect import task

from mailsluice.operations.send_test import Proof
from tasks.form_links import form_links
from tasks.publishing import UNSTORED, publish


@task(name="publish-proof", task_run_name="Publish the result", **UNSTORED)
async def publish_proof(proof: Proof) -> None:
    """Publish the page of a test, under one key for each campaign."""
    links = await form_links(
        {"plan-campaign": "Plan this campaign", "send-campaign": "Send this campaign"}
    )
    await publish("test", proof.campaign, page=proof.markdown(links), summary=proof.summary())
