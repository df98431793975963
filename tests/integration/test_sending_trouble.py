"""Trouble of a whole connection, and what it does to the campaign around it."""

from __future__ import annotations

import asyncio
import pkgutil
from collections import Counter
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

from mailsluice.delivery.breaker import BreakerSettings
from mailsluice.delivery.connection_state import SenderSettings
from mailsluice.operations import launch
from mailsluice.reports.progress import Cause
from mailsluice.smtp.connection import Connection, Security
from mailsluice.smtp.greeting import greets
from mailsluice.store import Database, Suppressions
from tests.eventually import eventually_async
from tests.integration.campaign_fixtures import (
    Sender,
    campaign,
    connection,
    everybody_once,
    people,
)
from tests.integration.smtp_fixtures import Certificates
from tests.smtpd import DROP, HANG, Fault, Settings, SmtpServer, Stage


@pytest.fixture
def sender(sqlite_database: Database, tmp_path: Path) -> Sender:
    return Sender(sqlite_database, tmp_path)


def refused_login(server: SmtpServer, _: Path) -> Connection:
    return connection("red", server, username="u", password="wrong", allow_plain_password=True)


def unknown_authority(server: SmtpServer, folder: Path) -> Connection:
    return connection("red", server, security=Security.TLS)


def nobody_listens(server: SmtpServer, _: Path) -> Connection:
    server.stop()
    return connection("red", server)


BROKEN = {
    "login": (refused_login, "535"),
    "tls": (unknown_authority, "certificate"),
    "connect": (nobody_listens, "connection refused"),
}


@pytest.mark.parametrize("trouble", list(BROKEN))
async def test_a_connection_that_cannot_work_leaves_its_rows_untouched(
    trouble: str, sender: Sender, tmp_path: Path
) -> None:
    make, reason = BROKEN[trouble]
    context = Certificates.make(tmp_path).context() if trouble == "tls" else None
    broken = Settings(users={"u": "right"}, tls=context, tls_from_start=context is not None)
    document = campaign(tmp_path, people(20), ("red", "green"))
    with SmtpServer(broken) as red, SmtpServer() as green:
        report = await sender.send(document, [make(red, tmp_path), connection("green", green)])
        assert len(green.received) == 10
    assert reason in report.down["red"]
    rows = [row for row in sender.ledger.rows().values() if row.connection == "red"]
    assert {(row.status, row.attempts, row.code) for row in rows} == {("pending", 0, None)}
    assert report.open == 10
    with SmtpServer() as red:  # the same campaign continues with a corrected connection
        await sender.send(document, [connection("red", red), connection("green", red)])
        assert len(red.received) == 10
    assert sender.ledger.states() == {"sent": 20}


@pytest.mark.parametrize("silently", [False, True])
@pytest.mark.parametrize("each", [1, 3])
async def test_a_server_that_ends_sessions_after_some_messages_costs_no_time(
    each: int, silently: bool, sender: Sender, tmp_path: Path
) -> None:
    """A pause would be an hour long."""
    document = campaign(tmp_path, people(200))
    pauses = BreakerSettings(first_delay_seconds=3_600.0, max_delay_seconds=3_600.0)
    sender.settings = SenderSettings(document.retry, breaker=pauses)
    settings = Settings(messages_per_session=each, closes_silently=silently)
    with SmtpServer(settings) as server:
        report = await sender.send(document, [connection("red", server)])
        everybody_once(sender.ledger, {"red": server})
    assert report.down == {}
    assert {row.attempts for row in sender.ledger.rows().values()} == {1}


async def test_a_single_refusal_that_names_the_sender_fails_its_recipient_alone(
    sender: Sender, tmp_path: Path
) -> None:
    fault = Fault(Stage.RCPT, b"550 5.7.1 <odd@example.com>: Relay access denied")
    emails = [*people(5), "odd@example.com", *people(5, "later.example.com")]
    with SmtpServer(faults={"odd": fault}) as server:
        report = await sender.send(
            campaign(tmp_path, emails), [connection("red", server, max_sessions=1)]
        )
        assert len(server.received) == 10
    assert report.down == {}
    row = sender.ledger.rows()["odd@example.com"]
    assert (row.status, row.code, row.attempts) == ("failed", 550, 1)


async def test_a_server_that_refuses_everybody_is_down_and_nobody_has_failed(
    sender: Sender, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    emails = people(30)
    deny = Fault(Stage.RCPT, b"550 5.7.1 <user1@example.com>: Relay access denied")
    faults = {email.partition("@")[0]: deny for email in emails}
    with SmtpServer(faults=faults) as server:
        report = await sender.send(campaign(tmp_path, emails), [connection("red", server)])
    assert "Relay access denied" in report.down["red"]
    rows = sender.ledger.rows().values()
    assert Counter((row.status, row.attempts) for row in rows) == {("pending", 0): 30}
    assert "@" not in report.down["red"] + caplog.text


async def test_a_server_that_loses_every_message_gets_a_pause_soon(
    sender: Sender, tmp_path: Path
) -> None:
    emails = people(100)
    faults = {email.partition("@")[0]: Fault(Stage.DOT, DROP) for email in emails}
    with SmtpServer(faults=faults) as server:
        report = await sender.send(campaign(tmp_path, emails), [connection("red", server)])
    assert report.down["red"]
    states = sender.ledger.states()
    assert states["uncertain"] + states["pending"] == 100
    assert states["uncertain"] <= 20


async def test_a_server_that_wants_fewer_sessions_gets_fewer(
    sender: Sender, tmp_path: Path
) -> None:
    """The first session works, the others get 421 at the greeting."""

    greeting = Fault(Stage.EHLO, b"421 4.7.0 Too many connections from your host", times=3)
    with SmtpServer(Settings(delay_seconds=0.01, faults={"*": greeting})) as server:
        report = await sender.send(
            campaign(tmp_path, people(40)), [connection("red", server, max_sessions=4)]
        )
        everybody_once(sender.ledger, {"red": server})
        assert server.sessions == 4
    assert report.down == {}


async def test_the_block_says_after_how_many_failures_the_connection_rests_and_how_long(
    sender: Sender, tmp_path: Path
) -> None:
    document = campaign(tmp_path, people(5))
    greeting = Fault(Stage.EHLO, b"421 4.7.0 Come back in an hour")
    with SmtpServer(Settings(faults={"*": greeting})) as server:
        target = connection(
            "red", server, max_sessions=1, cool_down_after=1, cool_down_seconds=3_600
        )
        run = await asyncio.to_thread(sender.prepare, document)
        await asyncio.to_thread(run.count)
        sending = asyncio.ensure_future(sender.send_prepared(run, document, [target]))
        await eventually_async(run.next_in, lambda seconds: seconds > 3_000)
        (standing,) = (await run.progress()).standings
        assert standing.binding.cause is Cause.RESTING
        assert server.sessions == 1
        run.stop()
        assert (await sending).down == {}
        await run.close()


async def test_a_deferred_sender_address_slows_the_connection_and_uses_no_attempt(
    sender: Sender, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    busy = Fault(Stage.MAIL, b"450 4.7.1 Error: too much mail", times=2)
    with SmtpServer(faults={"news": busy}) as server:
        await sender.send(campaign(tmp_path, people(20)), [connection("red", server)])
        everybody_once(sender.ledger, {"red": server})
    assert {row.attempts for row in sender.ledger.rows().values()} == {1}
    assert "its server asks for less mail" in caplog.text


async def test_few_messages_a_second_over_two_connections_do_not_block_each_other(
    sender: Sender, tmp_path: Path
) -> None:
    """One connection's slow reply uses up the campaign's whole limit for a while."""
    document = campaign(tmp_path, people(4), ("red", "green"), throttle={"per_second": 1})
    with SmtpServer(Settings(delay_seconds=0.3)) as red, SmtpServer() as green:
        await sender.send(document, [connection("red", red), connection("green", green)])
        everybody_once(sender.ledger, {"red": red, "green": green})


async def test_a_recipient_who_is_suppressed_meanwhile_gets_nothing(
    sender: Sender, tmp_path: Path
) -> None:
    document = campaign(tmp_path, ["450-at-rcpt-once.1@example.com", *people(5)])
    run = sender.prepare(document)
    try:
        Suppressions(sender.database).add(["user3@example.com"], reason="unsubscribed", source="t")
        with SmtpServer() as server:
            await sender.send_prepared(run, document, [connection("red", server)])
            assert "user3@example.com" not in server.recipients
            assert len(server.received) == 5
    finally:
        await run.close()
    assert sender.ledger.rows()["user3@example.com"].status == "suppressed"


async def test_a_server_that_is_back_is_found_long_before_its_rest_is_over(
    sender: Sender, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without probes the connection would rest for hours here, and then be down."""
    monkeypatch.setattr("mailsluice.delivery.probing.LEAST_SECONDS", 0.02)
    monkeypatch.setattr("mailsluice.delivery.probing.MOST_SECONDS", 0.05)
    rests = BreakerSettings(2, 0.01, 0.02, rest_seconds=10_000.0)
    document = campaign(tmp_path, people(400))
    run = await asyncio.to_thread(sender.prepare, document)
    with SmtpServer(Settings(delay_seconds=0.01)) as server:
        target, message = connection("red", server), launch.compiled(document, ["email"])
        how = SenderSettings(document.retry, breaker=rests)
        sending = asyncio.ensure_future(run.send(target, message, settings=how))
        await eventually_async(lambda: len(server.received) >= 10)
        await on_its_loop(server, server._stop())
        breaker = run._connection_senders["red"]._state.health.breaker
        await eventually_async(lambda: breaker.is_open)
        await on_its_loop(server, server._start())
        await sending
        report = await asyncio.to_thread(run.report)
        await run.close()
        states = sender.ledger.states()
        assert states["sent"] + states["uncertain"] == 400
        assert states["uncertain"] <= 2  # the message that was in flight when the server went away
        assert set(server.recipients.values()) == {1}
    assert not report.down
    assert {row.attempts for row in sender.ledger.rows().values()} == {1}


async def on_its_loop(server: SmtpServer, work: Coroutine[Any, Any, None]) -> None:
    await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, server._loop))


@pytest.mark.parametrize("security", [Security.NONE, Security.TLS])
async def test_a_probe_asks_only_for_the_greeting(tmp_path: Path, security: Security) -> None:
    certificates = Certificates.make(tmp_path)
    is_tls = security is Security.TLS
    settings = Settings(tls=certificates.context() if is_tls else None, tls_from_start=is_tls)
    with SmtpServer(settings) as server:
        target = connection("red", server, security=security, ca_file=certificates.ca_file)
        assert await greets(target)
        assert (server.sessions, server.logins.total()) == (1, 0)
    assert not await greets(target)


@pytest.mark.parametrize("reply", [b"421 4.3.2 busy", b"554 no", DROP, HANG])
async def test_a_server_that_does_not_greet_does_not_count_as_back(reply: bytes) -> None:
    faults = {"*": Fault(Stage.GREETING, reply)}
    with SmtpServer(faults=faults) as server:
        assert not await greets(connection("red", server, timeout_seconds=0.2))


STEPS = {
    "mailsluice.smtp.login._take_over": 7,
    "mailsluice.message.CompiledMessage.render": 40,
    "mailsluice.delivery.connection_sender.ConnectionSender._dot": 40,
    "mailsluice.smtp.pipelined.opening": 40,
    "mailsluice.delivery.outcome_handler.OutcomeHandler.handle": 40,
    "mailsluice.delivery.session_pool.SessionPool._next_session_at": 10,
}
"""Steps of sending in which an error of ours may be, and at which call it is raised."""


@pytest.mark.parametrize("step", list(STEPS))
async def test_an_error_of_ours_in_a_session_takes_its_connection_down_and_loses_nothing(
    step: str,
    sender: Sender,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The other connection goes on to its end, and the next run sends to all who wait."""
    owner, _, name = step.rpartition(".")
    working, calls = pkgutil.resolve_name(step), Counter[str]()

    def fails_once(*given: Any, **options: Any) -> Any:
        calls[name] += 1
        if calls[name] == STEPS[step]:
            raise ValueError("no digit in s3cret of ann@example.com")
        return working(*given, **options)

    document = campaign(tmp_path, people(400), ("red", "green"))
    with SmtpServer() as red, SmtpServer() as green:
        servers = {"red": red, "green": green}
        fields = {"password": "s3cret", "messages_per_session": 10}
        connections = [connection(one, server, **fields) for one, server in servers.items()]
        with monkeypatch.context() as patch:
            patch.setattr(pkgutil.resolve_name(owner), name, fails_once)
            report = await sender.send(document, connections)
        ((down, reason),) = report.down.items()
        assert reason.startswith("a fault of Mailsluice, not of the server: ValueError: no digit")
        assert "in fails_once" in caplog.text  # the traceback
        assert "s3cret" not in reason + caplog.text
        assert "@" not in reason + caplog.text
        rows = sender.ledger.rows()
        of_others = [row for row in rows.values() if row.connection != down]
        assert {row.status for row in of_others} == {"sent"}
        assert len(of_others) == 200
        for email, row in rows.items():
            assert row.status in ("sent", "pending")
            assert (row.status == "sent") == (servers[row.connection].recipients[email] == 1)
        assert report.open > 0
        again = await sender.send(document, connections)
        assert (again.down, again.open) == ({}, 0)
        everybody_once(sender.ledger, servers)
