"""Connections that go down while others send: their recipients go elsewhere at once."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import pytest
from sqlalchemy.exc import OperationalError

from mailsluice.campaign import Campaign, Retry
from mailsluice.core.moves import together
from mailsluice.delivery import CampaignRun
from mailsluice.delivery.breaker import BreakerSettings
from mailsluice.delivery.connection_state import SenderSettings
from mailsluice.operations.send import send_connections
from mailsluice.reports.campaign import Report
from mailsluice.smtp.connection import Connection
from mailsluice.store import Campaigns, Database, reassignment
from tests.eventually import eventually_async
from tests.integration.campaign_fixtures import (
    BREAKER,
    NEVER_SECONDS,
    Sender,
    campaign,
    connection,
    everybody_once,
    people,
    processes,
)
from tests.integration.hurried_loop import skip_silence
from tests.smtpd import Settings, SmtpServer
from tests.smtpd.faults import HANG, Everybody, Fault, Stage

REFUSAL = Fault(Stage.MAIL, b"550 5.7.1 your account is suspended")
BOTH = ("green", "blue")
NEVER_BACK = replace(BREAKER, rest_seconds=1_000)
"""A connection that rests waits for longer than any test lasts."""


async def sent(
    run: CampaignRun,
    document: Campaign,
    connections: Sequence[Connection],
    breaker: BreakerSettings = BREAKER,
) -> Report:
    """Send to everybody who can be reached."""
    settings = SenderSettings(document.retry, document.uncertain, breaker, NEVER_SECONDS)
    await asyncio.to_thread(run.count)
    await send_connections(run, document, connections, settings=settings)
    return await asyncio.to_thread(run.report)


async def sent_to(
    database: Database,
    folder: Path,
    document: Campaign,
    servers: Mapping[str, SmtpServer],
    breaker: BreakerSettings = BREAKER,
    **fields: Any,
) -> Report:
    """Launch the campaign, or continue it, and send to everybody who can be reached."""
    run = await asyncio.to_thread(Sender(database, folder).prepare, document)
    reached = [
        connection(name, server, **{"max_sessions": 1, **fields})
        for name, server in servers.items()
    ]
    try:
        return await sent(run, document, reached, breaker)
    finally:
        await run.close()


class Port(NamedTuple):
    """The address of a server of another process."""

    host: str
    port: int


def moved(database: Database) -> list[tuple[str, str, int]]:
    """The moves; recipients whose message was on its way move last."""
    moves = together(Campaigns(database).moves(1))
    return [(move.origin, move.target, move.recipients) for move in moves]


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
    assert moved(database) == [("red", "green", 79)]
    assert report.down.keys() == {"red"}
    assert [(one.tally.assigned, one.tally.sent) for one in progress.standings] == [
        (21, 21),
        (179, 179),
    ]


async def test_recipients_whose_move_was_committed_although_it_failed_are_sent_to(
    database: Database, tmp_path: Path
) -> None:
    """The link to the database breaks before the commit is confirmed; the taker has finished."""
    document = campaign(
        tmp_path,
        people(200),
        ("red", "green"),
        on_connection_down="reassign",
        throttle={"per_hour": 100_000_000},
    )
    refusing = Settings(everybody=Everybody(21, REFUSAL))
    carry_out, breaks = reassignment._Move.carry_out, [True, False]

    def broken(move: Any, part: Any) -> dict[str, int]:
        received = carry_out(move, part)
        if breaks and breaks.pop(0):
            raise OperationalError("COMMIT", None, OSError("the link broke"))
        return received

    with SmtpServer(refusing) as red, SmtpServer() as green:
        servers = {"red": red, "green": green}
        red.hold(after=20)
        run = await asyncio.to_thread(Sender(database, tmp_path).prepare, document)
        try:
            both = [connection(name, server, max_sessions=1) for name, server in servers.items()]
            with patch.object(reassignment._Move, "carry_out", broken):
                sending = asyncio.ensure_future(sent(run, document, both))
                await eventually_async(lambda: len(green.received), lambda number: number == 100)
                red.release()
                report = await sending
            progress = await run.progress()
            assert run._rules_of["green"] == run._rule_book.rules(both[1])  # with red's share
        finally:
            await run.close()
    assert report.open == 0
    assert [one.tally.assigned for one in progress.standings] == [21, 179]
    everybody_once(Sender(database, tmp_path).ledger, servers)


async def test_recipients_of_a_server_that_hangs_go_elsewhere(
    sqlite_database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last message before has its reply; the server has not answered the MAIL of the next."""
    document = campaign(tmp_path, people(60), ("red", "green"), on_connection_down="reassign")
    hanging = Settings(everybody=Everybody(11, Fault(Stage.MAIL, HANG)))
    with SmtpServer(hanging) as red, SmtpServer() as green:
        servers = {"red": red, "green": green}
        skip_silence(red, monkeypatch)
        red.hold(after=5)
        sending = asyncio.ensure_future(sent_to(sqlite_database, tmp_path, document, servers))
        await eventually_async(lambda: len(green.received), lambda number: number == 30)
        red.release()
        report = await sending
    assert report.down.keys() == {"red"}
    everybody_once(Sender(sqlite_database, tmp_path).ledger, servers)
    assert moved(sqlite_database) == [("red", "green", 19)]


async def test_a_slow_connection_keeps_its_recipients(
    sqlite_database: Database, tmp_path: Path
) -> None:
    document = campaign(tmp_path, people(60), ("red", "green"), on_connection_down="reassign")
    with SmtpServer(Settings(delay_seconds=0.01)) as red, SmtpServer() as green:
        servers = {"red": red, "green": green}
        await sent_to(sqlite_database, tmp_path, document, servers)
    assert (len(red.received), len(green.received)) == (30, 30)
    assert moved(sqlite_database) == []


async def test_a_connection_that_rests_too_long_gives_away_whom_it_has_not_tried(
    sqlite_database: Database, tmp_path: Path
) -> None:
    """The connection is not down: after its rest it would send to the recipients that it keeps."""
    document = campaign(
        tmp_path,
        people(60),
        ("red", "green"),
        on_connection_down="reassign",
        reassign_after_minutes=0,
    )
    busy = Settings(everybody=Everybody(11, Fault(Stage.MAIL, b"421 4.3.2 too busy")))
    with SmtpServer(busy) as red, SmtpServer() as green:
        servers = {"red": red, "green": green}
        report = await sent_to(sqlite_database, tmp_path, document, servers, NEVER_BACK)
    assert not report.down
    everybody_once(Sender(sqlite_database, tmp_path).ledger, servers)
    assert moved(sqlite_database) == [("red", "green", 19)]


async def test_a_connection_that_recovers_sends_to_those_that_it_had_tried(
    sqlite_database: Database, tmp_path: Path
) -> None:
    """The server answers again as soon as the first of the other recipients have gone."""
    once = [f"450-at-rcpt-once.{number}@example.com" for number in range(30)]
    document = campaign(
        tmp_path,
        [*people(30), *once],
        routes=[{"connection": "red"}, {"connection": "green", "standby": True}],
        on_connection_down="reassign",
        reassign_after_minutes=0,
        retry=Retry(max_attempts=3, first_delay_seconds=1, max_delay_seconds=1),
    )
    busy = Settings(everybody=Everybody(11, Fault(Stage.MAIL, b"421 4.3.2 too busy")))
    with SmtpServer(busy) as red, SmtpServer() as green:
        servers = {"red": red, "green": green}
        patient = replace(BREAKER, probes=1_000)
        sending = asyncio.ensure_future(
            sent_to(sqlite_database, tmp_path, document, servers, patient)
        )
        await eventually_async(lambda: len(green.received), lambda number: number > 0)
        red.recover()
        report = await sending
    assert not report.down
    ledger = Sender(sqlite_database, tmp_path).ledger
    everybody_once(ledger, servers)
    assert moved(sqlite_database) == [("red", "green", len(green.received))]
    assert any(row.history for row in ledger.rows().values() if row.connection == "red")


async def test_standbys_take_over_one_after_the_other(
    sqlite_database: Database, tmp_path: Path
) -> None:
    document = campaign(
        tmp_path,
        people(100),
        strategy="single",
        routes=[{"connection": "red"}, *({"connection": name, "standby": True} for name in BOTH)],
        on_connection_down="reassign",
    )
    with (
        SmtpServer(Settings(everybody=Everybody(21, REFUSAL))) as red,
        SmtpServer(Settings(everybody=Everybody(30, REFUSAL))) as green,
        SmtpServer() as blue,
    ):
        servers = {"red": red, "green": green, "blue": blue}
        report = await sent_to(sqlite_database, tmp_path, document, servers)
    assert [(route.connection, route.planned, route.recipients) for route in report.routes] == [
        ("red", 100, 21),
        ("green", 0, 30),
        ("blue", 0, 49),
    ]
    assert moved(sqlite_database) == [("red", "green", 79), ("green", "blue", 49)]
    everybody_once(Sender(sqlite_database, tmp_path).ledger, servers)


async def test_standbys_that_nobody_needs_open_no_session(
    sqlite_database: Database, tmp_path: Path
) -> None:
    document = campaign(
        tmp_path,
        people(40),
        routes=[{"connection": "red"}, {"connection": "green", "standby": True}],
        on_connection_down="reassign",
    )
    with SmtpServer() as red, SmtpServer() as green:
        report = await sent_to(sqlite_database, tmp_path, document, {"red": red, "green": green})
        assert green.sessions == 0
    assert report.open == 0
    assert [(route.planned, route.recipients) for route in report.routes] == [(40, 40), (0, 0)]


def dies_in_the_middle_of_a_move(url: str, folder: Path, document: Campaign, ports: Any) -> None:
    """Send in this process, which ends itself after the second of the transactions that move."""
    reassignment._TRANSACTION_ROWS = 10
    parts: list[int] = []

    def die(_run: CampaignRun, lowest: int, _received: Iterable[str]) -> None:
        parts.append(lowest)
        if len(parts) == 2:
            os.kill(os.getpid(), signal.SIGKILL)

    with patch.object(CampaignRun, "_on_moved", die), Database(url) as database:
        asyncio.run(sent_to(database, folder, document, ports))


async def test_a_run_that_is_killed_in_the_middle_of_a_move_continues_with_exact_counts(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    document = campaign(tmp_path, people(200), ("red", "green"), on_connection_down="reassign")
    refusing = Settings(everybody=Everybody(21, REFUSAL))
    with SmtpServer(refusing) as red, SmtpServer() as green:
        servers = {"red": red, "green": green}
        red.hold(after=20)
        green.hold(after=10)
        reached = {name: Port(server.host, server.port) for name, server in servers.items()}
        process = processes().Process(
            target=dies_in_the_middle_of_a_move, args=(database_url, tmp_path, document, reached)
        )
        process.start()
        await eventually_async(lambda: (red.held, green.held), lambda held: held == (1, 1))
        red.release()
        await asyncio.to_thread(process.join)
        assert process.exitcode == -signal.SIGKILL
        assert moved(database) == [("red", "green", 20)]
        green.release()
        await sent_to(database, tmp_path, document, servers)
    assert moved(database) == [("red", "green", 79)]
    states = Sender(database, tmp_path).ledger.states()
    assert states == {"sent": 199, "uncertain": 1}  # the one whose reply was held back
    received = red.recipients + green.recipients
    assert (len(received), set(received.values())) == (200, {1})
