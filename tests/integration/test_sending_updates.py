"""A connection changes while it sends."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mailsluice.campaign.warm_up import WarmUp
from mailsluice.store import Database
from tests.eventually import eventually_async
from tests.integration.campaign_fixtures import Sender, campaign, connection, everybody_once, people
from tests.smtpd import SmtpServer


@pytest.fixture
def sender(sqlite_database: Database, tmp_path: Path) -> Sender:
    return Sender(sqlite_database, tmp_path)


@pytest.mark.parametrize("limit", [{"per_day": 20}, {"per_second": 20}])
async def test_lifted_limits_let_the_rest_be_sent(
    sender: Sender, tmp_path: Path, limit: dict[str, int]
) -> None:
    document = campaign(tmp_path, people(200))
    with SmtpServer() as server:
        before = connection("red", server, max_sessions=1, **limit)
        after = replace(before, max_sessions=3, per_day=None, per_second=None)
        run = await asyncio.to_thread(sender.prepare, document)
        try:
            assert await run.update(after) == []  # it does not send yet
            sending = asyncio.create_task(sender.send_prepared(run, document, [before]))
            await eventually_async(lambda: len(server.received))
            (name,) = limit
            changed = ["max_sessions 1 -> 3", f"{name} 20 -> none"]
            assert await run.update(after) == changed
            assert await run.update(after) == []
            report = await sending
        finally:
            await run.close()
        assert report.sent_now == 200
        everybody_once(sender.ledger, {"red": server})


async def test_a_new_day_has_its_own_cap(
    sender: Sender, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The block is the same, but its warm-up has another cap."""
    now = datetime.now(UTC)
    document = campaign(tmp_path, people(12))
    warm_up = WarmUp(start=now.date() - timedelta(days=1), daily_caps=(1, 5, 9))
    with SmtpServer() as server:
        warm = connection("red", server, warm_up=warm_up)
        run = await asyncio.to_thread(sender.prepare, document)
        try:
            sending = asyncio.create_task(sender.send_prepared(run, document, [warm]))
            await eventually_async(run.next_in, lambda seconds: seconds >= 60)
            assert len(server.received) == 5
            assert await run.update(warm) == []
            assert "red" in run._rules_of
            today = run._rules_of["red"]
            monkeypatch.setattr(Database, "moment", lambda _: now + timedelta(days=1))
            assert await run.update(warm) == []
            assert run._rules_of["red"] != today
            run.stop()
            await sending
        finally:
            await run.close()
