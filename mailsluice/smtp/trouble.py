"""What went wrong while a session was opened, said so that somebody can act on it."""

from __future__ import annotations

import socket
import ssl

import aiosmtplib

from mailsluice.core.outcome import Attempt, Phase
from mailsluice.smtp.connection import Connection, Security
from mailsluice.smtp.session import SessionError

_PASSING_TLS_ERRORS = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError)


def refused(phase: Phase, text: str) -> SessionError:
    """We do not go on, because it cannot work, or not safely, as it is set up."""
    return SessionError(Attempt(phase, None, text, refused_here=True))


def attempt_from(
    error: Exception, phase: Phase, connection: Connection, *, has_greeted: bool = True
) -> Attempt:
    """Tell an exception of aiosmtplib, ssl or socket as an attempt that ended in this phase.

    `has_greeted`: the server has said something already.
    """
    if isinstance(error, aiosmtplib.SMTPResponseException) and error.code >= 200:
        return Attempt(phase, error.code, _reply(error, phase, connection))
    cause = error.__cause__ if isinstance(error, aiosmtplib.SMTPConnectError) else error
    if isinstance(cause, ssl.SSLError):
        permanent = not isinstance(cause, _PASSING_TLS_ERRORS)
        return Attempt(Phase.TLS, None, _tls(cause, connection), refused_here=permanent)
    if isinstance(cause, (ValueError, aiosmtplib.SMTPException)) and not _is_link(cause):
        return Attempt(phase, None, str(cause), refused_here=True)
    return Attempt(phase, None, _link(error, cause, connection, has_greeted))


def _is_link(error: BaseException) -> bool:
    link = (aiosmtplib.SMTPServerDisconnected, aiosmtplib.SMTPTimeoutError)
    malformed = isinstance(error, aiosmtplib.SMTPResponseException)
    return malformed or isinstance(error, link)


def _reply(error: aiosmtplib.SMTPResponseException, phase: Phase, connection: Connection) -> str:
    if phase is not Phase.LOGIN or error.code != 535:
        return str(error.message)
    if connection.oauth.is_used:
        return (
            f"{error.message} (the server refused a fresh access token: is the user name the"
            " mailbox that was authorised, is SMTP AUTH on for it, is the scope right?)"
        )
    return f"{error.message} (the server refused the login: check user name and password)"


def _tls(error: ssl.SSLError, connection: Connection) -> str:
    where = f"{connection.host}:{connection.port}"
    if isinstance(error, ssl.SSLCertVerificationError):
        return (
            f"the certificate of {where} does not verify: {error.verify_message.rstrip('.')}. "
            "Is host the name in the certificate? For a CA of your own set ca_file"
        )
    if connection.security is Security.TLS:
        reason = error.reason or error
        return f"no TLS with {where}: {reason}. If this port starts in plain, use starttls"
    return f"no TLS with {where}: {error.reason or error}"


def _link(
    error: Exception, cause: BaseException | None, connection: Connection, has_greeted: bool
) -> str:
    where = f"{connection.host}:{connection.port}"
    if isinstance(cause, ConnectionRefusedError):
        return f"connection refused by {where}: is the server up, are host and port right?"
    if isinstance(cause, socket.gaierror):
        return f"host {connection.host!r} was not found: {cause.strerror}"
    if isinstance(error, aiosmtplib.SMTPTimeoutError):
        text = f"no answer from {where} in {connection.timeout_seconds:g} s"
        if has_greeted or connection.security is Security.TLS:
            return text
        return (
            f"{text}; a port that expects TLS from the first byte stays silent too: then set"
            " security to tls"
        )
    return f"{where}: {cause or error}"
