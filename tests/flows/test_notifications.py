"""What an operator is told, end to end: a real Prefect server, a webhook on loopback."""

from __future__ import annotations

import asyncio
import json
import threading
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from prefect import State, flow
from prefect.blocks.notifications import CustomWebhookNotificationBlock
from prefect.blocks.system import Secret
from prefect.client.orchestration import get_client
from prefect.runtime import flow_run
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Completed, Crashed, Failed, Running, Scheduled

from deployments import notifications
from deployments.server import free_port, prefect_server
from flows.events import Milestone, tell
from flows.send_campaign import send_campaign
from tests.flows.test_automations import QUICK

HOOK = "custom-webhook/ops"
CRASHED_FOR = timedelta(seconds=10)  # the least there is


class Webhook(ThreadingHTTPServer):
    """Keeps what is posted to it, as (subject, body)."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.messages: list[tuple[str, str]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/"

    async def received(self, number: int) -> dict[str, str]:
        """Wait for so many messages; by subject."""
        async with asyncio.timeout(120):  # not a measure: else a failure is a test without end
            while len(self.messages) < number:  # noqa: ASYNC110 # another process sends
                await asyncio.sleep(0.1)
        return dict(self.messages)


class _Handler(BaseHTTPRequestHandler):
    server: Webhook

    def do_POST(self) -> None:
        found = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.messages.append((found["subject"], found["body"]))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    with Webhook() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[str]:
    """A Prefect server of this test's own, whose triggers are quick."""
    api_url = f"http://127.0.0.1:{free_port()}/api"
    environment = {**QUICK, "PREFECT_HOME": str(tmp_path / "prefect")}
    with prefect_server(api_url, environment), temporary_settings({PREFECT_API_URL: api_url}):
        yield api_url


async def save(webhook: Webhook) -> None:
    await CustomWebhookNotificationBlock(
        name="ops",
        url=webhook.url,
        json_data={"subject": "{{subject}}", "body": "{{body}}"},
    ).save("ops", overwrite=True)


@flow
def sending() -> str:
    tell(Milestone.BOUNCES_HIGH, "spring", threshold="2", bounced=23, sent=1_000)
    return str(flow_run.id)


async def put(name: str, *states: State[Any]) -> UUID:
    """A run of send-campaign that goes through these states."""
    async with get_client() as client:
        run = await client.create_flow_run(send_campaign, name=name, state=Scheduled())
        for state in states:
            await client.set_flow_run_state(run.id, state, force=True)
    return run.id


async def test_each_of_the_seven_messages_arrives_once_with_what_an_operator_needs(
    api: str, webhook: Webhook
) -> None:
    await save(webhook)
    names = await notifications.install(HOOK, CRASHED_FOR)
    assert len(names) == 7
    done = await put("spring", Running(), Completed(message="1,000 of 1,000 sent"))
    await put("summer", Running(), Failed(message="no such file. Check the path"))
    lost = await put("autumn", Running(), Crashed(message="its process is gone"))
    goes_on = (Running(), Crashed(), Scheduled(name="AwaitingRetry"))
    await put("winter", *goes_on)  # started again by itself: nobody is told
    tell(Milestone.CONNECTION_QUARANTINED, "spring", "red", reason="535 5.7.8", waiting=12)
    within = sending()
    tell(Milestone.BOUNCES_HIGH, "summer", threshold="5", bounced=61, sent=1_000)
    tell(Milestone.COMPLAINTS_HIGH, "spring", threshold="0.1", complaints=2)
    tell(Milestone.CONNECTION_RECOVERED, "spring", "red")  # nobody asked for it
    found = await webhook.received(7)
    assert Counter(subject for subject, _ in webhook.messages) == Counter(
        [
            "spring: completed",
            "summer: failed",
            "autumn: crashed",
            "Connection red is quarantined",
            "spring: bounces above 2 %",
            "summer: bounces above 5 %",
            "spring: complaints above 0.1 %",
        ]
    )
    assert "1,000 of 1,000 sent" in found["spring: completed"]
    assert f"/runs/flow-run/{done}" in found["spring: completed"]
    assert "no such file. Check the path" in found["summer: failed"]
    assert "its process is gone" in found["autumn: crashed"]
    assert f"/runs/flow-run/{lost}" in found["autumn: crashed"]
    quarantined = found["Connection red is quarantined"]
    assert "Campaign spring" in quarantined
    assert "reason: 535 5.7.8\nwaiting: 12" in quarantined
    assert "bounced: 23\nsent: 1000" in found["spring: bounces above 2 %"]
    assert f"/runs/flow-run/{within}" in found["spring: bounces above 2 %"]
    assert "bounced: 61" in found["summer: bounces above 5 %"]
    assert "complaints: 2" in found["spring: complaints above 0.1 %"]


async def test_installing_again_makes_no_second_one_and_leaves_off_what_is_off(
    prefect_server: None, webhook: Webhook
) -> None:
    await save(webhook)
    names = await notifications.install(HOOK)
    async with get_client() as client:
        (first,) = await client.read_automations_by_name(names[0])
        await client.pause_automation(first.id)
    assert await notifications.install(HOOK, timedelta(seconds=77)) == names
    async with get_client() as client:
        (again,) = await client.read_automations_by_name(names[0])
        others = [await client.read_automations_by_name(name) for name in names[1:]]
    assert again.id == first.id
    assert not again.enabled
    assert [len(one) for one in others] == [1] * 6
    assert all(one.enabled for (one,) in others)


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ("slack-webhook/ops", "there is no block 'slack-webhook/ops'.*custom-webhook/ops"),
        ("ops", "there is no block 'ops'.*custom-webhook/ops"),
        ("secret/token", "block 'secret/token' cannot notify.*custom-webhook/ops"),
    ],
)
async def test_a_block_that_cannot_notify_is_refused_with_those_that_can(
    prefect_server: None, webhook: Webhook, block: str, message: str
) -> None:
    await save(webhook)
    await Secret(value="s").save("token", overwrite=True)
    with pytest.raises(notifications.NotificationBlockError, match=message):
        await notifications.install(block)
