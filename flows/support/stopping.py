"""Stopping a run in good order: Suspend and Cancel in the Prefect UI, SIGTERM, Ctrl-C.

Prefect tells a running process of none of them in a way that lets it finish what is in flight: a
Suspend only changes the run's state on the server, a Cancel ends in a SIGTERM whose handler raises
wherever the main thread happens to be. Prefect's engine observes the Suspend of a deployment's run,
and raises `Pause` at the next call of Prefect that the flow makes: between two tasks, but not while
mail is sent. So the state is read here whenever it may have changed, and the signals are handled
here, while mail is sent.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from enum import StrEnum
from types import FrameType
from typing import Any
from uuid import UUID

import httpx
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterParentFlowRunId,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import State, StateType
from prefect.exceptions import PrefectHTTPStatusError

from flows.support.state_changes import state_changes
from mailsluice.delivery import Run

logger = logging.getLogger(__name__)

_POLL_SECONDS = 1.0
_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class StopReason(StrEnum):
    """Why a run is to stop. Where several come together, the last of these counts."""

    WAITING = "waiting"
    """Nothing can be sent for long: it comes back by itself."""
    TERMINATED = "terminated"
    """SIGTERM: the machine or the worker goes down."""
    INTERRUPTED = "interrupted"
    """Ctrl-C."""
    SUSPENDED = "suspended"
    CANCELLED = "cancelled"


_RANK = {reason: rank for rank, reason in enumerate(StopReason)}


class StopRequest:
    """Whether this run is to stop, and why."""

    def __init__(self) -> None:
        self._run: Run | None = None
        self.reason: StopReason | None = None
        self.state: State[Any] | None = None
        """For `suspended`: the state that the server has; for `waiting`: the one it is to have."""

    def make(self, reason: StopReason, state: State[Any] | None = None) -> None:
        """Ask for the stop. A Cancel says more than the signal that goes with it."""
        if self.reason is None or _RANK[reason] > _RANK[self.reason]:
            self.reason, self.state = reason, state
            if self._run:
                self._run.stop()

    def attach(self, run: Run) -> None:
        """From here on this is what has to stop; at once, where that was asked for before."""
        self._run = run
        if self.reason:
            run.stop()

    def hold(self, on_hold: bool) -> None:
        """Have the run wait for as long as it is on hold."""
        if self._run:
            self._run.on_hold = on_hold

    def handle_signals(self) -> None:
        """Take the signals over. Prefect takes them back whenever a flow run starts."""
        with suppress(ValueError):  # not in the main thread: the polling has to do
            for number in _SIGNALS:
                signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        if number == signal.SIGINT and self.reason is StopReason.INTERRUPTED:
            raise KeyboardInterrupt  # asked twice
        self.make(StopReason.TERMINATED if number == signal.SIGTERM else StopReason.INTERRUPTED)


@asynccontextmanager
async def stop_on_request(
    flow_run_id: UUID, parent_id: UUID | None = None
) -> AsyncIterator[StopRequest]:
    """Watch for what the operator or the system wants, until the run has come to its conclusion.

    Whatever stops the parent stops this run, too; a parent that crashed is started again, and finds
    it at work.
    """
    request = StopRequest()
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    watching = asyncio.ensure_future(_watch(request, flow_run_id, parent_id))
    try:
        request.handle_signals()
        yield request
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        if request.reason is StopReason.CANCELLED:
            # Its SIGTERM may still come. Handled by Prefect it would turn this run into a crashed
            # one, to be started again; Prefect puts the first handler back when the run is over.
            before.pop(signal.SIGTERM)
        with suppress(ValueError):
            for number, handler in before.items():
                signal.signal(number, handler)


async def look(
    request: StopRequest, flow_run_id: UUID, parent_id: UUID | None = None
) -> dict[UUID, State[Any]]:
    """Ask the server once whether the run is to stop.

    Returns the states that were read, by run. Raises httpx.HTTPError where the server is away.
    """
    states: dict[UUID, State[Any]] = {}
    async with get_client() as client:
        for run_id in (flow_run_id, parent_id):
            if run_id and (state := (await client.read_flow_run(run_id)).state):
                states[run_id] = state
                _apply(state, request)
                if run_id == parent_id and (state.is_completed() or state.is_failed()):
                    request.make(StopReason.TERMINATED)
    return states


async def _watch(request: StopRequest, flow_run_id: UUID, parent_id: UUID | None) -> None:
    run_ids = [flow_run_id, parent_id] if parent_id else [flow_run_id]
    async with state_changes(run_ids) as changes:
        while True:
            await changes.next()
            with suppress(httpx.HTTPError, PrefectHTTPStatusError):  # away: sending goes on
                changes.see(await look(request, flow_run_id, parent_id))


def _apply(state: State[Any], request: StopRequest) -> None:
    paused = state.is_paused()
    if paused and state.state_details.pause_reschedule:
        request.make(StopReason.SUSPENDED, state)
        return
    request.hold(paused)  # else this process is to wait
    if state.is_cancelling() or state.is_cancelled():
        request.make(StopReason.CANCELLED, state)


async def show_subflows(parent_id: UUID, reason: StopReason) -> None:
    """Show the subflows of a suspended or cancelled run as what they are.

    Prefect leaves those of a suspended one Running; paused ones are what the resumed run takes up
    again. Cancelled in the UI together with their parent, they would stay Cancelling.
    """
    kind, name, before = _SUBFLOWS[reason]
    state = State[Any](type=kind, name=name, message="with its campaign")
    of_parent = FlowRunFilter(
        parent_flow_run_id=FlowRunFilterParentFlowRunId(any_=[parent_id]),
        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[before])),
    )
    async with get_client() as client:
        for child in await client.read_flow_runs(flow_run_filter=of_parent):
            await client.set_flow_run_state(child.id, state, force=True)


_SUBFLOWS = {
    StopReason.SUSPENDED: (StateType.PAUSED, "Suspended", StateType.RUNNING),
    StopReason.CANCELLED: (StateType.CANCELLED, "Cancelled", StateType.CANCELLING),
}


async def wait_for_server(seconds: float = 600.0) -> None:
    """Wait until the Prefect API answers: what is reported while it is away is lost.

    After `seconds` without an answer it gives up waiting; what is not reported then is done all the
    same, and the next run of the campaign says so.
    """
    deadline = asyncio.get_running_loop().time() + seconds
    warned = False
    async with get_client() as client:
        while await client.api_healthcheck() and asyncio.get_running_loop().time() < deadline:
            if not warned:
                logger.warning("the Prefect API does not answer: waiting before this is reported")
                warned = True
            await asyncio.sleep(_POLL_SECONDS)
