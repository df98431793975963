"""Connecting, TLS and logging in, and the errors of each."""

from __future__ import annotations

import base64
import socket
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mailsluice.core.outcome import Phase, Trouble, classify
from mailsluice.smtp.connection import Connection, Security
from mailsluice.smtp.session import SessionError
from tests.integration.smtp_fixtures import (
    Certificates,
    connection_to,
    deliver,
    envelopes,
    secured,
)
from tests.smtpd import DROP, HANG, Fault, Settings, SmtpServer, Stage

USERS = {"jane": "s3cret"}
LOGIN = {"username": "jane", "password": "s3cret"}


def failure(connection: Connection, hanging: SmtpServer | None = None) -> SessionError:
    _, error = deliver(connection, envelopes("a"), hanging=hanging)
    assert error is not None
    return error


@pytest.mark.parametrize("method", ["PLAIN", "LOGIN", "CRAM-MD5"])
@pytest.mark.parametrize("security", [Security.STARTTLS, Security.TLS])
def test_each_method_logs_in(method: str, security: Security, certificates: Certificates) -> None:
    settings = secured({"users": USERS, "auth_methods": (method,)}, security, certificates)
    with SmtpServer(settings) as server:
        fields = {"security": security, "ca_file": certificates.ca_file, **LOGIN}
        _, error = deliver(connection_to(server, **fields), envelopes("a"))
        assert error is None
        assert server.logins == {"ok": 1}
        assert len(server.received) == 1


def test_the_password_is_not_sent_over_a_plain_link() -> None:
    with SmtpServer(Settings(users=USERS, auth_methods=("PLAIN", "LOGIN"))) as server:
        error = failure(connection_to(server, **LOGIN))
        assert error.phase is Phase.LOGIN
        assert "the password would cross an unencrypted link" in str(error)
        assert classify(error.attempt).trouble is Trouble.DOWN
        assert not server.logins  # not even tried


def test_the_password_is_sent_over_a_plain_link_if_that_is_allowed() -> None:
    with SmtpServer(Settings(users=USERS, auth_methods=("PLAIN",))) as server:
        _, error = deliver(
            connection_to(server, **LOGIN, allow_plain_password=True), envelopes("a")
        )
        assert error is None


def test_a_method_that_keeps_the_password_secret_is_used_on_a_plain_link() -> None:
    with SmtpServer(Settings(users=USERS)) as server:
        _, error = deliver(connection_to(server, **LOGIN), envelopes("a"))
        assert error is None


def test_a_wrong_password_is_tried_once(certificates: Certificates) -> None:
    settings = secured({"users": USERS}, Security.TLS, certificates)
    with SmtpServer(settings) as server:
        error = failure(
            connection_to(
                server,
                security=Security.TLS,
                ca_file=certificates.ca_file,
                username="jane",
                password="wrong",
            )
        )
        assert error.attempt.code == 535
        assert "check user name and password" in str(error)
        assert "wrong" not in str(error)
        assert classify(error.attempt).trouble is Trouble.DOWN
        assert server.logins == {"refused": 1}


@pytest.mark.parametrize(
    "told",
    [
        b"pa55word",
        base64.b64encode(b"pa55word"),
        base64.b64encode(b"\0user\0pa55word"),
        b"AUTH PLAIN " + base64.b64encode(b"a longer name\0user\0pa55word"),
    ],
)
def test_a_password_that_the_server_repeats_is_masked(
    told: bytes, certificates: Certificates
) -> None:
    fault = Fault(Stage.AUTH, b"535 5.7.8 what is this: " + told)
    fields: dict[str, Any] = {"users": USERS, "faults": {"*": fault}}
    with SmtpServer(secured(fields, Security.STARTTLS, certificates)) as server:
        error = failure(
            connection_to(
                server,
                security=Security.STARTTLS,
                ca_file=certificates.ca_file,
                username="user",
                password="pa55word",
            )
        )
    assert "what is this: " in error.attempt.text
    shown = "".join(traceback.format_exception(error))  # with its cause, as logs have it
    assert "<secret>" in shown
    for one in (told.decode(), "pa55word"):
        assert one not in error.attempt.text
        assert one not in shown
    assert error.attempt.code == 535


def _setup_faults() -> Iterator[tuple[Stage, bytes, Phase, int | None, Trouble]]:
    yield Stage.GREETING, b"421 4.7.0 Too many connections", Phase.CONNECT, 421, Trouble.THROTTLED
    yield Stage.GREETING, b"554 5.7.1 Not from you", Phase.CONNECT, 554, Trouble.DOWN
    yield Stage.GREETING, b"SSH-2.0-what", Phase.CONNECT, None, Trouble.SESSION
    yield Stage.GREETING, HANG, Phase.CONNECT, None, Trouble.SESSION
    yield Stage.EHLO, b"421 4.3.2 shutting down", Phase.CONNECT, 421, Trouble.SESSION
    yield Stage.EHLO, DROP, Phase.CONNECT, None, Trouble.SESSION
    yield Stage.STARTTLS, b"454 4.7.0 not now", Phase.TLS, 454, Trouble.SESSION
    yield Stage.STARTTLS, DROP, Phase.TLS, None, Trouble.SESSION
    yield Stage.STARTTLS, HANG, Phase.TLS, None, Trouble.SESSION
    yield Stage.AUTH, b"454 4.7.0 Too many login attempts", Phase.LOGIN, 454, Trouble.THROTTLED
    yield Stage.AUTH, b"421 4.7.0 come back later", Phase.LOGIN, 421, Trouble.THROTTLED
    yield Stage.AUTH, b"535 5.7.8 no", Phase.LOGIN, 535, Trouble.DOWN
    yield Stage.AUTH, DROP, Phase.LOGIN, None, Trouble.SESSION
    yield Stage.AUTH, HANG, Phase.LOGIN, None, Trouble.SESSION


@pytest.mark.parametrize(("stage", "action", "phase", "code", "trouble"), list(_setup_faults()))
def test_trouble_before_the_first_mail_is_about_the_connection(
    stage: Stage,
    action: bytes,
    phase: Phase,
    code: int | None,
    trouble: Trouble,
    certificates: Certificates,
) -> None:
    fields: dict[str, Any] = {"users": USERS, "faults": {"*": Fault(stage, action)}}
    with SmtpServer(secured(fields, Security.STARTTLS, certificates)) as server:
        error = failure(
            connection_to(
                server,
                security=Security.STARTTLS,
                ca_file=certificates.ca_file,
                **LOGIN,
            ),
            hanging=server,
        )
        assert (error.phase, error.attempt.code) == (phase, code)
        assert classify(error.attempt).trouble is trouble
        assert not server.received


@pytest.mark.parametrize("security", [Security.STARTTLS, Security.TLS])
@pytest.mark.parametrize("reason", ["unknown CA", "other name"])
def test_a_certificate_that_does_not_verify_takes_the_connection_down(
    security: Security, reason: str, certificates: Certificates, tmp_path: Path
) -> None:
    own = certificates if reason == "other name" else Certificates.make(tmp_path)
    name = "mail.example" if reason == "other name" else "127.0.0.1"
    settings = Settings(tls=own.context(name), tls_from_start=security is Security.TLS)
    with SmtpServer(settings) as server:
        error = failure(connection_to(server, security=security, ca_file=certificates.ca_file))
        assert error.phase is Phase.TLS
        assert "does not verify" in str(error)
        assert "ca_file" in str(error)
        assert classify(error.attempt).trouble is Trouble.DOWN
        assert not server.received


def test_a_server_without_starttls_is_refused() -> None:
    with SmtpServer() as server:
        error = failure(connection_to(server, security=Security.STARTTLS))
        assert error.phase is Phase.TLS
        assert "offers no STARTTLS" in str(error)
        assert classify(error.attempt).trouble is Trouble.DOWN


def test_tls_to_a_plain_port_is_named() -> None:
    with SmtpServer() as server:
        error = failure(connection_to(server, security=Security.TLS))
        assert error.phase is Phase.TLS
        assert "use starttls" in str(error)
        assert classify(error.attempt).trouble is Trouble.DOWN


def test_plain_text_to_a_tls_port_is_named(certificates: Certificates) -> None:
    with SmtpServer(secured({}, Security.TLS, certificates)) as server:
        error = failure(connection_to(server, timeout_seconds=0.2))
        assert error.phase is Phase.CONNECT
        assert "set security to tls" in str(error)


def test_a_server_without_a_login_is_named(certificates: Certificates) -> None:
    with SmtpServer(secured({}, Security.STARTTLS, certificates)) as server:
        error = failure(
            connection_to(server, security=Security.STARTTLS, ca_file=certificates.ca_file, **LOGIN)
        )
        assert error.phase is Phase.LOGIN
        assert "no login at all" in str(error)
        assert classify(error.attempt).trouble is Trouble.DOWN


def test_a_missing_ca_file_is_named() -> None:
    with SmtpServer() as server:
        error = failure(connection_to(server, security=Security.TLS, ca_file="/nowhere/ca.pem"))
        assert "/nowhere/ca.pem" in str(error)
        assert classify(error.attempt).trouble is Trouble.DOWN


def test_a_ca_file_without_a_certificate_is_named(tmp_path: Path) -> None:
    path = tmp_path / "empty.pem"
    path.write_text("no certificate\n")
    with SmtpServer() as server:
        error = failure(connection_to(server, security=Security.TLS, ca_file=str(path)))
        assert str(path) in str(error)
        assert classify(error.attempt).trouble is Trouble.DOWN


def test_an_unknown_host_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    connection = Connection("x", "smtp.invalid", 25, Security.NONE, local_hostname="c.example")
    error = failure(connection)
    assert error.phase is Phase.CONNECT
    assert "'smtp.invalid' was not found" in str(error)
    assert classify(error.attempt).trouble is Trouble.SESSION
