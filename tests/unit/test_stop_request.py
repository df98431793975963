"""What an operator asks of a run, without a Prefect server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID, uuid4

import httpx
import pytest
from prefect.client.schemas.objects import State
from prefect.states import Paused, Running

from flows.support import stopping
from flows.support.server_events import ServerEvents
from flows.support.stopping import StopReason, StopRequest, read_states


class Run:
    """A campaign's run that takes note."""

    on_hold = False
    is_stopped = False

    forbidden = 0

    def stop(self) -> None:
        self.is_stopped = True

    def forbid(self) -> None:
        self.forbidden += 1


def test_a_run_paused_during_its_launch_is_on_hold() -> None:
    request, run = StopRequest(ServerEvents()), Run()
    request.hold(True)
    request.attach(cast("Any", run))
    assert run.on_hold
    request.hold(False)
    assert not run.on_hold
    assert not run.is_stopped


def test_a_run_suspended_during_its_launch_stops() -> None:
    request, run = StopRequest(ServerEvents()), Run()
    request.make(StopReason.SUSPENDED)
    request.attach(cast("Any", run))
    assert run.is_stopped


@pytest.mark.parametrize("reason", list(StopReason))
async def test_a_cancel_alone_is_recorded_and_once(reason: StopReason) -> None:
    request, run = StopRequest(ServerEvents()), Run()
    request.attach(cast("Any", run))
    request.make(reason)
    await asyncio.gather(request.record(), request.record())
    assert run.forbidden == (reason is StopReason.CANCELLED)


RUN, PARENT = uuid4(), uuid4()


class Server:
    """A server with the states of two runs; it notes whether mail may go during each read."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.states: dict[UUID, State | Exception] = {}
        self.held: list[bool] = []

    @asynccontextmanager
    async def client(self) -> AsyncIterator[Server]:
        yield self

    async def read_flow_run(self, run_id: UUID) -> SimpleNamespace:
        self.held.append(self.run.on_hold)
        state = self.states[run_id]
        if isinstance(state, Exception):
            raise state
        return SimpleNamespace(state=state)


@pytest.mark.parametrize("paused", [RUN, PARENT])
async def test_a_run_is_on_hold_as_long_as_it_or_its_campaign_is_paused(
    paused: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No message goes while the states are read again, or cannot be read."""
    request, run = StopRequest(ServerEvents()), Run()
    request.attach(cast("Any", run))
    server = Server(run)
    monkeypatch.setattr(stopping, "get_client", server.client)
    server.states = {RUN: Running(), PARENT: Running()}
    server.states[paused] = Paused(reschedule=False)
    for _ in range(2):
        await read_states(request, RUN, PARENT)
    assert server.held == [False, False, True, True]
    server.states[PARENT] = httpx.ConnectError("away")
    with pytest.raises(httpx.ConnectError):
        await read_states(request, RUN, PARENT)
    assert run.on_hold
    server.states = {RUN: Running(), PARENT: Running()}
    await read_states(request, RUN, PARENT)
    assert not run.on_hold
