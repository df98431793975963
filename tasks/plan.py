"""The task that publishes the plan of a campaign."""

from __future__ import annotations

from prefect import task

from mailsluice.operations.plan import Plan
from tasks.form_links import form_links
from tasks.publishing import UNSTORED, publish


@task(name="publish-plan", task_run_name="Publish the plan", **UNSTORED)
async def publish_plan(plan: Plan) -> None:
    """Publish the page of a plan, under one key for each campaign."""
    links = await form_links(
        {"send-test": "Send copies to yourself", "send-campaign": "Send this campaign"}
    )
    await publish("plan", plan.campaign, page=plan.markdown(links), summary=plan.summary())
