"""Connections that go down while others send: their recipients go elsewhere at once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from mailsluice.campaign import Campaign
from mailsluice.core.moves import MoveReason
from mailsluice.delivery import CampaignRun
from mailsluice.delivery.connection_state import SenderSettings
from mailsluice.operations.send import send_connections
from mailsluice.reports.campaign import Report
from mailsluice.smtp.connection import Connection
from mailsluice.store import Campaigns, Database
from tests.eventually import eventually_async
from tests.integration.campaign_fixtures import (
    BREAKER,
    Sender,
    campaign,
    connection,
    everybody_once,
    people,
)
from tests.smtpd import Settings, SmtpServer
from tests.smtpd.faults import Everybody, Fault, Stage

REFUSAL = Fault(Stage.MAIL, b"550 5.7.1 your account is suspended")


async def sent(run: CampaignRun, document: Campaign, connections: Sequence[Connection]) -> Report:
    """Send to everybody who can be reached."""
    settings = SenderSettings(document.retry, document.uncertain, BREAKER, 1.0)
    await asyncio.to_thread(run.count)
    await send_connections(run, document, connections, settings=settings)
    return await asyncio.to_thread(run.report)


async def test_recipients_go_to_a_connection_that_had_finished_when_another_goes_down(
    database: Database, tmp_path: Path
) -> None:
    document = campaign(tmp_path, people(200), ("red", "green"), on_connection_down="reassign")
    refusing = Settings(everybody=Everybody(21, REFUSAL))
    with SmtpServer(refusing) as red, SmtpServer() as green:
        servers = {"red": red, "green": green}
        red.hold(after=20)
        run = await asyncio.to_thread(Sender(database, tmp_path).prepare, document)
        try:
            both = [connection(name, server, max_sessions=1) for name, server in servers.items()]
            sending = asyncio.ensure_future(sent(run, document, both))
            await eventually_async(lambda: len(green.received), lambda number: number == 100)
            red.release()
            report = await sending
            progress = await run.progress()
        finally:
            await run.close()
    assert (red.recipients.total(), green.recipients.total()) == (21, 179)
    everybody_once(Sender(database, tmp_path).ledger, servers)
    (move,) = Campaigns(database).moves(run.id)
    assert (move.origin, move.target, move.reason) == ("red", "green", MoveReason.DOWN)
    assert (move.recipients, move.of) == (79, 79)
    assert report.down.keys() == {"red"}
    assert [(one.tally.assigned, one.tally.sent) for one in progress.standings] == [
        (21, 21),
        (179, 179),
    ]
