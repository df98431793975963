"""A run whose process is killed continues by itself, with a real server and a served deployment."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun, State
from prefect.events import EventTrigger
from prefect.events.filters import EventFilter, EventNameFilter, EventResourceFilter
from prefect.exceptions import ObjectNotFound
from prefect.flow_engine import run_flow

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

SERVE = """
from prefect import serve
from prefect.types.entrypoint import EntrypointType
from flows.send_campaign import send_campaign

by_module = EntrypointType.MODULE_PATH
serve(send_campaign.to_deployment("default", entrypoint_type=by_module), pause_on_shutdown=False)
"""


_PATIENCE_SECONDS = 600.0
"""Processes that import Prefect take a minute each on a busy machine."""

pytestmark = pytest.mark.usefixtures("own_automations", "own_deployments")


@contextmanager
def served(api_url: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process that serves send-campaign/default; its runs are its children."""
    environment = {
        **os.environ,
        "PREFECT_API_URL": api_url,
        "PREFECT_RUNNER_POLL_FREQUENCY": "1",
    }
    process = subprocess.Popen(
        [sys.executable, "-c", SERVE], env=environment, start_new_session=True
    )
    try:
        yield process
    finally:
        kill_all(process)


def kill_all(process: subprocess.Popen[bytes]) -> None:
    """SIGKILL to a process and its children, as when their machine dies."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


async def start(campaign: dict[str, object]) -> UUID:
    """Start a run as soon as the deployment is served."""
    async with get_client() as client:

        async def served_as() -> UUID | None:
            with suppress(ObjectNotFound):
                return (await client.read_deployment_by_name("send-campaign/default")).id
            return None

        deployment_id = await eventually_async(served_as, seconds=_PATIENCE_SECONDS)
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
    prefect_api: str, tmp_path: Path, servers: Servers, state: Path
) -> None:
    """Without a runner that could report the crash: `tests/served` has one that is left."""
    for name in ("red", "green"):
        servers[name].hold(after=20)
        save_block(name, servers[name], timeout_seconds=600)
    campaign = document(write_csv(tmp_path / "r.csv", 200))
    await automations.install(within=timedelta(seconds=20))
    with served(prefect_api) as runner:
        run_id = await start(campaign)
        await eventually_async(
            lambda: servers["red"].held and servers["green"].held, seconds=_PATIENCE_SECONDS
        )
        await heard(run_id)
        kill_all(runner)
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
