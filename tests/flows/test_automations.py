"""A run whose process is killed continues by itself, with a real server."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun, State
from prefect.events import EventTrigger
from prefect.events.filters import EventFilter, EventNameFilter, EventResourceFilter
from prefect.flow_engine import run_flow
from prefect.settings import PREFECT_API_URL

from deployments import automations
from flows.send_campaign import send_campaign
from tests.eventually import eventually_async
from tests.flows.conftest import Servers, save_block
from tests.flows.test_send_campaign import (
    document,
    rows,
    sent_to,
    write_csv,
)
from tests.forked import Forked

RUN = """
import asyncio, sys
from uuid import UUID
from prefect import flow_engine
from prefect.client.orchestration import get_client
from flows.send_campaign import send_campaign

flow_engine.MINIMUM_HEARTBEAT_INTERVAL = 1
flow_engine.BaseFlowRunEngine.heartbeat_seconds = 1

async def run():
    async with get_client() as client:
        flow_run = await client.read_flow_run(UUID(sys.argv[1]))
    await flow_engine.run_flow(send_campaign, flow_run=flow_run, return_type="state")

asyncio.run(run())
"""
"""Executes a run, with a heartbeat every second: Prefect's shortest interval takes 30."""

SILENCE = timedelta(seconds=10)
"""Ten heartbeats, so that a run does not seem dead on a busy machine."""
_PATIENCE_SECONDS = 600.0
"""A process with the machine to itself needs a second; beside many others, a minute."""

pytestmark = pytest.mark.usefixtures("own_automations", "own_deployments")


@contextmanager
def started(run_id: UUID) -> Iterator[subprocess.Popen[bytes]]:
    """Execute a run in a process of its own."""
    environment = {**os.environ, "PREFECT_API_URL": PREFECT_API_URL.value() or ""}
    process = Forked([sys.executable, "-c", RUN, str(run_id)], env=environment)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


async def create(campaign: dict[str, object]) -> UUID:
    """Create a run of a deployment, which the server can schedule again."""
    async with get_client() as client:
        flow_id = await client.create_flow(send_campaign)
        deployment_id = await client.create_deployment(
            flow_id, "default", enforce_parameter_schema=False
        )
        run = await client.create_flow_run_from_deployment(
            deployment_id, parameters={"campaign": campaign}
        )
    return run.id


async def read(run_id: UUID) -> FlowRun:
    async with get_client() as client:
        return await client.read_flow_run(run_id)


async def heard(run_id: UUID) -> None:
    """Wait until the server has a heartbeat of the run: the silence after it is what counts."""

    async def heartbeats() -> int:
        wanted = EventFilter(  # made anew each time: it asks for events until its making
            event=EventNameFilter(name=["prefect.flow-run.heartbeat"]),
            resource=EventResourceFilter(id=[f"prefect.flow-run.{run_id}"]),
        )
        async with get_client() as client:
            return len((await client.read_events(wanted, limit=50)).events)

    await eventually_async(heartbeats, seconds=_PATIENCE_SECONDS)


async def scheduled(run_id: UUID) -> None:
    """Wait until a run is to be started again."""
    await eventually_async(
        lambda: read(run_id),
        lambda run: run.state and run.state.is_scheduled(),
        seconds=_PATIENCE_SECONDS,
    )


@pytest.mark.timeout(4 * _PATIENCE_SECONDS)
async def test_a_run_whose_machine_dies_goes_on_by_itself(
    tmp_path: Path, servers: Servers, state: Path
) -> None:
    """Without a runner that could report the crash: `tests/served` has one that is left."""
    for name in ("red", "green"):
        servers[name].hold(after=20)
        save_block(name, servers[name], timeout_seconds=600)
    run_id = await create(document(write_csv(tmp_path / "r.csv", 200)))
    await automations.install(within=SILENCE)
    with started(run_id):
        await eventually_async(
            lambda: servers["red"].held and servers["green"].held, seconds=_PATIENCE_SECONDS
        )
        await heard(run_id)
    for name in ("red", "green"):
        servers[name].release()
    assert len(sent_to(servers)) < 200
    await scheduled(run_id)
    await automations.install()  # the last process may take its time
    again: Any = run_flow(send_campaign, flow_run=await read(run_id), return_type="state")
    ended: State[Any] = await again
    everybody = sent_to(servers)
    assert ended.is_completed(), ended.message
    assert (await read(run_id)).run_count == 2
    uncertain = {email for email, _, status in rows(state) if status == "uncertain"}
    assert set(everybody.values()) == {1}
    assert len(uncertain) <= 8  # at most one a session
    assert everybody.keys() | uncertain == {email for email, _, _ in rows(state)}


async def test_installing_again_updates_and_leaves_one_of_each() -> None:
    first = await automations.install()
    async with get_client() as client:
        (crashed,) = await client.read_automations_by_name(first[0])
        await client.pause_automation(crashed.id)
    assert await automations.install(within=timedelta(seconds=77)) == first
    async with get_client() as client:
        (again,) = await client.read_automations_by_name(first[0])
        assert len(await client.read_automations_by_name(first[1])) == 1
    assert again.id == crashed.id
    assert isinstance(again.trigger, EventTrigger)
    assert again.trigger.within == timedelta(seconds=77)
    assert not again.enabled
