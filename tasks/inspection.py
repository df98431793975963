"""The task that publishes the check of a connection."""

from __future__ import annotations

from prefect import get_run_logger, task

from mailsluice.operations.verify_connection import ConnectionCheck
from tasks.publishing import UNSTORED, publish


@task(name="publish-inspection", task_run_name="Publish the check", **UNSTORED)
async def publish_inspection(inspection: ConnectionCheck) -> None:
    """Log the results of the check and publish their page, under one key for each connection."""
    for line in inspection.lines():
        get_run_logger().info("%s", line)
    await publish(
        "connection",
        inspection.connection,
        page=inspection.markdown(),
        summary=inspection.summary(),
    )
