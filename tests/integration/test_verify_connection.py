"""Check connections: every failure has its diagnosis, and no mail is sent unasked."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import pytest

from mailsluice.operations.verify_connection import (
    Diagnosis,
    Result,
    Step,
    TrialMail,
    inspect,
)
from mailsluice.smtp.connection import Connection, Security
from tests.integration.connection_checks import (
    LOGIN,
    MAIL,
    USERS,
    failed_step,
    inspected,
    local,
    note,
    result,
)
from tests.integration.hurried_loop import HurriedLoop
from tests.integration.real_servers import RealServer
from tests.integration.smtp_fixtures import Certificates, connection_to, secured
from tests.smtpd import DROP, HANG, Fault, Settings, SmtpServer, Stage


@pytest.mark.parametrize("security", Security)
def test_a_connection_that_works_is_described_step_by_step(
    security: Security, certificates: Certificates
) -> None:
    settings = secured({"users": USERS}, security, certificates)
    with SmtpServer(settings) as server:
        fields = {"security": security, "ca_file": certificates.ca_file, **LOGIN}
        found = inspected(connection_to(server, **fields))
        assert found.works, found.summary()
        assert not server.received
        assert server.sessions == 1
        assert server.logins == {"ok": 1}
    assert result(found, Step.LOGIN) is Result.OK
    assert result(found, Step.MAIL) is Result.LEFT_OUT
    assert "SIZE 10.5 MB" in note(found, Step.OFFER)
    if security is Security.NONE:
        assert result(found, Step.TLS) is Result.LEFT_OUT
    else:
        assert "certificate for 127.0.0.1, signed by trustme" in note(found, Step.TLS)
        assert found.summary() == "test works: TLSv1.3, login as jane, no warnings"
    assert "s3cret" not in found.markdown()


def test_without_a_test_mail_not_even_a_sender_is_named() -> None:
    with SmtpServer(faults={"*": Fault(Stage.MAIL, b"550 5.7.1 no")}) as server:
        assert inspected(connection_to(server)).works


def test_a_test_mail_is_sent_as_a_campaigns_mail_is() -> None:
    with SmtpServer(Settings(keywords=("PIPELINING", "CHUNKING"))) as server:
        found = inspected(connection_to(server), MAIL)
        assert found.works, found.summary()
        (mail,) = server.received
    assert (mail.sender, mail.recipient) == ("news@sender.example", "mailbox@recipient.example")
    assert mail.subject == "Test of connection test"
    assert mail.message_id
    assert "accepted with 250 2.0.0 Ok: queued" in note(found, Step.MAIL)
    assert "@" not in found.markdown()


def test_each_test_mail_has_a_message_id_of_its_own() -> None:
    with SmtpServer() as server:
        for _ in range(2):
            assert inspected(connection_to(server), MAIL).works
        first, second = server.received
    assert first.message_id != second.message_id


def _faults() -> Iterator[tuple[Stage, bytes, Step, Diagnosis]]:
    busy, dropped = Diagnosis.TOO_MANY, Diagnosis.LINK_BROKE
    greeting, tls, login = Step.GREETING, Step.TLS, Step.LOGIN
    yield Stage.GREETING, b"421 4.7.0 Too many connections", greeting, busy
    yield Stage.GREETING, b"421 4.3.2 shutting down", greeting, Diagnosis.NOT_NOW
    yield Stage.GREETING, b"554 5.7.1 Blocked, see spamhaus", greeting, Diagnosis.BLOCKLISTED
    yield Stage.GREETING, b"SSH-2.0-what", greeting, Diagnosis.NOT_SMTP
    yield Stage.GREETING, DROP, greeting, dropped
    yield Stage.GREETING, HANG, greeting, Diagnosis.TLS_EXPECTED  # it looks the same
    yield Stage.EHLO, b"550 5.7.1 Helo command rejected", greeting, Diagnosis.EHLO_REFUSED
    yield Stage.EHLO, DROP, greeting, dropped
    yield Stage.EHLO, HANG, greeting, Diagnosis.SILENT  # it has greeted: no TLS port
    yield Stage.STARTTLS, b"454 4.7.0 TLS not available", tls, Diagnosis.NO_TLS_FOR_NOW
    yield Stage.STARTTLS, DROP, tls, dropped
    yield Stage.STARTTLS, HANG, tls, Diagnosis.SILENT
    yield Stage.AUTH, b"535 5.7.8 no", login, Diagnosis.LOGIN_REFUSED
    yield Stage.AUTH, b"534 5.7.9 app password required", login, Diagnosis.PASSWORD_OF_ITS_OWN
    yield Stage.AUTH, b"454 4.7.0 Too many login attempts", login, busy
    yield Stage.AUTH, DROP, login, dropped
    yield Stage.AUTH, HANG, login, Diagnosis.SILENT


@pytest.mark.parametrize(("stage", "action", "step", "diagnosis"), list(_faults()))
def test_every_failure_before_the_first_mail_has_a_diagnosis(
    stage: Stage, action: bytes, step: Step, diagnosis: Diagnosis, certificates: Certificates
) -> None:
    fields: dict[str, Any] = {"users": USERS, "faults": {"*": Fault(stage, action)}}
    with SmtpServer(secured(fields, Security.STARTTLS, certificates)) as server:
        found = inspected(
            connection_to(
                server,
                security=Security.STARTTLS,
                ca_file=certificates.ca_file,
                **LOGIN,
            ),
            MAIL,
            server,
        )
        assert (failed_step(found), found.diagnosis) == (step, diagnosis)
        assert result(found, Step.MAIL) is Result.NOT_REACHED
        assert not server.received
    assert found.summary().endswith(f"Next step: {diagnosis.next_step}")


def _mail_faults() -> Iterator[tuple[Stage, bytes, Diagnosis]]:
    yield Stage.MAIL, b"550 5.7.1 sender not verified", Diagnosis.SENDER_NOT_ALLOWED
    yield Stage.MAIL, b"451 4.7.1 rate limit exceeded", Diagnosis.TOO_MANY
    yield Stage.MAIL, b"552 5.3.4 too big", Diagnosis.TOO_BIG
    yield Stage.MAIL, b"530 5.7.0 Authentication required", Diagnosis.LOGIN_NEEDED
    yield (
        Stage.RCPT,
        b"550 5.1.1 no such user mailbox@recipient.example",
        (Diagnosis.RECIPIENT_REFUSED),
    )
    yield Stage.RCPT, b"554 5.7.1 Relay access denied", Diagnosis.RELAY_DENIED
    yield Stage.RCPT, b"554 5.7.1 Client host blocked using a list", Diagnosis.BLOCKLISTED
    yield Stage.RCPT, b"450 4.2.0 Greylisted", Diagnosis.PUT_OFF
    yield Stage.DOT, b"550 5.7.26 no DMARC", Diagnosis.SENDER_NOT_ALLOWED
    yield Stage.DOT, b"554 5.6.0 spam", Diagnosis.MESSAGE_REFUSED
    yield Stage.DOT, b"552 5.3.4 too big", Diagnosis.TOO_BIG
    yield Stage.DOT, DROP, Diagnosis.NOT_KNOWN
    yield Stage.RCPT, b"421 4.7.0 too many messages", Diagnosis.TOO_MANY


@pytest.mark.parametrize("keywords", [(), ("PIPELINING",), ("PIPELINING", "CHUNKING")])
@pytest.mark.parametrize(("stage", "action", "diagnosis"), list(_mail_faults()))
def test_a_test_mail_that_is_refused_says_why(
    stage: Stage, action: bytes, diagnosis: Diagnosis, keywords: tuple[str, ...]
) -> None:
    local_part = "news" if stage is Stage.MAIL else "mailbox"
    settings = Settings(keywords=keywords, faults={local_part: Fault(stage, action)})
    with SmtpServer(settings) as server:
        found = inspected(connection_to(server), MAIL)
        assert not server.received
    assert (failed_step(found), found.diagnosis) == (Step.MAIL, diagnosis)
    assert "@" not in found.markdown() + found.summary()


def test_a_mail_above_the_servers_size_is_not_sent() -> None:
    with SmtpServer(Settings(keywords=("SIZE 100",))) as server:
        found = inspected(connection_to(server), MAIL)
        assert found.diagnosis is Diagnosis.TOO_BIG
        assert not server.received


def test_an_invalid_local_hostname_is_reported() -> None:
    with SmtpServer() as server:
        found = inspected(connection_to(server, local_hostname="two words"))
        assert found.diagnosis is Diagnosis.EHLO_REFUSED


def test_a_closed_port_is_reported() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        port = listener.getsockname()[1]
    found = inspected(Connection("test", "127.0.0.1", port, Security.NONE))
    assert (failed_step(found), found.diagnosis) == (Step.LINK, Diagnosis.REFUSED)
    assert result(found, Step.NAME) is Result.OK


def test_a_server_that_does_not_accept_the_link_is_reported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def never(loop: HurriedLoop, *_: object) -> None:
        loop.hurry()
        await loop.create_future()

    monkeypatch.setattr(asyncio.SelectorEventLoop, "sock_connect", never)
    found = inspected(Connection("test", "127.0.0.1", 25, Security.NONE))
    assert (failed_step(found), found.diagnosis) == (Step.LINK, Diagnosis.NOT_REACHED)


@pytest.mark.parametrize(
    ("number", "words", "diagnosis"),
    [
        (socket.EAI_NONAME, "Name or service not known", Diagnosis.HOST_NOT_FOUND),
        (socket.EAI_AGAIN, "Temporary failure in name resolution", Diagnosis.NO_NAME_SERVER),
    ],
)
def test_an_unknown_host_is_reported(
    number: int, words: str, diagnosis: Diagnosis, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(number, words)

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    found = inspected(Connection("test", "smtp.invalid", 25, local_hostname="c.example"))
    assert (failed_step(found), found.diagnosis) == (Step.NAME, diagnosis)


def test_an_impossible_host_name_is_reported() -> None:
    found = inspected(Connection("test", f"{'x' * 64}.example", 25, local_hostname="c.example"))
    assert (failed_step(found), found.diagnosis) == (Step.NAME, Diagnosis.HOST_NOT_FOUND)


def test_the_second_address_is_tried_where_the_first_refuses(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with SmtpServer() as server:
        both = [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.2", server.port)),
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", server.port)),
        ]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: both)
        found = inspected(local("smtp.example", server.port))
    assert found.works
    assert note(found, Step.NAME) == "127.0.0.2, 127.0.0.1"
    assert note(found, Step.LINK).startswith("connected to 127.0.0.1")
    assert "can read and change mail" in found.warnings[0]


async def test_a_server_that_closes_after_its_greeting_is_reported() -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example\r\n")
        await reader.readline()
        writer.write(b"250 mail.example\r\n")
        writer.close()

    async with await asyncio.start_server(greet, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        found = await inspect(local("127.0.0.1", port), MAIL, datetime.now(UTC))
    assert found.diagnosis is Diagnosis.LINK_BROKE
    assert sorted(one.step for one in found.findings) == sorted(Step)


@pytest.mark.xdist_group("postfix")
def test_a_real_postfix_with_a_test_mail(postfix: RealServer, certificates: Certificates) -> None:
    connection = Connection(
        "postfix",
        "127.0.0.1",
        postfix.ports["chunked"],
        ca_file=certificates.ca_file,
        local_hostname="client.example",
    )
    mail = TrialMail(sender="News <news@example.com>", recipient="mailbox@example.com")
    found = inspected(connection, mail)
    assert found.works, found.summary()
    assert "certificate for 127.0.0.1" in note(found, Step.TLS)
    assert "PIPELINING, CHUNKING, 8BITMIME, SMTPUTF8, SIZE 0.2 MB" in note(found, Step.OFFER)
    assert "queued as" in note(found, Step.MAIL)


@pytest.mark.xdist_group("postfix")
def test_a_recipient_that_a_real_postfix_refuses(
    postfix: RealServer, certificates: Certificates
) -> None:
    connection = Connection(
        "postfix",
        "127.0.0.1",
        postfix.ports["pipelined"],
        ca_file=certificates.ca_file,
        local_hostname="client.example",
    )
    mail = TrialMail(sender="News <news@example.com>", recipient="550-at-rcpt@example.com")
    found = inspected(connection, mail)
    assert found.diagnosis is Diagnosis.RECIPIENT_REFUSED
    assert "@" not in found.summary()
