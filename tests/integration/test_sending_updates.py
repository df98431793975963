"""A connection that is changed while it sends."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from mailsluice.outbox import Database
from tests.integration.campaign_fixtures import Sender, campaign, connection, everybody_once, people
from tests.smtpd import SmtpServer


@pytest.fixture
def sender(tmp_path: Path) -> Iterator[Sender]:
    with Database(f"sqlite:///{tmp_path / 'state.db'}") as database:
        yield Sender(database, tmp_path)


@pytest.mark.parametrize("limit", [{"per_day": 20}, {"per_second": 20}])
async def test_limits_that_are_lifted_let_the_rest_go(
    sender: Sender, tmp_path: Path, caplog: pytest.LogCaptureFixture, limit: dict[str, int]
) -> None:
    caplog.set_level(logging.INFO)
    document = campaign(tmp_path, people(200))
    with SmtpServer() as server:
        before = connection("red", server, max_sessions=1, **limit)
        after = replace(before, max_sessions=3, per_day=None, per_second=None)
        run = await asyncio.to_thread(sender.prepare, document)
        try:
            assert await run.update(after) == []  # it does not send yet
            sending = asyncio.create_task(sender.send_prepared(run, document, [before]))
            while not server.received:  # noqa: ASYNC110 in another thread
                await asyncio.sleep(0.005)
            (name,) = limit
            changed = ["max_sessions 1 -> 3", f"{name} 20 -> none"]
            assert await run.update(after) == changed
            assert await run.update(after) == []
            report = await asyncio.wait_for(sending, 60)
        finally:
            await run.close()
        assert report.sent_now == 200
        everybody_once(sender.ledger, {"red": server})
    assert f"connection red: max_sessions 1 -> 3, {name} 20 -> none" in caplog.messages
