"""A campaign through the real flow: Prefect, the outbox and real SMTP."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterParentFlowRunId
from prefect.client.schemas.objects import FlowRun, State
from prefect.settings import PREFECT_API_URL

from flows.send_campaign import send_campaign
from mailsluice.metrics.catalogue import SETTLED
from mailsluice.metrics.folder import metrics_folder
from mailsluice.reports.campaign import Report
from tests.eventually import eventually_async
from tests.flows.conftest import Servers, save_block
from tests.flows.running import ended
from tests.forked import Forked
from tests.smtpd import Settings, SmtpServer


def write_csv(path: Path, number: int) -> Path:
    """So many recipients in five domains."""
    rows = (f"user{i}@d{i % 5}.example.com,Ann {i}" for i in range(number))
    path.write_text("email,first_name\n" + "\n".join(rows) + "\n")
    return path


def document(csv: Path, **fields: Any) -> dict[str, Any]:
    """A campaign over red and green, 70/30."""
    return {
        "name": "spring-sale",
        "recipients": {"path": str(csv)},
        "message": {
            "sender": "News <news@example.com>",
            "subject": "Hi {{ first_name }}",
            "html": "<p>Hello {{ first_name }}</p>",
            "text": None,
        },
        "strategy": "percentage",
        "routes": [{"connection": "red", "percent": 70}, {"connection": "green", "percent": 30}],
        **fields,
    }


def received(servers: Servers) -> dict[str, int]:
    return {name: len(server.received) for name, server in servers.items() if server.received}


def sent_to(servers: Servers) -> Counter[str]:
    return Counter(one.recipient for server in servers.values() for one in server.received)


def rows(state: Path) -> list[tuple[str, str, str]]:
    with sqlite3.connect(state) as connection:
        return connection.execute("SELECT email, connection, status FROM recipients").fetchall()


def assert_each_got_it_once_over_its_connection(servers: Servers, state: Path, number: int) -> None:
    everybody = sent_to(servers)
    assert len(everybody) == number
    assert set(everybody.values()) == {1}
    stored = rows(state)
    assert len(stored) == number
    for email, connection, status in stored:
        assert status == "sent"
        assert email in servers[connection].recipients


def counted() -> dict[str, float]:
    """The messages sent by connection, as the metrics have them."""
    settled = metrics_folder().read().of(SETTLED).items()
    return {name: number for (name, status), (number,) in settled if status == "sent"}


async def run(campaign: object) -> State[Any]:
    return await ended(send_campaign, campaign)


async def subflows(state: State[Any]) -> list[FlowRun]:
    async with get_client() as client:
        parent = state.state_details.flow_run_id
        assert parent is not None
        return await client.read_flow_runs(
            flow_run_filter=FlowRunFilter(
                parent_flow_run_id=FlowRunFilterParentFlowRunId(any_=[parent])
            )
        )


async def test_a_thousand_recipients_at_70_30_give_700_and_300_and_no_more_when_run_again(
    tmp_path: Path, servers: Servers, state: Path
) -> None:
    campaign = document(write_csv(tmp_path / "r.csv", 1_000))
    final = await run(campaign)
    assert final.is_completed(), final.message
    assert final.message == "1,000 of 1,000 sent"
    report = await final.aresult()
    assert isinstance(report, Report)
    assert report.sent_now == 1_000
    names = {one.name: one.state_type.value for one in await subflows(final) if one.state_type}
    assert names == {
        "Send over red: 700 recipients of spring-sale": "COMPLETED",
        "Send over green: 300 recipients of spring-sale": "COMPLETED",
    }
    again = await run(campaign)
    assert again.is_completed()
    assert again.message == "nothing to send: campaign was completed before"
    assert received(servers) == counted() == {"red": 700, "green": 300}
    assert_each_got_it_once_over_its_connection(servers, state, 1_000)


async def test_two_processes_send_as_one_run(tmp_path: Path, servers: Servers, state: Path) -> None:
    """The report, the subflows and the session slots are those of a run that sends itself."""
    final = await run(document(write_csv(tmp_path / "r.csv", 200), processes=2))
    assert final.is_completed(), final.message
    assert final.message == "200 of 200 sent"
    assert received(servers) == counted() == {"red": 140, "green": 60}
    assert_each_got_it_once_over_its_connection(servers, state, 200)
    assert {one.state_name for one in await subflows(final)} == {"Completed"}
    async with get_client() as client:
        for name in ("smtp-red", "smtp-green"):
            limit = await client.read_global_concurrency_limit_by_name(name)
            assert limit.active_slots == 0


async def test_a_cancelled_campaign_sends_nothing_and_leaves_nobody_waiting(
    tmp_path: Path, servers: Servers, state: Path
) -> None:
    """Its run was killed when the Cancel was recorded, but its recipients were not cancelled."""
    campaign = document(write_csv(tmp_path / "r.csv", 20))
    await run(campaign)
    with sqlite3.connect(state) as connection:
        connection.execute("UPDATE campaigns SET status = 'cancelled'")
        connection.execute("UPDATE recipients SET status = 'pending' WHERE id <= 5")
    again = await run(campaign)
    assert again.is_cancelled()
    assert "cancelled is final" in str(again.message)
    assert Counter(status for _, _, status in rows(state)) == {"sent": 15, "cancelled": 5}
    assert set(sent_to(servers).values()) == {1}


async def test_a_failing_connection_fails_alone_and_a_retry_sends_to_the_audience_of_the_launch(
    tmp_path: Path, servers: Servers, state: Path
) -> None:
    csv = write_csv(tmp_path / "r.csv", 100)
    campaign = document(csv)
    save_block("red", servers["red"], username="u", password="wrong", allow_plain_password=True)
    with SmtpServer(Settings(users={"u": "right"})) as demanding:
        save_block("red", demanding, username="u", password="wrong", allow_plain_password=True)
        failed = await run(campaign)
    assert failed.is_failed()
    assert failed.message is not None
    assert failed.message.startswith("30 of 100 sent, 70 pending; red is down: login: 535")
    assert received(servers) == {"green": 30}
    states = {one.name: one.state_type.value for one in await subflows(failed) if one.state_type}
    assert states == {
        "Send over red: 70 recipients of spring-sale": "FAILED",
        "Send over green: 30 recipients of spring-sale": "COMPLETED",
    }
    csv.unlink()
    save_block("red", servers["red"])
    assert (await run(campaign)).is_completed()
    assert_each_got_it_once_over_its_connection(servers, state, 100)


async def test_recipients_of_a_connection_that_is_down_can_go_over_the_others(
    tmp_path: Path, servers: Servers, state: Path
) -> None:
    routes = [
        {"connection": "red", "percent": 50},
        {"connection": "green", "percent": 30},
        {"connection": "blue", "percent": 20},
    ]
    with SmtpServer(Settings(users={"u": "right"})) as demanding:
        save_block("red", demanding, username="u", password="wrong", allow_plain_password=True)
        csv = write_csv(tmp_path / "r.csv", 100)
        final = await run(document(csv, routes=routes, on_connection_down="reassign"))
    assert received(servers) == {"green": 60, "blue": 40}
    assert_each_got_it_once_over_its_connection(servers, state, 100)
    assert final.is_completed()
    assert "red is down: login: 535" in str(final.message)
    with sqlite3.connect(state) as connection:
        moved = "SELECT count(*) FROM recipients WHERE reassigned_from = 'red'"
        assert connection.execute(moved).fetchone() == (50,)


async def test_refused_recipients_are_recorded_with_the_reply(
    tmp_path: Path, servers: Servers, state: Path
) -> None:
    csv = tmp_path / "r.csv"
    csv.write_text(
        "email\nfine@example.com\n550-at-rcpt@example.com\n"
        "450-at-rcpt-once.1@example.com\nno-address\nfine@EXAMPLE.com\n"
    )
    campaign = document(
        csv,
        message={"sender": "news@example.com", "subject": "Hi", "text": "Hello"},
        strategy="single",
        routes=[{"connection": "red"}],
        retry={"first_delay_seconds": 0.2},
    )
    final = await run(campaign)
    assert final.is_completed()
    assert final.message == "2 of 3 sent, 1 failed"
    found = {email: status for email, _, status in rows(state)}
    assert found == {
        "fine@example.com": "sent",
        "550-at-rcpt@example.com": "failed",
        "450-at-rcpt-once.1@example.com": "sent",
    }
    with sqlite3.connect(state) as connection:
        code, reply = connection.execute(
            "SELECT code, reply FROM recipients WHERE status = 'failed'"
        ).fetchone()
        rejects = connection.execute("SELECT email, reason FROM rejects ORDER BY row").fetchall()
    assert code == 550
    assert reply
    assert rejects == [("no-address", "invalid"), ("fine@EXAMPLE.com", "duplicate")]


RUN = """
import asyncio, json, sys
from flows.send_campaign import send_campaign
asyncio.run(send_campaign(json.loads(sys.argv[1]), return_state=True))
"""


def start(campaign: dict[str, Any]) -> subprocess.Popen[bytes]:
    """Run a campaign in a process of its own."""
    environment = {**os.environ, "PREFECT_API_URL": PREFECT_API_URL.value() or ""}
    return Forked([sys.executable, "-c", RUN, json.dumps(campaign)], env=environment)


async def until(seen: Callable[[], object]) -> None:
    """Wait for what another process does; it may import Prefect first, on a busy machine."""
    await eventually_async(seen, seconds=600)


async def test_ctrl_c_lets_messages_in_flight_finish(
    tmp_path: Path, servers: Servers, state: Path
) -> None:
    red, green = servers["red"], servers["green"]
    red.hold(after=100)
    save_block("red", red, timeout_seconds=600)
    save_block("green", green, per_second=1)
    campaign = document(write_csv(tmp_path / "r.csv", 1_000))
    process = start(campaign)
    try:
        await until(lambda: red.held and green.received)
        process.send_signal(signal.SIGINT)
        await until(lambda: green.open == 0)  # the run takes note: idle sessions are closed
        red.release()
        await until(lambda: process.poll() is not None)
    finally:
        process.kill()
        process.wait()
    arrived = sum(received(servers).values())
    assert 100 < arrived < 1_000
    stored = Counter(status for _, _, status in rows(state))
    assert stored == {"sent": arrived, "pending": 1_000 - arrived}
    save_block("green", green)
    assert (await run(campaign)).is_completed()
    assert_each_got_it_once_over_its_connection(servers, state, 1_000)


async def test_a_killed_run_is_finished_by_the_next_one(
    tmp_path: Path, servers: Servers, state: Path
) -> None:
    sending = [servers["red"], servers["green"]]
    for name, server in zip(("red", "green"), sending, strict=True):
        server.hold(after=100)
        save_block(name, server, timeout_seconds=600)
    campaign = document(write_csv(tmp_path / "r.csv", 1_000))
    process = start(campaign)
    try:
        await until(lambda: all(server.held for server in sending))
    finally:
        process.kill()
        process.wait()
    assert 200 < sum(received(servers).values()) < 1_000
    for server in sending:
        server.release()
    final = await run(campaign)
    assert final.is_completed(), final.message
    everybody = sent_to(servers)
    assert set(everybody.values()) == {1}  # nothing twice
    uncertain = [email for email, _, status in rows(state) if status == "uncertain"]
    assert 0 < len(uncertain) <= 8  # at most one a session
    assert everybody.keys() | set(uncertain) == {email for email, _, _ in rows(state)}
    for email, connection, _ in rows(state):  # each over its own connection
        others = [name for name in servers if name != connection]
        assert all(email not in servers[name].recipients for name in others)
