"""The day of a run, on a real Prefect server with real schedules."""

from __future__ import annotations

import asyncio
import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from prefect import flow
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterDeploymentId,
)
from prefect.client.schemas.objects import FlowRun, State
from prefect.client.schemas.schedules import CronSchedule
from prefect.client.schemas.sorting import FlowRunSort
from prefect.states import Completed, Scheduled

from flows.plan_campaign import plan_campaign
from flows.send_campaign import send_campaign
from flows.support.run_day import day_of_run
from mailsluice.operations.plan import Plan
from mailsluice.store import Database
from mailsluice.store.schema import campaigns
from tests.flows.conftest import Servers
from tests.flows.running import AnyFlow, ended, result, started
from tests.flows.test_send_campaign import document, write_csv

SYDNEY = "Australia/Sydney"
# Sydney puts its clocks forward on 4 October 2026: 10:30 is 00:30 UTC before, 23:30 UTC after.
BEFORE = datetime(2026, 10, 2, 22, tzinfo=UTC)
AFTER = datetime(2026, 10, 4, 1, tzinfo=UTC)


async def deploy(
    client: PrefectClient, campaign: dict[str, Any], *zones: str, name: str = "default"
) -> UUID:
    """A deployment of the flow that sends, with a daily schedule at 10:30 in each zone."""
    flow_id = await client.create_flow(send_campaign)
    return await client.create_deployment(
        flow_id,
        name,
        enforce_parameter_schema=False,
        schedules=[
            DeploymentScheduleCreate(
                schedule=CronSchedule(cron="30 10 * * *", timezone=zone),
                parameters={"campaign": campaign},
            )
            for zone in zones
        ],
    )


async def scheduled(client: PrefectClient, deployment: UUID) -> list[FlowRun]:
    """The runs that the server creates from the schedules, in order of time."""
    response = await client._client.post(
        f"/deployments/{deployment}/schedule",
        json={"start_time": BEFORE.isoformat(), "end_time": AFTER.isoformat(), "min_runs": 2},
    )
    response.raise_for_status()
    return await client.read_flow_runs(
        flow_run_filter=FlowRunFilter(deployment_id=FlowRunFilterDeploymentId(any_=[deployment])),
        sort=FlowRunSort.EXPECTED_START_TIME_ASC,
    )


def stored(state: Path) -> list[str]:
    with sqlite3.connect(state) as connection:
        return [name for (name,) in connection.execute("SELECT name FROM campaigns ORDER BY id")]


pytestmark = pytest.mark.usefixtures("own_deployments")


@pytest.fixture
def weekly(tmp_path: Path, servers: Servers) -> dict[str, Any]:
    csv = write_csv(tmp_path / "r.csv", 3)
    return document(csv, name="daily {date}", strategy="single", routes=[{"connection": "red"}])


async def test_each_day_in_sydney_is_sent_once_over_the_change_of_clocks(
    weekly: dict[str, Any], servers: Servers, state: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with get_client() as client:
        deployment = await deploy(client, weekly, SYDNEY)
        runs = await scheduled(client, deployment)
        assert [one.expected_start_time for one in runs[:2]] == [
            datetime(2026, 10, 3, 0, 30, tzinfo=UTC),
            datetime(2026, 10, 3, 23, 30, tzinfo=UTC),  # the same day, by the UTC clock
        ]
        for run in runs[:2]:
            final = await started(send_campaign, run)
            assert final.message == "3 of 3 sent"
        names = [(await client.read_flow_run(one.id)).name for one in runs[:2]]
    assert names == stored(state) == ["daily 2026-10-03", "daily 2026-10-04"]
    assert set(servers["red"].recipients.values()) == {2}
    said = [one for one in caplog.messages if "{date} is 2026-10-04" in one]
    assert said == [
        "{date} is 2026-10-04: the day in Australia/Sydney, the time zone of the schedule"
    ]


async def test_a_run_keeps_its_day_when_its_schedule_is_changed(
    weekly: dict[str, Any], servers: Servers, state: Path
) -> None:
    """Retry and Resume start the same run again; a new day would be a new campaign."""
    async with get_client() as client:
        deployment = await deploy(client, weekly, SYDNEY)
        run = (await scheduled(client, deployment))[1]
        await started(send_campaign, run)
        for schedule in await client.read_deployment_schedules(deployment):
            await client.delete_deployment_schedule(deployment, schedule.id)
        await client.set_flow_run_state(run.id, Scheduled(), force=True)
        again = await started(send_campaign, await client.read_flow_run(run.id))
    assert again.message == "nothing to send: campaign was completed before"
    assert stored(state) == ["daily 2026-10-04"]


async def test_a_run_that_an_earlier_version_began_keeps_its_utc_day(
    weekly: dict[str, Any], servers: Servers, state: Path
) -> None:
    async with get_client() as client:
        deployment = await deploy(client, weekly, SYDNEY)
        run = (await scheduled(client, deployment))[1]
        final = await started(send_campaign, run.model_copy(update={"run_count": 1}))
    assert final.message == "3 of 3 sent"
    assert stored(state) == ["daily 2026-10-03"]


@flow
async def asks(campaign: dict[str, Any]) -> State[Any]:
    """Stand for the flow that sends, which asks for the day alike, and then makes 90 requests."""
    asked = await asyncio.to_thread(day_of_run, campaign)
    return Completed(message=f"{asked.day}")


@pytest.mark.parametrize(
    ("zones", "name", "window", "day"),
    [
        ((SYDNEY,), "daily {date}", None, 4),  # by hand, as its schedule would
        ((SYDNEY,), "another {date}", None, 3),  # the schedule is not this campaign's
        ((SYDNEY,), "another {date}", SYDNEY, 4),
        ((SYDNEY, "Asia/Tokyo"), "daily {date}", None, 3),  # two zones: neither
        ((SYDNEY, "Asia/Tokyo"), "daily {date}", SYDNEY, 4),
        ((), "daily {date}", "America/New_York", 3),
    ],
)
async def test_a_run_started_by_hand_has_the_day_of_its_campaigns_schedule(
    zones: tuple[str, ...], name: str, window: str | None, day: int
) -> None:
    moment = datetime(2026, 10, 3, 23, 30, tzinfo=UTC)
    hours = {"sending_window": {"days": "Mon-Sun", "timezone": window}} if window else {}
    async with get_client() as client:
        deployment = await deploy(client, {"name": "daily {date}"}, *zones, name=f"{uuid4()}")
        run = await client.create_flow_run_from_deployment(
            deployment,
            parameters={"campaign": {"name": name, **hours}},
            state=Scheduled(scheduled_time=moment),
        )
    final = await started(asks, run)
    assert final.message == f"2026-10-0{day}"


async def test_a_plan_has_the_day_that_the_schedule_will_have(
    weekly: dict[str, Any], servers: Servers
) -> None:
    async with get_client() as client:
        await deploy(client, weekly, SYDNEY)
    plan = await result(plan_campaign, weekly, starts_at="2026-10-03T23:30Z")
    assert isinstance(plan, Plan)
    assert plan.campaign == "daily 2026-10-04"


async def test_a_run_without_a_deployment_is_not_one_of_an_earlier_version(
    weekly: dict[str, Any], servers: Servers, caplog: pytest.LogCaptureFixture
) -> None:
    """Prefect reads the run anew between its name and its work; its first start is counted then."""
    await ended(send_campaign, weekly)
    said = [one for one in caplog.messages if one.startswith("{date} is ")]
    assert len(said) == 1
    assert said[0].endswith(
        ": the day in UTC, as no schedule and no sending window gives a time zone"
    )


@pytest.mark.parametrize("flow", [plan_campaign, send_campaign])
async def test_a_first_start_follows_the_sending_window(
    weekly: dict[str, Any], servers: Servers, caplog: pytest.LogCaptureFixture, flow: AnyFlow
) -> None:
    """Flows that use the day in their name, and flows that ask for it only later."""
    weekly["sending_window"] = {"days": "Mon-Sun", "timezone": SYDNEY}
    at: State[Any] = Scheduled(scheduled_time=datetime(2026, 10, 3, 23, 30, tzinfo=UTC))
    async with get_client() as client:
        run = await client.create_flow_run(flow, parameters={"campaign": weekly}, state=at)
    await started(flow, run)
    said = [one for one in caplog.messages if one.startswith("{date} is ")]
    assert said == [
        f"{{date}} is 2026-10-04: the day in {SYDNEY}, the time zone of the sending window"
    ]


async def test_shares_that_grow_have_the_same_day_as_the_name(
    weekly: dict[str, Any], servers: Servers, state: Path
) -> None:
    growth = {"percent": 0, "grows_to": 100, "grows_from": "2026-10-03", "grows_over_days": 1}
    routes = [{"connection": "red", **growth}, {"connection": "green", "percent": 100}]
    growing = {**weekly, "strategy": "percentage", "routes": routes}
    async with get_client() as client:
        deployment = await deploy(client, growing, SYDNEY)
        for run in (await scheduled(client, deployment))[:2]:
            await started(send_campaign, run)
    received = {name: len(one.received) for name, one in servers.items() if one.received}
    assert received == {"green": 3, "red": 3}  # the one on the third, the other on the fourth
    with Database() as database, database.read() as reader:
        assert len(reader.execute(campaigns.select()).all()) == 2
