"""The scheduler of Prefect's server, on the SQLAlchemy that is installed."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterDeploymentId
from prefect.client.schemas.schedules import CronSchedule

from tests.eventually import eventually_async

pytestmark = pytest.mark.usefixtures("own_deployments")


async def test_a_deployment_with_a_schedule_gets_its_runs() -> None:
    """The server's scheduler creates the runs, by a bulk insert."""

    @flow(name="weekly")
    def weekly() -> None: ...

    zone = ZoneInfo("Europe/Berlin")
    schedule = CronSchedule(cron="0 9 * * MON", timezone=zone.key)
    async with get_client() as client:
        deployment_id = await client.create_deployment(
            await client.create_flow(weekly),
            "weekly",
            schedules=[DeploymentScheduleCreate(schedule=schedule)],
        )
        of_deployment = FlowRunFilter(deployment_id=FlowRunFilterDeploymentId(any_=[deployment_id]))
        runs = await eventually_async(
            lambda: client.read_flow_runs(flow_run_filter=of_deployment),
            what="runs of a schedule",
        )
    times = [run.expected_start_time for run in runs if run.expected_start_time]
    assert len(times) == len(runs)
    assert min(times) > datetime.now(UTC)
    assert {(one.weekday(), one.hour) for one in (at.astimezone(zone) for at in times)} == {(0, 9)}
