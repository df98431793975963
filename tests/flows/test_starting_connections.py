"""The connections of a campaign start together, in a stable order."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import TaskRunFilter, TaskRunFilterFlowRunId
from prefect.states import Completed

from flows import send_campaign as campaigns
from mailsluice.reports.progress import Tally
from tests.flows.conftest import save_block
from tests.flows.test_send_campaign import document, rows, run, subflows, write_csv
from tests.smtpd import SmtpServer

NAMES = [f"connection-{letter}" for letter in "abcde"]


async def test_no_connection_waits_for_the_start_of_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    started: list[str] = []
    all_started = asyncio.Event()

    async def send_connection(_: str, connection: str) -> Any:
        started.append(connection)
        if len(started) == len(NAMES):
            all_started.set()
        await all_started.wait()
        return Completed()

    async def progress() -> Any:
        return SimpleNamespace(standings=(), pool=Tally())

    monkeypatch.setattr(campaigns, "connection_subflow", lambda _: send_connection)
    run: Any = SimpleNamespace(progress=progress)
    sending: Any = SimpleNamespace(waiting={}, stop_request=None, processes=None)

    async def leaving() -> None:
        raise AssertionError("no connection waits")

    async with asyncio.timeout(60):
        await campaigns._send_here("many", NAMES, sending, run, 300.0, leaving)
    assert started == NAMES


async def test_connections_that_claim_from_a_pool_have_no_number_of_recipients_before(
    tmp_path: Path, state: Path
) -> None:
    with SmtpServer() as smtp:
        for name in NAMES[:2]:
            await asyncio.to_thread(save_block, name, smtp)
        routes = [{"connection": name} for name in NAMES[:2]]
        csv = write_csv(tmp_path / "recipients.csv", 40)
        campaign = document(csv, strategy="throughput", routes=routes)
        final = await run(campaign)
        assert final.is_completed(), final.message
        assert len(smtp.recipients) == len(smtp.received) == 40
    assert {connection for _, connection, _ in rows(state)} <= set(NAMES)
    assert {child.name for child in await subflows(final)} == {
        f"Send over {name}: {campaign['name']}" for name in NAMES[:2]
    }


async def test_each_batch_goes_to_the_next_connection_in_a_subflow_of_its_number(
    tmp_path: Path, state: Path
) -> None:
    """A run that is started again finds its subflows by these numbers."""
    with SmtpServer() as smtp:
        for name in NAMES:
            await asyncio.to_thread(save_block, name, smtp)
        routes = [{"connection": name} for name in NAMES]
        csv = write_csv(tmp_path / "recipients.csv", 55)
        final = await run(document(csv, strategy="round_robin", batch_size=10, routes=routes))
        assert final.is_completed()
        assert len(smtp.recipients) == len(smtp.received) == 55
    batches = [NAMES[number // 10 % len(NAMES)] for number in range(55)]
    assert [connection for _, connection, _ in rows(state)] == batches
    children = await subflows(final)
    async with get_client() as client:
        parents = await client.read_task_runs(
            task_run_filter=TaskRunFilter(
                flow_run_id=TaskRunFilterFlowRunId(any_=[final.state_details.flow_run_id])
            )
        )
    numbers = {parent.id: parent.dynamic_key for parent in parents}
    connections = {
        int(numbers[child.parent_task_run_id]): child.parameters["connection"]
        for child in children
        if child.parent_task_run_id
    }
    assert [connections[number] for number in sorted(connections)] == NAMES
