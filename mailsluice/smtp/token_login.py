"""Log in with an access token: XOAUTH2 (Google, Microsoft) or OAUTHBEARER (RFC 7628)."""

from __future__ import annotations

import base64

import aiosmtplib

from mailsluice.core.local_cause import LocalCause
from mailsluice.core.masking import without_secrets
from mailsluice.core.outcome import Attempt, Phase
from mailsluice.oauth.sasl import AFTER_REASON, first_response
from mailsluice.oauth.tokens import TokenSource
from mailsluice.oauth.trouble import TokenError
from mailsluice.smtp.connection import Connection
from mailsluice.smtp.session import SessionError

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
    token = await _token(tokens, connection)
    try:
        await _log_in(smtp, method, connection, token)
    except aiosmtplib.SMTPAuthenticationError as error:
        if error.code != _REFUSED:
            raise
        other = await _token(tokens, connection, refused=token)
        try:
            await _log_in(smtp, method, connection, other)
        except aiosmtplib.SMTPServerDisconnected:  # some servers allow one try in a session
            text = f"the server refused the access token and closed the link: {error.message}"
            attempt = Attempt(Phase.LOGIN, None, text, cause=LocalCause.TOKEN_REFUSED)
            raise SessionError(attempt) from None


async def _token(tokens: TokenSource, connection: Connection, refused: str | None = None) -> str:
    try:
        return await tokens.token(connection, refused)
    except TokenError as error:
        raise SessionError(error.attempt) from None


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
    first = first_response(method, username, connection.host, connection.port, token)
    reply = await smtp.execute_command(b"AUTH", b"OAUTHBEARER", base64.b64encode(first))
    if reply.code == _GO_ON:  # with the reason of the refusal
        reply = await smtp.execute_command(base64.b64encode(AFTER_REASON[method]))
    if reply.code != _SUCCESS:
        raise aiosmtplib.SMTPAuthenticationError(reply.code, reply.message)
