"""Messages about campaigns, sent by a real Prefect server to a webhook on this machine."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from uuid import UUID

import pytest
from prefect import flow
from prefect.blocks.notifications import CustomWebhookNotificationBlock
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.states import Completed, Crashed, Failed, Scheduled

from blocks import SMTPConnection
from deployments import notifications
from flows.support.events import Milestone, emit
from tests.eventually import eventually_async
from tests.saved_blocks import save

BLOCK = "custom-webhook/ops"
CRASHED_FOR = timedelta(seconds=10)
STATES: dict[str, State[Any]] = {
    "spring": Completed(message="1,000 of 1,000 sent"),
    "summer": Failed(message="280 of 400 sent, 120 pending; red is down: login: 535"),
    "autumn": Crashed(message="its process is gone"),
}
EXPECTED = [
    ("winter: complaints above 0.1 %", "2 of 1500 complained (0.13 %). "),
    (
        "winter: bounces above 2 %",
        "30 of 1000 bounced (3.0 %), because of the mail to google alone. ",
    ),
    ("winter: bounces above 5 %", "60 of 1000 bounced (6.0 %). "),
    ("Connection red is quarantined", "Campaign winter: login: 535"),
    ("spring: finished", "1,000 of 1,000 sent"),
    ("autumn: crashed, and does not continue by itself", "its process is gone"),
    ("summer: failed", "280 of 400 sent, 120 pending; red is down: login: 535"),
]

LAST = "Connection last is quarantined"


class Webhook:
    """Takes messages, as a chat's webhook does."""

    def __init__(self) -> None:
        messages = self.messages = list[dict[str, str]]()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                messages.append(json.loads(self.rfile.read(length)))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/hook"

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def webhook(own_automations: None) -> Iterator[Webhook]:
    """A webhook, and the block that sends to it."""
    hook = Webhook()
    block = CustomWebhookNotificationBlock(
        name="ops",
        url=hook.url,
        json_data={"subject": "{{subject}}", "body": "{{body}}"},
        allow_private_urls=True,
    )
    save(block, "ops")
    yield hook
    hook.close()


async def ends_of_campaigns() -> None:
    """Runs of send-campaign, one for each final state."""

    @flow(name="send-campaign")
    def ends() -> None: ...

    async with get_client() as client:
        for name, state in STATES.items():
            run = await client.create_flow_run(ends, name=name)
            await client.set_flow_run_state(run.id, state, force=True)
        run = await client.create_flow_run(ends, name="goes on")  # nothing is told
        for state in (Crashed(), Scheduled(name="AwaitingRetry")):
            await client.set_flow_run_state(run.id, state, force=True)


def events() -> None:
    emit(Milestone.CONNECTION_QUARANTINED, "winter", "red", reason="login: 535")
    emit(Milestone.CONNECTION_RECOVERED, "winter", "red")  # nobody asked for it
    for threshold, bounced, share, provider in (("2", 30, 3.0, "google"), ("5", 60, 6.0, None)):
        emit(
            Milestone.BOUNCES_HIGH,
            "winter",
            threshold=threshold,
            share=share,
            sent=1000,
            bounced=bounced,
            provider=provider,
        )
    emit(Milestone.COMPLAINTS_HIGH, "winter", threshold="0.1", share=0.13, sent=1500, complained=2)


async def told_of(webhook: Webhook, *subjects: str) -> None:
    """Wait until these have come."""
    await eventually_async(
        lambda: {one["subject"] for one in webhook.messages}, lambda told: told >= {*subjects}
    )


async def test_each_notification_is_sent_once(webhook: Webhook) -> None:
    first = await notifications.install(BLOCK, CRASHED_FOR)
    assert (
        await notifications.install(BLOCK, CRASHED_FOR) == first
    )  # updates them: each message comes once
    async with get_client() as client:
        for name in first:
            assert len(await client.read_automations_by_name(name)) == 1
    await ends_of_campaigns()
    events()
    await told_of(webhook, *(subject for subject, _ in EXPECTED))
    emit(Milestone.CONNECTION_QUARANTINED, "winter", "last", reason="")
    await told_of(webhook, LAST)  # what comes twice has come by now
    told = sorted((one["subject"], one["body"]) for one in webhook.messages)
    told = [one for one in told if one[0] != LAST]
    assert [subject for subject, _ in told] == sorted(subject for subject, _ in EXPECTED)
    for subject, words in EXPECTED:
        (body,) = [body for found, body in told if found == subject]
        assert words in body
    assert "/runs/flow-run/" in next(body for subject, body in told if "finished" in subject)


async def test_a_notification_that_is_switched_off_stays_off(webhook: Webhook) -> None:
    name = (await notifications.install(BLOCK))[0]
    async with get_client() as client:
        (automation,) = await client.read_automations_by_name(name)
        await client.pause_automation(automation.id)
        await notifications.install(BLOCK)
        (again,) = await client.read_automations_by_name(name)
    assert again.id == automation.id
    assert not again.enabled


@pytest.mark.parametrize(
    ("block", "reason"),
    [
        ("slack-webhook/nobody", "there is no block 'slack-webhook/nobody'"),
        ("nonsense", "there is no block 'nonsense'"),
        ("smtp-connection/mail", "'smtp-connection/mail' cannot send messages"),
    ],
)
async def test_an_unknown_block_is_refused_and_the_known_ones_are_listed(
    webhook: Webhook, block: str, reason: str
) -> None:
    save(SMTPConnection(host="127.0.0.1", security="none"), "mail")
    with pytest.raises(notifications.NotificationError) as refusal:
        await notifications.install(block)
    assert str(refusal.value).startswith(reason)
    assert BLOCK in str(refusal.value)


def test_the_command_lists_what_it_created(
    webhook: Webhook, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["notifications", BLOCK])
    notifications.main()
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(notifications.notifications(UUID(int=0)))
    assert all(line.startswith("automation: Mailsluice tells: ") for line in lines)
