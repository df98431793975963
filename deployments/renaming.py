"""Replacing deployments named `default` by deployments with names of their own.

What operators added to an old deployment is kept: schedules, its paused state, and automations that
run or watch it. A deployment with runs in progress is replaced the next time.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from uuid import UUID

from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.actions import DeploymentScheduleCreate, DeploymentUpdate
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterId,
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import StateType
from prefect.client.schemas.responses import DeploymentResponse
from prefect.events.schemas.automations import AutomationCore
from prefect.exceptions import ObjectNotFound

from deployments.catalogue import Deployed

logger = logging.getLogger(__name__)

_UNDER_WAY = [StateType.RUNNING, StateType.PENDING, StateType.CANCELLING]


async def outdated(deployed: Iterable[Deployed]) -> list[Deployed]:
    """The deployments whose old deployment still exists."""
    async with get_client() as client:
        return [deployment for deployment in deployed if await _find(client, deployment.old_name)]


async def replace_old(deployed: Iterable[Deployed]) -> list[str]:
    """Replace old deployments by new ones that exist already. Returns the old names.

    A deployment without a new one, or with runs in progress, stays.
    """
    replaced = []
    async with get_client() as client:
        for deployment in deployed:
            old, new = (
                await _find(client, deployment.old_name),
                await _find(client, deployment.full_name),
            )
            if old is None or new is None or await _is_busy(client, old.id):
                continue
            await _take_along(client, old, new)
            await client.delete_deployment(old.id)
            replaced.append(f"{deployment.flow.name}/{old.name}")
    return replaced


async def _find(client: PrefectClient, name: str | None) -> DeploymentResponse | None:
    try:
        return await client.read_deployment_by_name(name) if name else None
    except ObjectNotFound:
        return None


async def _is_busy(client: PrefectClient, deployment_id: UUID) -> bool:
    runs = await client.read_flow_runs(
        deployment_filter=DeploymentFilter(id=DeploymentFilterId(any_=[deployment_id])),
        flow_run_filter=FlowRunFilter(
            state=FlowRunFilterState(type=FlowRunFilterStateType(any_=_UNDER_WAY))
        ),
        limit=1,
    )
    return bool(runs)


async def _take_along(
    client: PrefectClient, old: DeploymentResponse, new: DeploymentResponse
) -> None:
    known = {(schedule.slug, schedule.schedule.model_dump_json()) for schedule in new.schedules}
    missing = [
        DeploymentScheduleCreate(
            schedule=schedule.schedule,
            active=schedule.active,
            max_scheduled_runs=schedule.max_scheduled_runs,
            parameters=schedule.parameters,
            slug=schedule.slug,
        )
        for schedule in old.schedules
        if (schedule.slug, schedule.schedule.model_dump_json()) not in known
    ]
    if missing:
        await client.create_deployment_schedules(new.id, missing)
    if old.paused:
        await client.update_deployment(new.id, DeploymentUpdate(paused=True))
    for automation in await client.read_automations():
        text = automation.model_dump_json(exclude={"id", "owner_resource"})
        if str(old.id) in text:
            changed = AutomationCore.model_validate_json(text.replace(str(old.id), str(new.id)))
            await client.update_automation(automation.id, changed)
