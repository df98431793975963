"""The task that shows a plan."""

from __future__ import annotations

from prefect import task
from prefect.artifacts import acreate_markdown_artifact
from prefect.cache_policies import NO_CACHE
from slugify import slugify

from mailsluice.operations.plan import Plan
from tasks.form_links import form_links


@task(
    name="publish-plan",
    task_run_name="Write the plan",
    cache_policy=NO_CACHE,
    persist_result=False,
)
async def publish_plan(plan: Plan) -> None:
    """Write it as a markdown artifact, one key a campaign."""
    links = await form_links(
        {"send-test": "Send copies to yourself", "send-campaign": "Send this campaign"}
    )
    await acreate_markdown_artifact(
        key=f"plan-{slugify(plan.campaign) or 'campaign'}",
        markdown=plan.markdown(links),
        description=plan.summary(),
    )
