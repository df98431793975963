"""Suspend, Cancel and Pause of a run by Prefect's event stream, on a real server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.states import Cancelling, Completed, Paused, Running, Suspended

from flows.support import state_changes
from flows.support.server_events import server_events
from flows.support.stopping import StopReason, StopRequest, stop_on_request
from tests.eventually import eventually_async


@pytest.fixture(autouse=True)
def no_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the event stream tells: a look that comes by itself would prove nothing."""
    monkeypatch.setattr(state_changes, "_UNSUBSCRIBED_SECONDS", None)


async def new_run() -> UUID:
    @flow(name="send-campaign")
    def idle() -> None: ...

    async with get_client() as client:
        return (await client.create_flow_run(idle, state=Running())).id


@pytest.fixture
async def run_id() -> UUID:
    return await new_run()


async def set_state(run_id: UUID, state: State) -> None:
    async with get_client() as client:
        await client.set_flow_run_state(run_id, state, force=True)


@asynccontextmanager
async def stopping(*run_ids: UUID) -> AsyncIterator[StopRequest]:
    async with server_events(*run_ids) as events, stop_on_request(events, *run_ids) as request:
        yield request


class Held:
    """A campaign run that records calls."""

    is_stopped = False
    on_hold = False

    def stop(self) -> None:
        self.is_stopped = True


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        (Suspended(), StopReason.SUSPENDED),
        (Cancelling(), StopReason.CANCELLED),
    ],
)
async def test_the_event_of_a_stop_stops_the_run(
    run_id: UUID, state: State, reason: StopReason
) -> None:
    held = Held()
    async with stopping(run_id) as request:
        request.attach(held)  # type: ignore[arg-type]
        await set_state(run_id, state)
        await eventually_async(lambda: request.reason, lambda found: found is reason)
    assert held.is_stopped


async def test_the_event_of_a_pause_holds_the_run_until_it_resumes(run_id: UUID) -> None:
    held = Held()
    async with stopping(run_id) as request:
        request.attach(held)  # type: ignore[arg-type]
        await set_state(run_id, Paused())
        await eventually_async(lambda: held.on_hold)
        await set_state(run_id, Running())
        await eventually_async(lambda: not held.on_hold)
    assert request.reason is None


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        (Suspended(), StopReason.SUSPENDED),
        (Completed(), StopReason.TERMINATED),
    ],
)
async def test_the_event_of_the_parents_end_stops_the_run(
    run_id: UUID, state: State, reason: StopReason
) -> None:
    parent_id = await new_run()
    async with stopping(run_id, parent_id) as request:
        await set_state(parent_id, state)
        await eventually_async(lambda: request.reason, lambda found: found is reason)
