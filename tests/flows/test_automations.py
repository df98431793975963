"""A run whose process dies goes on by itself: a real server, a served deployment, kill -9."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import ObjectNotFound
from prefect.settings import PREFECT_API_URL, temporary_settings

from deployments import automations
from deployments.server import free_port, prefect_server
from tests.flows.conftest import Servers, save_block
from tests.flows.test_send_campaign import (
    document,
    rows,
    sent_to,
    write_csv,
)
from tests.smtpd import SmtpServer

QUICK = {"PREFECT_SERVER_EVENTS_PROACTIVE_GRANULARITY": "PT1S"}  # by default five seconds
SERVE = """
from prefect import serve
from prefect.types.entrypoint import EntrypointType
from flows.send_campaign import send_campaign

by_module = EntrypointType.MODULE_PATH
serve(send_campaign.to_deployment("default", entrypoint_type=by_module), pause_on_shutdown=False)
"""


@pytest.fixture
async def api(tmp_path: Path, state: Path) -> AsyncIterator[str]:
    """A Prefect server of this test's own, whose triggers are quick."""
    api_url = f"http://127.0.0.1:{free_port()}/api"
    environment = {**QUICK, "PREFECT_HOME": str(tmp_path / "prefect")}
    with prefect_server(api_url, environment), temporary_settings({PREFECT_API_URL: api_url}):
        yield api_url


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


def kill_children(process: subprocess.Popen[bytes]) -> None:
    """SIGKILL to the children alone: the run's process dies under its runner."""
    found = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, check=True)
    for pid in found.stdout.split():
        os.kill(int(pid), signal.SIGKILL)


async def start(campaign: dict[str, object]) -> UUID:
    async with get_client() as client:
        while True:  # until it is served
            with suppress(ObjectNotFound):
                deployment = await client.read_deployment_by_name("send-campaign/default")
                break
            await asyncio.sleep(0.2)
        run = await client.create_flow_run_from_deployment(
            deployment.id, parameters={"campaign": campaign}
        )
    return run.id


async def read(run_id: UUID) -> FlowRun:
    async with get_client() as client:
        return await client.read_flow_run(run_id)


async def sent(servers: Servers, number: int) -> None:
    """Wait until so many have their mail."""
    while sum(len(server.received) for server in servers.values()) < number:  # noqa: ASYNC110
        await asyncio.sleep(0.05)  # another process sends, over sockets


async def scheduled(run_id: UUID) -> None:
    """Wait until a run is to be started again."""
    while not ((state := (await read(run_id)).state) and state.is_scheduled()):  # noqa: ASYNC110
        await asyncio.sleep(0.2)  # the server is asked: it does not tell


async def final(run_id: UUID) -> FlowRun:
    """Wait until a run has ended otherwise than by a crash."""
    while True:
        run = await read(run_id)
        if run.state and run.state.is_final() and not run.state.is_crashed():
            return run
        await asyncio.sleep(0.2)


async def test_a_run_whose_process_dies_goes_on_by_itself(
    api: str, tmp_path: Path, state: Path
) -> None:
    campaign = document(write_csv(tmp_path / "r.csv", 900), throttle={"per_second": 50})
    await automations.install(within=timedelta(seconds=20))
    async with asyncio.timeout(240):  # not a measure: else a failure is a test without end
        with SmtpServer() as red, SmtpServer() as green:
            servers = {"red": red, "green": green}
            for name, server in servers.items():
                save_block(name, server)
            with served(api) as runner:
                run_id = await start(campaign)
                await sent(servers, 100)
                kill_children(runner)  # the runner is left, and reports the crash
                await sent(servers, 300)
                kill_all(runner)  # nobody is left to report it
            assert len(sent_to(servers)) < 900
            await scheduled(run_id)
            await automations.install()  # the last process may take its time
            with served(api):
                run = await final(run_id)
            everybody = sent_to(servers)
    assert run.state is not None
    assert run.state.is_completed(), run.state.message
    assert run.run_count == 3
    uncertain = {email for email, _, status in rows(state) if status == "uncertain"}
    assert set(everybody.values()) == {1}
    assert len(uncertain) <= 2 * 8  # at most one a session and kill
    assert everybody.keys() | uncertain == {email for email, _, _ in rows(state)}


async def test_installing_again_updates_and_leaves_one_of_each(prefect_server: None) -> None:
    first = await automations.install()
    async with get_client() as client:
        (crashed,) = await client.read_automations_by_name(first[0])
        await client.pause_automation(crashed.id)
    assert await automations.install(within=timedelta(seconds=77)) == first
    async with get_client() as client:
        (again,) = await client.read_automations_by_name(first[0])
        assert len(await client.read_automations_by_name(first[1])) == 1
    assert again.id == crashed.id
    assert again.trigger.within == timedelta(seconds=77)
    assert not again.enabled
