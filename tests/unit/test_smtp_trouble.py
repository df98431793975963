"""The cause of an attempt that got no reply, by the exception that ended it."""

from __future__ import annotations

import errno
import socket
import ssl

import aiosmtplib
import pytest

from mailsluice.core.local_cause import LocalCause
from mailsluice.core.outcome import Phase
from mailsluice.smtp.connection import Connection, Security
from mailsluice.smtp.trouble import attempt_from


def _certificate_error(code: int) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_code, error.verify_message = code, "words of OpenSSL"
    return error


def _tls_error(reason: str) -> ssl.SSLError:
    error = ssl.SSLError(1, reason)
    error.reason = reason
    return error


def _connect_error(cause: Exception) -> Exception:
    """Return an error as aiosmtplib wraps it for a failed connection."""
    error = aiosmtplib.SMTPConnectError("connecting failed")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (socket.gaierror(socket.EAI_AGAIN, "later"), LocalCause.NAME_SERVER_SILENT),
        (socket.gaierror(socket.EAI_NONAME, "unknown"), LocalCause.HOST_NOT_FOUND),
        (UnicodeError("label too long"), LocalCause.HOST_NOT_FOUND),
        (ConnectionRefusedError(errno.ECONNREFUSED, "no"), LocalCause.CONNECTION_REFUSED),
        (OSError(errno.EHOSTUNREACH, "No route to host"), LocalCause.HOST_UNREACHABLE),
        (OSError(errno.ENETUNREACH, "no network"), LocalCause.HOST_UNREACHABLE),
        (TimeoutError(errno.ETIMEDOUT, "Connection timed out"), LocalCause.HOST_UNREACHABLE),
        (aiosmtplib.SMTPResponseException(-1, "Malformed"), LocalCause.MALFORMED_REPLY),
        (ConnectionResetError(errno.ECONNRESET, "reset"), None),
    ],
)
def test_the_cause_of_a_link_that_could_not_be_made(
    error: Exception, cause: LocalCause | None
) -> None:
    for raised in (error, _connect_error(error)):
        if isinstance(error, aiosmtplib.SMTPResponseException) and raised is not error:
            continue
        attempt = attempt_from(
            raised, Phase.CONNECT, Connection("a", "mail.example", 587), has_greeted=False
        )
        assert (attempt.cause, attempt.code) == (cause, None)


@pytest.mark.parametrize(
    ("code", "cause"),
    [
        (9, LocalCause.CERTIFICATE_NOT_YET_VALID),
        (10, LocalCause.CERTIFICATE_EXPIRED),
        (18, LocalCause.CERTIFICATE_UNTRUSTED),
        (62, LocalCause.CERTIFICATE_NAME),
        (64, LocalCause.CERTIFICATE_NAME),
        (23, LocalCause.CERTIFICATE_INVALID),  # revoked
    ],
)
def test_the_cause_of_a_certificate_that_does_not_verify(code: int, cause: LocalCause) -> None:
    attempt = attempt_from(
        _certificate_error(code), Phase.TLS, Connection("a", "mail.example", 587)
    )
    assert (attempt.cause, attempt.refused_here) == (cause, True)


@pytest.mark.parametrize(
    ("reason", "cause"),
    [
        ("WRONG_VERSION_NUMBER", LocalCause.TLS_NOT_SPOKEN),
        ("RECORD_LAYER_FAILURE", LocalCause.TLS_NOT_SPOKEN),
        ("UNSUPPORTED_PROTOCOL", LocalCause.TLS_FAILED),
    ],
)
def test_the_cause_of_a_handshake_that_failed(reason: str, cause: LocalCause) -> None:
    attempt = attempt_from(_tls_error(reason), Phase.TLS, Connection("a", "mail.example", 587))
    assert (attempt.cause, attempt.refused_here) == (cause, True)


@pytest.mark.parametrize(
    ("security", "has_greeted", "cause"),
    [
        (Security.STARTTLS, False, LocalCause.NO_GREETING),
        (Security.STARTTLS, True, LocalCause.NO_REPLY),
        (Security.TLS, False, LocalCause.NO_REPLY),
    ],
)
def test_the_cause_of_silence(security: Security, has_greeted: bool, cause: LocalCause) -> None:
    silence = aiosmtplib.SMTPReadTimeoutError("Timed out")
    connection = Connection("a", "mail.example", 587, security)
    attempt = attempt_from(silence, Phase.CONNECT, connection, has_greeted=has_greeted)
    assert attempt.cause is cause


def test_a_local_host_name_that_cannot_be_sent() -> None:
    error = UnicodeEncodeError("ascii", "höst", 1, 2, "ordinal not in range")
    attempt = attempt_from(error, Phase.CONNECT, Connection("a", "mail.example", 587))
    assert (attempt.cause, attempt.refused_here) == (LocalCause.LOCAL_HOSTNAME, True)
