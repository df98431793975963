"""The artifacts and events of a campaign while it is sent, on a real Prefect server."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId
from prefect.client.schemas.objects import Artifact, State
from prefect.events.filters import EventFilter, EventNameFilter, EventOrder
from prefect.states import Cancelling

from flows.support.events import Milestone
from mailsluice.core.markdown import cell
from tests.eventually import eventually_async
from tests.flows.conftest import Servers, save_block
from tests.flows.test_send_campaign import document, run, write_csv
from tests.smtpd import Settings, SmtpServer
from tests.smtpd.faults import Fault, Stage


async def artifacts(state: State[Any]) -> dict[str, Artifact]:
    assert state.state_details.flow_run_id
    return await of_run(state.state_details.flow_run_id)


async def of_run(run_id: UUID) -> dict[str, Artifact]:
    """The progress artifacts of a run, by key."""
    mine = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run_id]))
    async with get_client() as client:
        found = await client.read_artifacts(artifact_filter=mine)
    return {one.key: one for one in found if one.key and one.type == "progress"}


async def told(names: Collection[Milestone], campaign: str) -> list[Any]:
    """The events of these names, oldest first, as soon as the server has all of them.

    Prefect sends events in a thread of its own. The server alone is asked: a wait for the queue of
    that thread (`EventsWorker.wait_until_empty`) has no end where its connection is lost.
    """
    named = EventNameFilter(name=[str(one) for one in names])

    async def look() -> list[Any]:
        wanted = EventFilter(event=named, order=EventOrder.DESC)  # others are older
        async with get_client() as client:
            found = (await client.read_events(wanted, limit=50)).events
        return [one for one in reversed(found) if one.payload["campaign"] == campaign]

    return await eventually_async(look, lambda mine: {one.event for one in mine} == set(names))


async def test_a_short_campaign_ends_with_its_numbers_shown_and_its_start_and_end_told(
    tmp_path: Path, servers: Servers
) -> None:
    name = "told"
    final = await run(document(write_csv(tmp_path / "r.csv", 1_000), name=name))
    found = await artifacts(final)
    assert {key: one.data for key, one in found.items()} == {
        "progress-told": 100.0,
        "progress-told--red": 100.0,
        "progress-told--green": 100.0,
    }
    assert "700 of 700 sent" in str(found["progress-told--red"].description)
    assert "**done**" in str(found["progress-told--red"].description)
    assert "1,000 of 1,000 sent" in str(found["progress-told"].description)

    events = await told({Milestone.CAMPAIGN_STARTED, Milestone.CAMPAIGN_COMPLETED}, name)
    started, completed = events
    accepted = {"campaign": name, "accepted": 1_000}
    assert started.payload == {**accepted, "connections": "red 700, green 300"}
    assert completed.payload == {**accepted, "sent": 1_000}
    run_id = f"prefect.flow-run.{final.state_details.flow_run_id}"
    for event in events:
        assert event.resource.id == f"mailsluice.campaign.{name}"
        assert run_id in {one.id for one in event.related}


async def test_a_connection_that_is_quarantined_and_recovers_has_two_events(
    tmp_path: Path, servers: Servers
) -> None:
    name = "given up and mended"
    campaign = document(write_csv(tmp_path / "r.csv", 20), name=name)
    reply = b"550 5.7.1 <news@example.com>: Sender address rejected"
    with SmtpServer(Settings(faults={"news": Fault(Stage.MAIL, reply)})) as refusing:
        save_block("red", refusing)
        failed = await run(campaign)
    assert failed.is_failed()
    bars = await artifacts(failed)
    assert {key: bar.data for key, bar in bars.items()} == {
        "progress-given-up-and-mended": 30.0,
        "progress-given-up-and-mended--red": 0.0,
        "progress-given-up-and-mended--green": 100.0,
    }
    why = "mail: 550 5.7.1 <address>: Sender address rejected"
    red = str(bars["progress-given-up-and-mended--red"].description)
    assert f"**quarantined: {cell(why)}**: 0 of 14 sent, 14 left" == red
    (quarantined,) = await told({Milestone.CONNECTION_QUARANTINED}, name)
    assert quarantined.resource.id == "mailsluice.connection.red"
    assert quarantined.payload == {"campaign": name, "reason": why}
    save_block("red", servers["red"])
    assert (await run(campaign)).is_completed()
    both = {Milestone.CONNECTION_QUARANTINED, Milestone.CONNECTION_RECOVERED}
    assert [one.resource.id for one in await told(both, name)] == ["mailsluice.connection.red"] * 2
    assert len(await told({Milestone.CAMPAIGN_STARTED}, name)) == 1
    for shown in (*bars.values(), *(await artifacts(failed)).values()):
        assert "@" not in str(shown.description)


async def test_the_artifact_and_an_event_name_the_limit_that_delays_a_connection(
    tmp_path: Path, servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flows.support.progress._LOOK_SECONDS", 0.2)
    name = "held for long"
    save_block("red", servers["red"], per_hour=20)  # one every three minutes
    csv = write_csv(tmp_path / "r.csv", 10)
    sending = asyncio.ensure_future(run(document(csv, name=name, spread_over=0.001)))
    events = await told({Milestone.LIMIT_REACHED, Milestone.FINISH_LATE}, name)
    late, held = sorted(events, key=lambda event: event.event)
    assert late.payload["connections"] == "red"
    assert late.payload["expected"] > late.payload["finish_by"]
    assert held.payload["limit"] == "red per_hour 20"
    (state,) = [one.id for one in held.related if one.id.startswith("prefect.flow-run.")]
    run_id = UUID(state.removeprefix("prefect.flow-run."))
    bars = await shown_by(
        run_id,
        {
            "progress-held-for-long--red": "**: 1 of 7 sent",
            "progress-held-for-long--green": "**done**",
            "progress-held-for-long": "later than its finish time, ",
        },
    )
    assert bars["progress-held-for-long--red"].data == 14.2  # 1 of 7
    assert bars["progress-held-for-long--green"].data == 100.0
    words = str(bars["progress-held-for-long"].description)
    assert "\n\nred, **held by red per_hour 20 until " in words
    assert "\n\ngreen, **done**: 3 of 3 sent" in words
    async with get_client() as client:
        await client.set_flow_run_state(run_id, Cancelling(), force=True)
    final = await sending
    assert final.is_cancelled()
    bars = await artifacts(final)
    assert bars["progress-held-for-long"].data == 40.0
    assert "6 suppressed or cancelled" in str(bars["progress-held-for-long--red"].description)


async def shown_by(run_id: UUID, words: Mapping[str, str]) -> dict[str, Artifact]:
    """The artifacts of a run, as soon as each of these says so."""

    def say_so(found: Mapping[str, Artifact]) -> bool:
        return all(
            key in found and said in str(found[key].description) for key, said in words.items()
        )

    return await eventually_async(lambda: of_run(run_id), say_so, what=str(words))
