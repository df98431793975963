"""A run that waits for an operator: suspended with a form, and resumed with the answers."""

from __future__ import annotations

import sqlite3
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
import pytest
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.responses import OrchestrationResult, SetStateStatus
from prefect.exceptions import Pause
from prefect.states import Scheduled

from flows.send_campaign import send_campaign
from tests.flows.conftest import Servers
from tests.flows.running import ended, started
from tests.flows.test_send_campaign import document, received, write_csv

RECIPIENTS = 100
CANARY = {"percent": 10, "wait_minutes": 0, "approve": "operator"}


@pytest.fixture
def asking(tmp_path: Path, servers: Servers) -> dict[str, Any]:
    """A campaign whose canary is 7 and 3 recipients of 70 and 30."""
    return document(write_csv(tmp_path / "r.csv", RECIPIENTS), canary=CANARY)


async def new_run(client: PrefectClient, campaign: dict[str, Any]) -> FlowRun:
    flow_id = await client.create_flow(send_campaign)
    deployment = await client.create_deployment(flow_id, "default")
    return await client.create_flow_run_from_deployment(
        deployment, parameters={"campaign": campaign}
    )


async def form(client: PrefectClient, run_id: UUID) -> tuple[dict[str, Any], str]:
    """The fields and the text of the form of a suspended run."""
    state = (await client.read_flow_run(run_id)).state
    assert state
    assert state.name == "Suspended"
    keys = state.state_details.run_input_keyset
    assert keys
    schema = orjson.loads(await client.read_flow_run_input(run_id, keys["schema"]))
    description = orjson.loads(await client.read_flow_run_input(run_id, keys["description"]))
    return schema["properties"], description


async def resume(client: PrefectClient, run_id: UUID, answers: object) -> OrchestrationResult[Any]:
    """Do what the form's button does."""
    return await client.resume_flow_run(run_id, run_input=answers)  # type: ignore[arg-type]


def statuses(state: Path) -> Counter[tuple[str, str]]:
    with sqlite3.connect(state) as connection:
        return Counter(connection.execute("SELECT connection, status FROM recipients").fetchall())


@pytest.mark.usefixtures("own_deployments")
async def test_an_operator_decides_about_each_part_in_a_form(
    asking: dict[str, Any], servers: Servers, state: Path
) -> None:
    async with get_client() as client:
        run = await new_run(client, asking)
        with pytest.raises(Pause):  # ends the process
            await started(send_campaign, run)
        assert received(servers) == {"red": 7, "green": 3}

        fields, text = await form(client, run.id)
        titles = {field["title"]: name for name, field in fields.items()}
        assert titles.keys() == {"red", "green"}
        assert fields[titles["red"]]["enum"] == ["go on", "stop"]  # green is held as well
        assert "- **red**: its canary has ended (7 sent, 0 refused) and waits for approval" in text

        refused = await resume(client, run.id, {titles["red"]: "perhaps"})
        assert refused.status is SetStateStatus.REJECT

        await resume(client, run.id, {titles["red"]: "go on", titles["green"]: "stop"})
        again = await started(send_campaign, await client.read_flow_run(run.id))
    assert again.is_completed()
    assert received(servers) == {"red": 70, "green": 3}
    assert statuses(state) == {
        ("red", "sent"): 70,
        ("green", "sent"): 3,
        ("green", "cancelled"): 27,
    }


async def test_a_run_without_a_deployment_ends_and_says_how_to_decide(
    asking: dict[str, Any], servers: Servers
) -> None:
    final = await ended(send_campaign, asking)
    assert final.is_failed()
    assert final.message
    assert "red is held: its canary has ended (7 sent, 0 refused)" in final.message
    assert "Decide with `mailsluice decide`" in final.message
    assert received(servers) == {"red": 7, "green": 3}


@pytest.mark.usefixtures("own_deployments")
async def test_a_run_holds_no_worker_while_its_canary_is_waited_for(
    asking: dict[str, Any], servers: Servers, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAILSLUICE_WAIT_SECONDS", "60")
    asking["canary"] = {"percent": 10, "wait_minutes": 60}
    asking["stop_loss"] = {"bounce_percent": 5}
    async with get_client() as client:
        run = await new_run(client, asking)
        with pytest.raises(Pause):
            await started(send_campaign, run)
        waiting = (await client.read_flow_run(run.id)).state
        assert waiting
        assert waiting.is_scheduled()
        assert waiting.state_details.scheduled_time
        left = waiting.state_details.scheduled_time - datetime.now(UTC)
        assert timedelta(minutes=50) < left <= timedelta(minutes=60)
        assert received(servers) == {"red": 7, "green": 3}
        with sqlite3.connect(state) as connection:
            connection.execute("UPDATE canaries SET judged_at = 0")
        await client.set_flow_run_state(run.id, Scheduled(), force=True)  # the time has come
        again = await started(send_campaign, await client.read_flow_run(run.id))
    assert again.is_completed()
    assert received(servers) == {"red": 70, "green": 30}
