"""Open a session: aiosmtplib connects, encrypts and logs in; then a session of ours takes over."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from typing import Any, cast

import aiosmtplib

from mailsluice.core.local_cause import LocalCause
from mailsluice.core.masking import without_secrets
from mailsluice.core.outcome import Attempt, Phase
from mailsluice.oauth.sasl import TOKEN_METHODS
from mailsluice.oauth.tokens import Tokens, TokenSource
from mailsluice.smtp.chunked import ChunkedSession
from mailsluice.smtp.commands import Hello, Offer
from mailsluice.smtp.connection import Connection, Security
from mailsluice.smtp.dkim.signing import signer_of
from mailsluice.smtp.link import Link
from mailsluice.smtp.pipelined import PipelinedSession
from mailsluice.smtp.replies import ReplyParser
from mailsluice.smtp.sequential import SequentialSession
from mailsluice.smtp.session import Session, SessionError
from mailsluice.smtp.token_login import log_in_with_token
from mailsluice.smtp.trouble import attempt_from, refused

_ENCRYPTED_METHODS = ("plain", "login", "cram-md5")
_SECRET_METHODS = ("cram-md5",)
_NEXT_METHOD = frozenset((500, 501, 502, 503, 504, 534))
"""Replies about the login method, rather than user and password."""


class _Client(aiosmtplib.SMTP):
    """An SMTP client that remembers the method of its login."""

    login_method: str | None = None

    async def execute_command(self, *args: bytes, **options: Any) -> aiosmtplib.SMTPResponse:
        if args[0] == b"AUTH":
            self.login_method = args[1].decode()
        return await super().execute_command(*args, **options)


class Opening:
    """The steps of opening a session, to be called in order.

    Each step raises SessionError with the phase that failed: CONNECT, TLS or LOGIN. Certificates
    are verified, unless a `context` says otherwise.
    """

    def __init__(
        self,
        connection: Connection,
        context: ssl.SSLContext | None = None,
        tokens: TokenSource | None = None,
    ) -> None:
        self._connection = connection
        self._tokens = tokens
        context = context or _trusted(connection)
        with _phase(Phase.CONNECT, connection):  # for an invalid local_hostname
            self.smtp = _Client(
                hostname=connection.host,
                port=connection.port,
                use_tls=connection.security is Security.TLS,
                start_tls=False,
                tls_context=context,
                local_hostname=connection.local_hostname,
                timeout=connection.timeout_seconds,
            )

    async def connect(self, sock: socket.socket | None = None) -> None:
        """Connect, encrypt if security is "tls", and read the greeting.

        `sock` is a socket that is connected already, if there is one.
        """
        port = None if sock else self._connection.port
        with _phase(Phase.CONNECT, self._connection, has_greeted=False):
            await self.smtp.connect(sock=sock, port=port)

    async def greet(self) -> None:
        """Send EHLO, to learn what the server offers."""
        with _phase(Phase.CONNECT, self._connection):
            await self.smtp.ehlo()

    async def encrypt(self) -> None:
        """Send STARTTLS and another EHLO, if security is "starttls"."""
        if self._connection.security is Security.STARTTLS:
            await _start_tls(self.smtp, self._connection)

    @property
    def encryption(self) -> ssl.SSLObject | None:
        """The TLS object of the link, if the link is encrypted."""
        with _phase(Phase.TLS, self._connection):
            tls: ssl.SSLObject | None = self.smtp.get_transport_info("ssl_object")
        return tls

    async def log_in(self) -> str | None:
        """Log in, if the connection has a user name; return the method that was used."""
        await _log_in(self.smtp, self._connection, self._tokens)
        return self.smtp.login_method

    def session(self) -> Session:
        """Return the session, ready to send."""
        return _take_over(self.smtp, self._connection)

    async def quit(self) -> None:
        """Send QUIT when no session was made; the server's answer is ignored."""
        with suppress(aiosmtplib.SMTPException, OSError):
            await self.smtp.quit()

    def close(self) -> None:
        """Drop the link at once."""
        self.smtp.close()


async def open_session(connection: Connection, tokens: TokenSource | None = None) -> Session:
    """Connect, encrypt and log in; return a session that is ready to send.

    The session is pipelined if the server offers PIPELINING (RFC 2920), else sequential. It is
    chunked if the server offers CHUNKING as well (RFC 3030), and the connection asks for several
    messages in flight.

    Args:
        connection: The connection.
        tokens: The access tokens that the connection's sessions share, for OAuth.

    Raises:
        SessionError: A step failed; the error has the phase CONNECT, TLS or LOGIN.
    """
    opening = Opening(connection, tokens=tokens)
    try:
        await opening.connect()
        await opening.greet()
        await opening.encrypt()
        await opening.log_in()
        return opening.session()
    except BaseException:
        opening.close()
        raise


def _trusted(connection: Connection) -> ssl.SSLContext:
    try:
        return _tls_context(connection.ca_file)
    except OSError as error:  # includes ssl.SSLError
        reason = getattr(error, "reason", None) or error.strerror
        text = f"ca_file {connection.ca_file!r} holds no readable certificate: {reason}"
        raise refused(Phase.TLS, text, LocalCause.CA_FILE) from error


@lru_cache(maxsize=16)
def _tls_context(ca_file: str | None) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=ca_file)


async def _start_tls(smtp: aiosmtplib.SMTP, connection: Connection) -> None:
    with _phase(Phase.TLS, connection):
        if not smtp.supports_extension("starttls"):
            raise refused(
                Phase.TLS,
                f"{connection.host}:{connection.port} offers no STARTTLS: set security to tls, or "
                "to none for a server on a trusted network",
                LocalCause.STARTTLS_NOT_OFFERED,
            )
        await smtp.starttls()
        await smtp.ehlo()


async def _log_in(
    smtp: aiosmtplib.SMTP, connection: Connection, tokens: TokenSource | None = None
) -> None:
    """Log in (RFC 4954). After a wrong password, no other method is tried, so it counts once."""
    if connection.username is None:
        return
    if connection.oauth.is_used:
        with _phase(Phase.LOGIN, connection):
            method = _methods(smtp, connection)[0]
            await log_in_with_token(smtp, method, connection, tokens or Tokens())
        return
    user, password = connection.username, connection.password or ""
    refusal: aiosmtplib.SMTPAuthenticationError | None = None
    with _phase(Phase.LOGIN, connection):
        for method in _methods(smtp, connection):
            log_in = getattr(smtp, f"auth_{method.replace('-', '')}")
            try:
                await log_in(user, password)
            except aiosmtplib.SMTPAuthenticationError as error:
                if error.code not in _NEXT_METHOD:
                    raise
                refusal = error
            else:
                return
        if refusal is not None:
            raise refusal


def _methods(smtp: aiosmtplib.SMTP, connection: Connection) -> list[str]:
    """Return the login methods that both sides know, and that reveal no secret to a listener."""
    encrypted = connection.security is not Security.NONE
    safe = encrypted or connection.allow_plain_password
    known: tuple[str, ...]
    if connection.oauth.is_used:
        secret, known = "access token", TOKEN_METHODS if safe else ()
    else:
        secret, known = "password", _ENCRYPTED_METHODS if safe else _SECRET_METHODS
    methods = [method for method in known if method in smtp.server_auth_methods]
    if methods:
        return methods
    if not safe:
        raise refused(
            Phase.LOGIN,
            f"the {secret} would cross an unencrypted link: set security to starttls or tls, or "
            "allow_plain_password for a trusted network",
            LocalCause.UNENCRYPTED_LOGIN,
        )
    offered = ", ".join(smtp.server_auth_methods)
    cause = LocalCause.LOGIN_METHODS_UNKNOWN if offered else LocalCause.LOGIN_NOT_OFFERED
    hint = "" if encrypted else "; many servers offer a login only when security is starttls or tls"
    raise refused(
        Phase.LOGIN,
        f"the server offers {offered or 'no login at all'}; Mailsluice knows {', '.join(known)}:"
        f" clear the user name if the server needs no login{hint}",
        cause,
    )


@contextmanager
def _phase(phase: Phase, connection: Connection, *, has_greeted: bool = True) -> Iterator[None]:
    """Turn errors into a SessionError of this phase.

    A server may repeat the password. Logs show an error with its cause, so neither contains it.
    """
    try:
        yield
    except (aiosmtplib.SMTPException, OSError, ValueError) as error:
        attempt = attempt_from(error, phase, connection, has_greeted=has_greeted)
        if phase is not Phase.LOGIN:
            raise SessionError(attempt) from error
        text = without_secrets(attempt.text, connection.secrets())
        raise SessionError(attempt._replace(text=text)) from None


def _hello(smtp: aiosmtplib.SMTP) -> Hello:
    """Return the EHLO, with the server's name as the link reads it in a later reply."""
    message = smtp.last_ehlo_response.message if smtp.last_ehlo_response else ""
    line = message.partition("\n")[0].encode("utf-8", "surrogateescape")
    (reply,) = ReplyParser().feed(b"250 %b\n" % line)
    words = reply.text.split(None, 1)
    return Hello(f"EHLO {smtp.local_hostname}\r\n".encode(), "".join(words[:1]))


def _take_over(smtp: aiosmtplib.SMTP, connection: Connection) -> Session:
    offer = Offer.from_extensions(smtp.esmtp_extensions, _hello(smtp))
    if smtp.transport is None:
        raise SessionError(Attempt(Phase.LOGIN, None, "the server closed the link after the login"))
    transport = cast("asyncio.Transport", smtp.transport)
    seconds, messages = connection.timeout_seconds, connection.messages_per_session
    signer, in_flight = signer_of(connection.dkim), connection.messages_in_flight
    if offer.pipelining and offer.chunking and in_flight > 1:
        return ChunkedSession(transport, offer, seconds, messages, in_flight, signer)
    kind = PipelinedSession if offer.pipelining else SequentialSession
    return kind(Link(transport, seconds), offer, seconds, messages, signer)
