"""Runs of flows with what people write, which the flows themselves check."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from prefect import Flow
from prefect.client.schemas.objects import FlowRun, State
from prefect.flow_engine import run_flow

AnyFlow = Flow[..., Coroutine[Any, Any, State[Any]]]


async def ended(flow: AnyFlow, *given: object, **fields: object) -> State[Any]:
    """Run a flow and return its final state; a failed run does not raise."""
    return await flow(*given, **fields, return_state=True)


async def result(flow: AnyFlow, *given: object, **fields: object) -> object:
    """The result of a new run. Raises what made the run fail."""
    return await flow(*given, **fields)


async def started(flow: AnyFlow, run: FlowRun) -> State[Any]:
    """Execute a run that exists on the server, and return its final state."""
    running = run_flow(flow, flow_run=run, return_type="state")
    assert isinstance(running, Coroutine)
    state = await running
    assert isinstance(state, State)
    return state
