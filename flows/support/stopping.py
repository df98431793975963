"""Stop a run without tearing messages: Suspend and Cancel in the Prefect UI, SIGTERM, Ctrl-C.

Prefect announces none of these to a running process in a way that lets messages in flight finish. A
Suspend only changes the run's state on the server. A Cancel ends in a SIGTERM, whose handler raises
wherever the main thread happens to be. Prefect's engine notices the Suspend of a deployment's run
and raises `Pause` at the flow's next call to Prefect, between two tasks but not while mail is sent.
So this module reads the state whenever it may have changed, and handles the signals while mail is
sent.
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

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterParentFlowRunId,
    FlowRunFilterState,
    FlowRunFilterStateName,
)
from prefect.client.schemas.objects import State, StateType

from flows.support.server_events import ServerEvents
from flows.support.state_changes import state_changes
from mailsluice.core.beside import beside
from mailsluice.delivery import Run

logger = logging.getLogger(__name__)

_POLL_SECONDS = 1.0
_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class StopReason(StrEnum):
    """Why a run is to stop. Of several reasons the last in this list counts."""

    WAITING = "waiting"
    """No connection can send for a long time; the run is scheduled for later."""
    TERMINATED = "terminated"
    """SIGTERM: the machine or the worker shuts down."""
    INTERRUPTED = "interrupted"
    """Ctrl-C."""
    SUSPENDED = "suspended"
    CANCELLED = "cancelled"


_RANK = {reason: rank for rank, reason in enumerate(StopReason)}


class StopRequest:
    """Whether this run is to stop, and why."""

    def __init__(self, events: ServerEvents) -> None:
        self.events = events
        self._run: Run | None = None
        self._on_hold = False
        self.reason: StopReason | None = None
        self._recording = asyncio.Lock()
        self._is_recorded = False
        self.state: State[Any] | None = None
        """For `suspended`, the run's state on the server; for `waiting`, the state to set there."""

    def make(self, reason: StopReason, state: State[Any] | None = None) -> None:
        """Request the stop. A Cancel counts more than the signal that comes with it."""
        if self.reason is None or _RANK[reason] > _RANK[self.reason]:
            self.reason, self.state = reason, state
            if self._run:
                self._run.stop()

    async def record(self) -> None:
        """Record a Cancel in the state database.

        Prefect's runner kills a cancelled run after 30 seconds. On a slow machine that may be
        before its last messages are through and its recipients are cancelled.
        """
        async with self._recording:
            if self.reason is StopReason.CANCELLED and self._run and not self._is_recorded:
                await asyncio.to_thread(self._run.forbid)
                self._is_recorded = True

    def attach(self, run: Run) -> None:
        """Stop or hold this run when it is requested; at once, if that was requested before."""
        self._run = run
        run.on_hold = self._on_hold
        if self.reason:
            run.stop()

    def hold(self, on_hold: bool) -> None:
        """Put the run on hold, or end the hold."""
        self._on_hold = on_hold
        if self._run:
            self._run.on_hold = on_hold

    def handle_signals(self) -> None:
        """Install the signal handlers. Prefect installs its own whenever a flow run starts."""
        with suppress(ValueError):  # not in the main thread, where only the state is watched
            for number in _SIGNALS:
                signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        if number == signal.SIGINT and self.reason is StopReason.INTERRUPTED:
            raise KeyboardInterrupt  # the second Ctrl-C
        self.make(StopReason.TERMINATED if number == signal.SIGTERM else StopReason.INTERRUPTED)


@asynccontextmanager
async def stop_on_request(
    events: ServerEvents, flow_run_id: UUID, parent_id: UUID | None = None
) -> AsyncIterator[StopRequest]:
    """Watch the run's state and the signals while the `with` block runs.

    What stops the parent stops this run, too, except a crash: the parent is started again, and
    finds this run at work.
    """
    request = StopRequest(events)
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    try:
        async with beside(_watch(events, request, flow_run_id, parent_id)):
            request.handle_signals()
            yield request
    finally:
        if request.reason is StopReason.CANCELLED:
            # The SIGTERM of the Cancel may still come. Prefect's handler would make this run a
            # crashed one, which is started again. Prefect restores the first handler at the end.
            before.pop(signal.SIGTERM)
        with suppress(ValueError):
            for number, handler in before.items():
                signal.signal(number, handler)


async def read_states(
    request: StopRequest, flow_run_id: UUID, parent_id: UUID | None = None
) -> dict[UUID, State[Any]]:
    """Read the states of the run and its parent, and request the stop where they say so.

    Returns the states by run. Raises httpx.HTTPError where the server is away.
    """
    states: dict[UUID, State[Any]] = {}
    async with get_client() as client:
        for run_id in (flow_run_id, parent_id):
            if run_id and (state := (await client.read_flow_run(run_id)).state):
                states[run_id] = state
                _apply(state, request)
                if run_id == parent_id and (state.is_completed() or state.is_failed()):
                    request.make(StopReason.TERMINATED)
    if request.reason is None:  # a pause that is not rescheduled keeps this process
        request.hold(any(state.is_paused() for state in states.values()))
    return states


async def _watch(
    events: ServerEvents, request: StopRequest, flow_run_id: UUID, parent_id: UUID | None
) -> None:
    run_ids = [flow_run_id, parent_id] if parent_id else [flow_run_id]
    with state_changes(run_ids, events) as changes:
        while True:
            await changes.next()
            try:
                changes.note(await read_states(request, flow_run_id, parent_id))
                await request.record()
            except Exception as error:  # noqa: BLE001 whatever it is, sending goes on meanwhile
                logger.debug("the run's state cannot be read: %s", type(error).__name__)
                changes.failed()


def _apply(state: State[Any], request: StopRequest) -> None:
    if state.is_paused() and state.state_details.pause_reschedule:
        request.make(StopReason.SUSPENDED, state)
    elif state.is_cancelling() or state.is_cancelled():
        request.make(StopReason.CANCELLED, state)


async def show_subflows(parent_id: UUID, reason: StopReason) -> None:
    """Set the subflows of a suspended or cancelled run to the state of that run.

    Prefect leaves the subflows of a suspended run Running, where its engine has noticed first; else
    they have ended Stopped. The resumed run continues paused ones. Subflows that are cancelled in
    the UI together with their parent would stay Cancelling.
    """
    kind, name, before = _SUBFLOWS[reason]
    state = State[Any](type=kind, name=name, message="with its campaign")
    of_parent = FlowRunFilter(
        parent_flow_run_id=FlowRunFilterParentFlowRunId(any_=[parent_id]),
        state=FlowRunFilterState(name=FlowRunFilterStateName(any_=before)),
    )
    async with get_client() as client:
        for child in await client.read_flow_runs(flow_run_filter=of_parent):
            if child.state_name == STOPPED and child.deployment_id:
                continue  # a run on a worker: the resumed campaign starts another one
            await client.set_flow_run_state(child.id, state, force=True)


STOPPED = "Stopped"
"""The state of a subflow that has ended because its campaign is to stop."""
_SUBFLOWS = {
    StopReason.SUSPENDED: (StateType.PAUSED, "Suspended", ["Running", STOPPED]),
    StopReason.CANCELLED: (StateType.CANCELLED, "Cancelled", ["Cancelling"]),
}


async def wait_for_server(events: ServerEvents, seconds: float = 600.0) -> None:
    """Wait until the Prefect API answers, since a state that is set while it is away is lost.

    The API is not asked while it delivers events. This gives up after `seconds`: the campaign is
    stored all the same, and its next run reports it.
    """
    if events.is_subscribed:
        return
    deadline = asyncio.get_running_loop().time() + seconds
    has_warned = False
    async with get_client() as client:
        while await client.api_healthcheck() and asyncio.get_running_loop().time() < deadline:
            if not has_warned:
                logger.warning("the Prefect API does not answer: waiting to report this run's end")
                has_warned = True
            await asyncio.sleep(_POLL_SECONDS)
