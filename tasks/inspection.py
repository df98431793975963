"""The task that shows what an inspection of a connection found."""

from __future__ import annotations

from prefect import task
from prefect.artifacts import acreate_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.logging import get_run_logger
from slugify import slugify

from mailsluice.operations.verify_connection import ConnectionCheck


@task(name="publish-inspection", cache_policy=NO_CACHE, persist_result=False)
async def publish_inspection(inspection: ConnectionCheck) -> None:
    """Log it, and write it as a markdown artifact, one key a connection."""
    for line in inspection.lines():
        get_run_logger().info("%s", line)
    await acreate_markdown_artifact(
        key=f"connection-{slugify(inspection.connection) or 'smtp'}",
        markdown=inspection.markdown(),
        description=inspection.summary(),
    )
