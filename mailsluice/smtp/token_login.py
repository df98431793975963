"""Log in with an access token: XOAUTH2 (Google, Microsoft) or OAUTHBEARER (RFC 7628)."""

from __future__ import annotations

import base64

import aiosmtplib

from mailsluice.core.local_cause import LocalCause
from mailsluice.core.masking import without_secrets
from mailsluice.core.outcome import Attempt, Phase
from mailsluice.smtp.connection import Connection
from mailsluice.smtp.session import SessionError
from mailsluice.smtp.tokens import TokenSource

TOKEN_METHODS = ("xoauth2", "oauthbearer")
_GO_ON, _SUCCESS, _REFUSED = 334, 235, 535


async def log_in_with_token(
    smtp: aiosmtplib.SMTP, method: str, connection: Connection, tokens: TokenSource
) -> None:
    """Log in; if the server refuses the token, try once more with another token.

    A token may be revoked before it expires.

    Raises:
        SMTPAuthenticationError: The server refuses the other token as well.
        SessionError: The token server issues no token.
    """
    token = await tokens.token(connection)
    try:
        await _log_in(smtp, method, connection, token)
    except aiosmtplib.SMTPAuthenticationError as error:
        if error.code != _REFUSED:
            raise
        other = await tokens.token(connection, refused=token)
        try:
            await _log_in(smtp, method, connection, other)
        except aiosmtplib.SMTPServerDisconnected:  # some servers allow one try in a session
            text = f"the server refused the access token and closed the link: {error.message}"
            attempt = Attempt(Phase.LOGIN, None, text, cause=LocalCause.TOKEN_REFUSED)
            raise SessionError(attempt) from None


async def _log_in(smtp: aiosmtplib.SMTP, method: str, connection: Connection, token: str) -> None:
    """Log in. Raises SMTPAuthenticationError, whose message does not contain the token."""
    try:
        await _say(smtp, method, connection, token)
    except aiosmtplib.SMTPAuthenticationError as error:
        words = without_secrets(str(error.message), (token,))
        raise aiosmtplib.SMTPAuthenticationError(error.code, words) from None


async def _say(smtp: aiosmtplib.SMTP, method: str, connection: Connection, token: str) -> None:
    username = connection.username or ""
    if method == "xoauth2":
        await smtp.auth_xoauth2(username, token)
        return
    first = base64.b64encode(bearer_response(username, connection.host, connection.port, token))
    reply = await smtp.execute_command(b"AUTH", b"OAUTHBEARER", first)
    if reply.code == _GO_ON:  # the reason as JSON, before the refusal (RFC 7628 section 3.2.3)
        reply = await smtp.execute_command(base64.b64encode(b"\x01"))
    if reply.code != _SUCCESS:
        raise aiosmtplib.SMTPAuthenticationError(reply.code, reply.message)


def bearer_response(username: str, host: str, port: int, token: str) -> bytes:
    """Return a client's first response (RFC 7628 section 3.1; names as in RFC 5801 section 4)."""
    name = username.replace("=", "=3D").replace(",", "=2C")
    parts = (f"n,a={name},", f"host={host}", f"port={port}", f"auth=Bearer {token}", "", "")
    return "\x01".join(parts).encode()
