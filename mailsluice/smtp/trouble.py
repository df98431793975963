"""Describe errors in opening a session, with the next step."""

from __future__ import annotations

import errno
import socket
import ssl

import aiosmtplib

from mailsluice.core.local_cause import LocalCause
from mailsluice.core.outcome import Attempt, Phase
from mailsluice.smtp.connection import Connection, Security
from mailsluice.smtp.session import SessionError

_PASSING_TLS_ERRORS = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError)
_NOT_TLS = ("WRONG_VERSION", "RECORD_LAYER", "HTTP_REQUEST")
"""Parts of OpenSSL's reasons for bytes of the server that are not TLS."""
_CERTIFICATE_CAUSES = {  # X509_V_ERR_..., as in OpenSSL's X509_STORE_CTX_get_error(3)
    2: LocalCause.CERTIFICATE_UNTRUSTED,  # UNABLE_TO_GET_ISSUER_CERT
    9: LocalCause.CERTIFICATE_NOT_YET_VALID,
    10: LocalCause.CERTIFICATE_EXPIRED,
    18: LocalCause.CERTIFICATE_UNTRUSTED,  # DEPTH_ZERO_SELF_SIGNED_CERT
    19: LocalCause.CERTIFICATE_UNTRUSTED,  # SELF_SIGNED_CERT_IN_CHAIN
    20: LocalCause.CERTIFICATE_UNTRUSTED,  # UNABLE_TO_GET_ISSUER_CERT_LOCALLY
    21: LocalCause.CERTIFICATE_UNTRUSTED,  # UNABLE_TO_VERIFY_LEAF_SIGNATURE
    62: LocalCause.CERTIFICATE_NAME,  # HOSTNAME_MISMATCH
    64: LocalCause.CERTIFICATE_NAME,  # IP_ADDRESS_MISMATCH
}
_UNREACHABLE = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ETIMEDOUT)


def refused(phase: Phase, text: str, cause: LocalCause) -> SessionError:
    """Return the error of an attempt that cannot succeed, or not safely, as it is set up."""
    return SessionError(Attempt(phase, None, text, True, cause))


def attempt_from(
    error: Exception, phase: Phase, connection: Connection, *, has_greeted: bool = True
) -> Attempt:
    """Turn an exception of aiosmtplib, ssl or socket into an attempt that ended in this phase.

    `has_greeted` says whether the server has sent anything yet.
    """
    if isinstance(error, aiosmtplib.SMTPResponseException) and error.code >= 200:
        return Attempt(phase, error.code, _reply(error, phase, connection))
    cause = error.__cause__ if isinstance(error, aiosmtplib.SMTPConnectError) else error
    if isinstance(cause, ssl.SSLError):
        permanent = not isinstance(cause, _PASSING_TLS_ERRORS)
        tls_cause = _tls_cause(cause) if permanent else None
        return Attempt(Phase.TLS, None, _tls(cause, connection), permanent, tls_cause)
    if isinstance(cause, (ValueError, aiosmtplib.SMTPException)) and not _is_link(cause):
        return Attempt(phase, None, str(cause), True, _value_cause(cause, phase, has_greeted))
    text, link_cause = _link(error, cause, connection, has_greeted)
    return Attempt(phase, None, text, cause=link_cause)


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


def _tls_cause(error: ssl.SSLError) -> LocalCause:
    if isinstance(error, ssl.SSLCertVerificationError):
        return _CERTIFICATE_CAUSES.get(error.verify_code, LocalCause.CERTIFICATE_INVALID)
    is_spoken = not any(name in (error.reason or "") for name in _NOT_TLS)
    return LocalCause.TLS_FAILED if is_spoken else LocalCause.TLS_NOT_SPOKEN


def _value_cause(error: BaseException | None, phase: Phase, has_greeted: bool) -> LocalCause | None:
    """Return the cause if the name of the server, or of this machine, is invalid."""
    if phase is not Phase.CONNECT or not isinstance(error, ValueError):
        return None
    is_of_the_host = isinstance(error, UnicodeError) and not has_greeted
    return LocalCause.HOST_NOT_FOUND if is_of_the_host else LocalCause.LOCAL_HOSTNAME


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
) -> tuple[str, LocalCause | None]:
    """Describe the failure of the link, for people and as a cause."""
    where = f"{connection.host}:{connection.port}"
    if isinstance(cause, ConnectionRefusedError):
        text = f"connection refused by {where}: is the server up, are host and port right?"
        return text, LocalCause.CONNECTION_REFUSED
    if isinstance(cause, socket.gaierror):
        is_passing = cause.errno == socket.EAI_AGAIN
        name_cause = LocalCause.NAME_SERVER_SILENT if is_passing else LocalCause.HOST_NOT_FOUND
        return f"host {connection.host!r} was not found: {cause.strerror}", name_cause
    if isinstance(error, aiosmtplib.SMTPTimeoutError):
        text = f"no answer from {where} in {connection.timeout_seconds:g} s"
        if has_greeted or connection.security is Security.TLS:
            return text, LocalCause.NO_REPLY
        text += "; a port that expects TLS from the first byte stays silent too: then set security"
        return f"{text} to tls", LocalCause.NO_GREETING
    if isinstance(error, aiosmtplib.SMTPResponseException):
        return f"{where}: {error}", LocalCause.MALFORMED_REPLY
    is_unreachable = isinstance(cause, OSError) and cause.errno in _UNREACHABLE
    return f"{where}: {cause or error}", LocalCause.HOST_UNREACHABLE if is_unreachable else None
