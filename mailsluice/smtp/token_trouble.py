"""Describe errors of a token server, with the next step."""

from __future__ import annotations

import ssl
from typing import Any
from urllib.parse import urlsplit

from mailsluice.core.local_cause import LocalCause
from mailsluice.core.masking import without_secrets
from mailsluice.core.outcome import Attempt, Phase
from mailsluice.smtp.connection import Connection
from mailsluice.smtp.oauth import OAuth
from mailsluice.smtp.session import SessionError
from mailsluice.smtp.trouble import refused

TOO_MANY, _SERVERS_TROUBLE = 429, 500
_MOST_TEXT = 300


def named(error: Exception, oauth: OAuth, connection: Connection) -> SessionError | None:
    """Turn an error of a token server into a SessionError (RFC 6749 section 5.2).

    Its attempt says whether the connection is down, or the trouble passes. None if the error is not
    from a token server.
    """
    import httpx
    from authlib.integrations.base_client import OAuthError

    where = f"the token server {urlsplit(oauth.token_url or '').hostname}"
    if isinstance(error, OAuthError):
        return _refusal(error, where, oauth, connection)
    if isinstance(error, httpx.HTTPStatusError):
        return _status(error.response.status_code, where)
    if isinstance(error, httpx.RequestError):
        return _link(error, where, connection)
    if isinstance(error, (ValueError, TypeError)):
        return _passes(f"{where} gave a malformed reply: is token_url in the oauth box right?")
    return None


def _refusal(error: Any, where: str, oauth: OAuth, connection: Connection) -> SessionError:
    code, cause = str(error.error), LocalCause.TOKEN_SERVER
    if code in ("temporarily_unavailable", "server_error"):
        return _passes(f"{where} says {code}: it is tried again")
    if code in ("invalid_grant", "interaction_required", "consent_required"):
        cause = LocalCause.TOKEN_REFUSED
        advice = f"the refresh token was revoked or has run out: {authorise(connection)}"
    elif code in ("invalid_client", "unauthorized_client"):
        advice = "check client ID and client secret in the block's oauth box"
    elif code == "invalid_scope":
        advice = "check the scope in the block's oauth box"
    else:
        advice = "check the block's oauth box"
    words = _words(code, error.description, oauth)
    return refused(Phase.LOGIN, f"{where} says {words}: {advice}", cause)


def _words(code: str, description: object, oauth: OAuth) -> str:
    """Return the server's words, shortened and without secrets."""
    text = f"{code} ({description})" if description else code
    text = " ".join(without_secrets(text, oauth.secrets()).split())
    return text if len(text) <= _MOST_TEXT else text[:_MOST_TEXT] + " ..."


def authorise(connection: Connection) -> str:
    """Return the next step for a connection without a valid refresh token."""
    return (
        f"authorise it with `python -m deployments.authorise {connection.name}`, or put a new "
        "refresh token into the block's oauth box, then Retry the run"
    )


def _status(status: int, where: str) -> SessionError:
    if status == TOO_MANY or status >= _SERVERS_TROUBLE:
        return _passes(f"{where} answers with status {status}: it is tried again")
    return refused(
        Phase.LOGIN,
        f"{where} answers with status {status} and no reason: is token_url in the oauth box right?",
        LocalCause.TOKEN_SERVER,
    )


def _link(error: Exception, where: str, connection: Connection) -> SessionError:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            reason = cause.verify_message.rstrip(".")
            text = f"the certificate of {where} does not verify: {reason}"
            return refused(Phase.LOGIN, text, LocalCause.TOKEN_SERVER)
        cause = cause.__cause__ or cause.__context__
    kind = type(error).__name__
    if "Timeout" in kind:
        return _passes(f"no answer from {where} in {connection.timeout_seconds:g} s")
    return _passes(f"{where} cannot be reached ({kind}): is it up, is token_url right?")


def _passes(text: str) -> SessionError:
    return SessionError(Attempt(Phase.LOGIN, None, text, cause=LocalCause.TOKEN_SERVER))
