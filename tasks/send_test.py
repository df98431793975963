"""The task that publishes the result of a test."""

from __future__ import annotations

from prefect import task

from mailsluice.operations.send_test import SendTestResult
from tasks.form_links import form_links
from tasks.preview import publish_preview
from tasks.publishing import UNSTORED, publish


@task(name="publish-test", task_run_name="Publish the result", **UNSTORED)
async def publish_test(result: SendTestResult) -> None:
    """Publish the page of a test, under one key for each campaign."""
    preview_line = await publish_preview(result.messages)
    links = await form_links(
        {"plan-campaign": "Plan this campaign", "send-campaign": "Send this campaign"}
    )
    await publish(
        "test", result.campaign, page=result.markdown(links, preview_line), summary=result.summary()
    )
