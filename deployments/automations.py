"""`python -m deployments.automations`: restart `send-campaign` runs that died.

Creates two automations on the Prefect server, or updates them, by their names. One marks a run as
crashed when its heartbeats are missing for too long, because its worker or machine died. The other
schedules a crashed run again, as Retry in the UI does; the run continues where it stopped.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta

from prefect.automations import Automation
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import StateType
from prefect.events.actions import ChangeFlowRunState
from prefect.events.schemas.automations import EventTrigger, Posture
from prefect.events.schemas.events import ResourceSpecification
from prefect.settings import get_current_settings

MAX_STARTS = 10
"""A run that was started this often stays crashed, for an operator to look at."""
MIN_LIFE = timedelta(seconds=10)
_MISSED_HEARTBEATS = 3
_DEFAULT_HEARTBEAT_SECONDS = 180
_ENDINGS = ("Completed", "Failed", "TimedOut", "Cancelling", "Cancelled", "Crashed")
_RESTS = ("Paused", "Suspended", "Resuming", "Scheduled", "AwaitingRetry", "Late")
"""States without a process, so that no heartbeat is expected."""

RUNS = ResourceSpecification({"prefect.resource.id": "prefect.flow-run.*"})
OF_SEND_CAMPAIGN: list[ResourceSpecification | dict[str, str | list[str]]] = [
    ResourceSpecification(
        {"prefect.resource.role": "flow", "prefect.resource.name": "send-campaign"}
    ),
    # No server can restart a run without a deployment, which was called from Python.
    ResourceSpecification({"prefect.resource.role": "deployment"}),
]


def silence() -> timedelta:
    """The time without a heartbeat after which a run is dead: three heartbeats.

    PREFECT_FLOWS_HEARTBEAT_FREQUENCY (seconds, at least 30) must be the same for the workers.
    """
    every = get_current_settings().flows.heartbeat_frequency or _DEFAULT_HEARTBEAT_SECONDS
    return timedelta(seconds=_MISSED_HEARTBEATS * every)


def silent_is_crashed(within: timedelta) -> Automation:
    """Mark a run as crashed that gave no heartbeat `within` this time (at least 10 seconds)."""
    heartbeat = "prefect.flow-run.heartbeat"
    return Automation(
        name="Mailsluice: a silent send-campaign run has crashed",
        description="Made by `python -m deployments.automations`.",
        trigger=EventTrigger(
            posture=Posture.Proactive,
            after={heartbeat},
            expect={heartbeat, *(f"prefect.flow-run.{name}" for name in _ENDINGS + _RESTS)},
            match=RUNS,
            match_related=OF_SEND_CAMPAIGN,
            for_each={"prefect.resource.id"},
            threshold=1,
            within=within,
        ),
        actions=[
            ChangeFlowRunState(
                state=StateType.CRASHED,
                message=f"no sign of life for {within.total_seconds():.0f} s: its process is gone",
            )
        ],
    )


def crashed_goes_on() -> Automation:
    """Schedules a crashed run again, unless it was started MAX_STARTS times.

    A run that crashes twice within ten seconds is left crashed as well. (Without a window the
    server now and then acts twice on one event, and the second time would hit the run again.)
    """
    starts = [str(number) for number in range(1, MAX_STARTS)]
    return Automation(
        name="Mailsluice: a crashed send-campaign run goes on",
        description="Made by `python -m deployments.automations`.",
        trigger=EventTrigger(
            posture=Posture.Reactive,
            expect={"prefect.flow-run.Crashed"},
            match=ResourceSpecification({**RUNS.root, "prefect.run-count": starts}),
            match_related=OF_SEND_CAMPAIGN,
            for_each={"prefect.resource.id"},
            threshold=1,
            within=MIN_LIFE,
        ),
        actions=[
            ChangeFlowRunState(
                state=StateType.SCHEDULED,
                name="AwaitingRetry",
                message="the run crashed: it continues where it stopped",
            )
        ],
    )


async def install(within: timedelta | None = None) -> list[str]:
    """Make both automations, or update those there are. Returns their names.

    `within` is how long a run may be silent before it counts as crashed, by default `silence()`.
    One that an operator has switched off stays off.
    """
    return await put([silent_is_crashed(within or silence()), crashed_goes_on()])


async def put(automations: Sequence[Automation]) -> list[str]:
    """Create automations, or update those of the same names without switching them on or off."""
    async with get_client() as client:
        for automation in automations:
            known = await client.read_automations_by_name(automation.name)
            if known:
                automation.id, automation.enabled = known[0].id, known[0].enabled
                await automation.aupdate()
            else:
                await automation.acreate()
    return [automation.name for automation in automations]


def main() -> None:
    """Install them and say so."""
    for name in asyncio.run(install()):
        print(f"automation: {name}")


if __name__ == "__main__":
    main()
