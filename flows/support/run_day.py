"""The day of a run, for which `{date}` stands and by which growing shares are chosen.

A schedule follows the clock of one time zone. In another zone, two of its runs can fall on the same
day; the second would then have the campaign name of the first, and send nothing. The day is stored
in a label of the run, so Retry and Resume continue the campaign that the run began, even if the
schedule has changed meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import DeploymentSchedule, FlowRun
from prefect.client.schemas.responses import DeploymentResponse
from prefect.context import FlowRunContext
from prefect.exceptions import ObjectNotFound
from prefect.runtime import flow_run
from prefect.types import KeyValueLabels

from mailsluice.core.names import DAY
from mailsluice.core.timezones import is_known

_SENDING = "send-campaign/default"
_LABEL = "mailsluice.day"
_REASON = "mailsluice.day-reason"


@dataclass(frozen=True, slots=True)
class RunDay:
    """A day, and how it was determined, in words."""

    day: date
    reason: str

    def __str__(self) -> str:
        return f"{DAY} is {self.day.isoformat()}: {self.reason}"


def day_of_run(campaign: object) -> RunDay:
    """The day of the current run, which sends, plans or tests this campaign.

    `campaign` need not be checked yet. Every start of a run has the same day; the first start asks
    the Prefect server. Blocking.
    """
    context = FlowRunContext.get()
    run = context.flow_run if context else None
    if run is None:
        return day_at(campaign, flow_run.get_scheduled_start_time())
    if stored := run.labels.get(_LABEL):
        return RunDay(date.fromisoformat(str(stored)), str(run.labels.get(_REASON)))
    moment = run.expected_start_time or flow_run.get_scheduled_start_time()
    if _was_started_before(run):
        run_day = _in("UTC", moment, "the day in UTC, as an earlier version began this run")
    else:
        run_day = day_at(campaign, moment, run)
    labels: KeyValueLabels = {_LABEL: run_day.day.isoformat(), _REASON: run_day.reason}
    run.labels.update(labels)
    # Stored for every run: Prefect reads the run again once it has a name.
    with get_client(sync_client=True) as client:
        client.update_flow_run_labels(run.id, labels)
    return run_day


def day_at(campaign: object, moment: datetime, run: FlowRun | None = None) -> RunDay:
    """The day of an aware moment for a campaign.

    The time zone is that of the schedule (the run's own, or the one that sends a campaign of this
    name), else that of the sending window, else UTC. Blocking.
    """
    if zone := _scheduled_zone(campaign, run):
        return _in(zone, moment, f"the day in {zone}, the time zone of the schedule")
    window = field_of(field_of(campaign, "sending_window"), "timezone")
    if isinstance(window, str) and is_known(window):
        return _in(window, moment, f"the day in {window}, the time zone of the sending window")
    return _in(
        "UTC", moment, "the day in UTC, as no schedule and no sending window gives a time zone"
    )


def _was_started_before(run: FlowRun) -> bool:
    """Whether the run was started before; Prefect counts this start once the run is Running."""
    is_counted = run.state is not None and run.state.is_running()
    return run.run_count > is_counted


def _in(zone: str, moment: datetime, reason: str) -> RunDay:
    return RunDay(moment.astimezone(ZoneInfo(zone)).date(), reason)


def _scheduled_zone(campaign: object, run: FlowRun | None) -> str | None:
    deployment = _deployment(run)
    if deployment is None:
        return None
    schedules = deployment.schedules
    creator = run.created_by.id if run and run.created_by else None
    name = field_of(campaign, "name")
    chosen = [schedule for schedule in schedules if schedule.id == creator] or [
        schedule
        for schedule in schedules
        if name and name == field_of(_parameters(deployment, schedule).get("campaign"), "name")
    ]
    return zone_of(chosen)


def zone_of(schedules: Iterable[DeploymentSchedule]) -> str | None:
    """The time zone that these schedules share; None where they have none, or several."""
    zones = {getattr(known.schedule, "timezone", None) for known in schedules}
    zone = zones.pop() if len(zones) == 1 else None
    return zone if zone and is_known(zone) else None


def _deployment(run: FlowRun | None) -> DeploymentResponse | None:
    """Read the deployment whose schedules apply: the run's own, or the one that sends.

    A campaign that is planned, tested, or sent by hand has the day that its schedule would give it.
    """
    with get_client(sync_client=True) as client:
        try:
            if run and run.deployment_id:
                own = client.read_deployment(run.deployment_id)
                if own.schedules:
                    return own
            return client.read_deployment_by_name(_SENDING)
        except ObjectNotFound:
            return None


def _parameters(deployment: DeploymentResponse, schedule: DeploymentSchedule) -> dict[str, Any]:
    return {**deployment.parameters, **schedule.parameters}


def field_of(document: object, name: str) -> object:
    """A field of a document that may be a mapping, a model, or anything else."""
    if isinstance(document, Mapping):
        return document.get(name)
    return getattr(document, name, None)
