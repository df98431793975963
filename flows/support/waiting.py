"""A run without work leaves its worker, and is scheduled for when it has work again.

No connection has work while the sending window is closed, its limits are used up, or its deferred
recipients are not due. After five minutes of this the run ends and sets its own state to Scheduled
for the next moment with work.
"""

from __future__ import annotations

import asyncio
import math
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Scheduled

from flows.support.operation import is_deployed
from flows.support.sending import Sending
from flows.support.stopping import StopReason
from mailsluice.core.beside import beside
from mailsluice.core.errors import CampaignError

Leaving = Callable[[], Awaitable[None]]

_LOOK_SECONDS = 1.0
_DEFAULT_WAIT_SECONDS = 300.0


def wait_seconds() -> float:
    """How long a run waits in its process: MAILSLUICE_WAIT_SECONDS, by default 300.

    Raises CampaignError where the variable is not a number.
    """
    value = os.environ.get("MAILSLUICE_WAIT_SECONDS") or _DEFAULT_WAIT_SECONDS
    try:
        return float(value)
    except ValueError:
        raise CampaignError(
            f"MAILSLUICE_WAIT_SECONDS is {value!r}: write a number of seconds, such as 300"
        ) from None


async def _nothing() -> None:
    pass


@asynccontextmanager
async def left_when_idle(
    sending: Sending, longest_seconds: float, leaving: Leaving = _nothing
) -> AsyncIterator[None]:
    """Stop the run, inside the `with` block, when no connection has work for longer than this.

    `leaving` is called before, while the connections still tell what they wait for. A run without a
    deployment cannot be scheduled for later, so it waits.
    """
    if not is_deployed():
        yield
        return
    async with beside(_watch(sending, longest_seconds, leaving)):
        yield


async def _watch(sending: Sending, longest_seconds: float, leaving: Leaving) -> None:
    while True:
        await asyncio.sleep(_LOOK_SECONDS)
        seconds = await sending.next_in()
        if longest_seconds < seconds < math.inf:
            when = datetime.now(UTC) + timedelta(seconds=seconds)
            await leaving()
            sending.stop_request.make(StopReason.WAITING, Scheduled(scheduled_time=when))
            return


async def reschedule(state: State[None], message: str) -> State[None]:
    """Set this run to a Scheduled state, so that its deployment starts it again at that time.

    Returns the state, with the message.
    """
    when = state.state_details.scheduled_time
    state = state.model_copy(update={"message": f"waits until {when:%Y-%m-%d %H:%M %Z}: {message}"})
    async with get_client() as client:
        await client.set_flow_run_state(UUID(flow_run.get_id()), state, force=True)
    return state
