"""The task that publishes the plan of a campaign."""

from __future__ import annotations

import asyncio
import logging

from prefect import task

from mailsluice.operations.plan import Plan
from tasks.form_links import form_links
from tasks.preview import publish_preview
from tasks.publishing import UNSTORED, publish

logger = logging.getLogger(__name__)


@task(name="publish-plan", task_run_name="Publish the plan", **UNSTORED)
async def publish_plan(plan: Plan) -> None:
    """Publish the page of a plan, under one key for each campaign.

    A picture that cannot be drawn is left out.
    """
    links = await form_links(
        {"send-test": "Send copies to yourself", "send-campaign": "Send this campaign"}
    )
    picture = await asyncio.to_thread(drawn, plan)
    page = plan.markdown(links, picture, await publish_preview(plan.messages))
    await publish("plan", plan.campaign, page=page, summary=plan.summary())


def drawn(plan: Plan) -> str:
    """Draw the course of the mail over time, in Markdown; empty where the plan has none."""
    if plan.zones is None:
        return ""
    try:
        from mailsluice.operations.plan.hour_figure import hour_picture

        return hour_picture(plan.zones)
    except Exception:
        logger.warning("the plan is published without its picture", exc_info=True)
        return ""
