"""Deployments that were all called `default` give way to those with names of their own."""

from __future__ import annotations

from uuid import UUID

from prefect.automations import Automation
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.actions import DeploymentScheduleCreate, DeploymentUpdate
from prefect.client.schemas.schedules import CronSchedule
from prefect.events.actions import RunDeployment
from prefect.events.schemas.automations import EventTrigger, Posture
from prefect.exceptions import ObjectNotFound
from prefect.states import Running

from deployments.catalogue import Deployed, catalogue
from deployments.renaming import outdated, replace_old

(BOUNCES,) = (one for one in catalogue() if one.flow.name == "collect-bounces")
OLD = "collect-bounces/default"


async def deploy(one: Deployed, name: str) -> UUID:
    return await (await one.flow.ato_deployment(name)).aapply()


async def is_there(client: PrefectClient, name: str) -> bool:
    try:
        await client.read_deployment_by_name(name)
    except ObjectNotFound:
        return False
    return True


async def test_operators_additions_to_the_old_deployment_move_along() -> None:
    async with get_client() as client:
        old = await deploy(BOUNCES, "default")
        schedule = CronSchedule(cron="*/15 * * * *", timezone="Europe/Berlin")
        await client.create_deployment_schedules(
            old,
            [
                DeploymentScheduleCreate(
                    schedule=schedule,
                    active=False,
                    parameters={"mailbox": "bounces"},
                    slug="quarter",
                )
            ],
        )
        await client.update_deployment(old, DeploymentUpdate(paused=True))
        automation = Automation(
            name="collect when told",
            trigger=EventTrigger(expect={"test.told"}, posture=Posture.Reactive, threshold=1),
            actions=[RunDeployment(deployment_id=old)],
        )
        created = (await automation.acreate()).id
        assert created is not None
        assert await outdated([BOUNCES]) == [BOUNCES]
        assert await replace_old([BOUNCES]) == []  # the new one is not there yet
        new = await deploy(BOUNCES, BOUNCES.name)

        run = await client.create_flow_run_from_deployment(
            old, parameters={"mailbox": "bounces"}, state=Running()
        )
        assert await replace_old([BOUNCES]) == []  # a run is under way
        await client.delete_flow_run(run.id)

        assert await replace_old([BOUNCES]) == [OLD]
        assert not await is_there(client, OLD)
        assert not await outdated([BOUNCES])
        found = await client.read_deployment(new)
        (kept,) = found.schedules
        assert (kept.slug, kept.active, kept.parameters) == (
            "quarter",
            False,
            {"mailbox": "bounces"},
        )
        assert kept.schedule == schedule
        assert found.paused
        changed = await client.read_automation(created)
        assert changed is not None
        (action,) = changed.actions
        assert isinstance(action, RunDeployment)
        assert action.deployment_id == new
        assert await replace_old([BOUNCES]) == []
        await client.delete_automation(created)
        await client.delete_deployment(new)
