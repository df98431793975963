"""Check connections: what is wrong with TLS, certificates and logins."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mailsluice.operations.verify_connection import (
    Diagnosis,
    Result,
    Step,
)
from mailsluice.smtp.connection import Security
from tests.integration.connection_checks import (
    LOGIN,
    MAIL,
    USERS,
    failed_step,
    inspected,
    result,
)
from tests.integration.smtp_fixtures import Certificates, connection_to, secured
from tests.smtpd import Fault, Settings, SmtpServer, Stage


def _expired(certificates: Certificates) -> ssl.SSLContext:
    return _until(certificates, datetime.now(UTC) - timedelta(days=3))


def _until(certificates: Certificates, end: datetime) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    certificates.authority.issue_cert("127.0.0.1", not_after=end).configure_cert(context)
    return context


@pytest.mark.parametrize("security", [Security.STARTTLS, Security.TLS])
@pytest.mark.parametrize(
    "diagnosis",
    [Diagnosis.CERTIFICATE_EXPIRED, Diagnosis.WRONG_NAME, Diagnosis.UNKNOWN_CA],
)
def test_a_certificate_that_does_not_verify_says_why(
    security: Security, diagnosis: Diagnosis, certificates: Certificates, tmp_path: Path
) -> None:
    contexts = {
        Diagnosis.CERTIFICATE_EXPIRED: lambda: _expired(certificates),
        Diagnosis.WRONG_NAME: lambda: certificates.context("mail.example"),
        Diagnosis.UNKNOWN_CA: lambda: Certificates.make(tmp_path).context(),
    }
    settings = Settings(tls=contexts[diagnosis](), tls_from_start=security is Security.TLS)
    with SmtpServer(settings) as server:
        found = inspected(
            connection_to(server, security=security, ca_file=certificates.ca_file), MAIL
        )
        assert (failed_step(found), found.diagnosis) == (Step.TLS, diagnosis)
        assert not server.received
    name = "mail.example" if diagnosis is Diagnosis.WRONG_NAME else "127.0.0.1"
    assert f"the server shows a certificate for {name}, signed by trustme" in found.summary()


def test_a_private_ca_is_unknown_to_the_systems_cas(certificates: Certificates) -> None:
    with SmtpServer(secured({}, Security.TLS, certificates)) as server:
        found = inspected(connection_to(server, security=Security.TLS))
        assert found.diagnosis is Diagnosis.UNKNOWN_CA


def test_a_certificate_that_expires_soon_is_a_warning(certificates: Certificates) -> None:
    context = _until(certificates, datetime.now(UTC) + timedelta(days=20, hours=1))
    with SmtpServer(Settings(tls=context, tls_from_start=True)) as server:
        connection = connection_to(server, security=Security.TLS, ca_file=certificates.ca_file)
        found = inspected(connection)
    assert found.works
    assert result(found, Step.TLS) is Result.WARNING
    (warning,) = found.warnings
    assert "the certificate expires in 20 days" in warning
    assert found.summary() == "test works: TLSv1.3, 1 warning"


def test_a_missing_starttls_is_reported() -> None:
    with SmtpServer() as server:
        found = inspected(connection_to(server, security=Security.STARTTLS))
        assert (failed_step(found), found.diagnosis) == (Step.TLS, Diagnosis.NO_STARTTLS)


def test_tls_to_a_plain_port_is_reported() -> None:
    with SmtpServer() as server:
        found = inspected(connection_to(server, security=Security.TLS))
        assert (failed_step(found), found.diagnosis) == (Step.TLS, Diagnosis.NO_TLS)


def test_a_refusal_in_the_greeting_over_tls_belongs_to_the_greeting(
    certificates: Certificates,
) -> None:
    faults = {"*": Fault(Stage.GREETING, b"421 4.7.0 Too many connections")}
    with SmtpServer(secured({"faults": faults}, Security.TLS, certificates)) as server:
        connection = connection_to(server, security=Security.TLS, ca_file=certificates.ca_file)
        found = inspected(connection)
        assert (failed_step(found), found.diagnosis) == (Step.GREETING, Diagnosis.TOO_MANY)


@pytest.mark.parametrize("security", [Security.STARTTLS, Security.NONE])
def test_plain_smtp_to_a_tls_port_is_reported(
    security: Security, certificates: Certificates
) -> None:
    with SmtpServer(secured({}, Security.TLS, certificates)) as server:
        found = inspected(connection_to(server, security=security), silent=server)
        assert (failed_step(found), found.diagnosis) == (Step.GREETING, Diagnosis.TLS_EXPECTED)


def test_a_password_does_not_cross_a_plain_link() -> None:
    with SmtpServer(Settings(users=USERS, auth_methods=("PLAIN", "LOGIN"))) as server:
        found = inspected(connection_to(server, **LOGIN))
        assert (failed_step(found), found.diagnosis) == (Step.LOGIN, Diagnosis.PLAIN_PASSWORD)
        assert not server.logins


def test_a_server_without_login_is_reported(certificates: Certificates) -> None:
    with SmtpServer(secured({}, Security.TLS, certificates)) as server:
        fields = {"security": Security.TLS, "ca_file": certificates.ca_file, **LOGIN}
        found = inspected(connection_to(server, **fields))
        assert found.diagnosis is Diagnosis.NO_LOGIN_OFFERED


def test_a_server_with_unknown_login_methods_is_reported(certificates: Certificates) -> None:
    fields = {"users": USERS, "auth_methods": ("GSSAPI",)}
    with SmtpServer(secured(fields, Security.TLS, certificates)) as server:
        fields = {"security": Security.TLS, "ca_file": certificates.ca_file, **LOGIN}
        found = inspected(connection_to(server, **fields))
        assert found.diagnosis is Diagnosis.METHOD_UNKNOWN


def test_a_login_that_the_block_lacks_is_a_warning() -> None:
    with SmtpServer(Settings(users=USERS)) as server:
        found = inspected(connection_to(server))
        assert found.works
        assert result(found, Step.LOGIN) is Result.WARNING


def test_a_missing_ca_file_is_reported() -> None:
    with SmtpServer() as server:
        found = inspected(connection_to(server, ca_file="/nowhere/ca.pem"))
        assert (failed_step(found), found.diagnosis) == (Step.TLS, Diagnosis.CA_FILE)
        assert not server.sessions
