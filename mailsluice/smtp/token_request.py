"""Asking a token server for an access token (RFC 6749 section 6), and what its refusals mean."""

from __future__ import annotations

import ssl
import warnings
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from mailsluice.outcome import Attempt, Phase
from mailsluice.smtp.connection import Connection
from mailsluice.smtp.oauth import OAuth
from mailsluice.smtp.session import SessionError
from mailsluice.smtp.trouble import refused

_TOO_MANY, _SERVERS_TROUBLE = 429, 500
_DEFAULT_SECONDS = 3_600.0
"""How long a token holds whose server does not say (it should, RFC 6749 section 5.1)."""
_MOST_TEXT = 300


@dataclass(frozen=True, slots=True)
class Grant:
    """What a token server gave."""

    access_token: str = field(repr=False)
    seconds: float
    """How long it holds."""
    refresh_token: str | None = field(default=None, repr=False)
    """A new one, where the server has replaced the one that it was asked with."""


def oauth_client(oauth: OAuth, ca_file: str | None, **options: Any) -> Any:
    """An Authlib AsyncOAuth2Client for this client of a provider; a context manager.

    The secret goes into the body: in a header its encoding is a matter of dispute (RFC 6749 section
    2.3.1). Certificates are verified against the system's CAs and those of `ca_file`.
    """
    library = _library()
    trusted = ssl.create_default_context()
    if ca_file:
        trusted.load_verify_locations(ca_file)
    secret = oauth.client_secret.get_secret_value() if oauth.client_secret else None
    client = library.AsyncOAuth2Client(
        client_id=oauth.client_id,
        client_secret=secret,
        token_endpoint_auth_method="client_secret_post" if secret else "none",
        scope=oauth.scope,
        verify=trusted,
        **options,
    )
    for hook in ("access_token_response", "refresh_token_response"):
        client.register_compliance_hook(hook, _passing)
    return client


def _library() -> Any:
    with warnings.catch_warnings():  # it says that it would rather have httpx2; Prefect has httpx
        from authlib.deprecate import AuthlibDeprecationWarning

        warnings.simplefilter("ignore", AuthlibDeprecationWarning)
        from authlib.integrations import httpx_client
    return httpx_client


def _passing(response: Any) -> Any:
    """A server that is busy may say so in JSON, which Authlib takes for a refusal."""
    if response.status_code == _TOO_MANY:
        response.raise_for_status()
    return response


async def ask(oauth: OAuth, connection: Connection) -> Grant:
    """Exchange the refresh token. Raises SessionError: down, or trouble that passes."""
    if oauth.refresh_token is None:
        raise refused(Phase.LOGIN, f"there is no refresh token yet: {_authorise(connection)}")
    used = oauth.refresh_token.get_secret_value()
    seconds = connection.timeout_seconds
    try:
        async with oauth_client(oauth, connection.ca_file, timeout=seconds) as client:
            return _grant(await client.refresh_token(oauth.token_url, refresh_token=used), used)
    except Exception as error:
        if trouble := named(error, oauth, connection):
            raise trouble from None  # the cause may hold what must not be shown
        raise


def _grant(reply: dict[str, Any], used: str) -> Grant:
    token, seconds = reply.get("access_token"), reply.get("expires_in")
    if not isinstance(token, str) or not token or not token.isprintable():
        raise ValueError("no access token in it")
    given = reply.get("refresh_token")
    rotated = given if isinstance(given, str) and given and given != used else None
    return Grant(token, _DEFAULT_SECONDS if seconds is None else float(seconds), rotated)


def named(error: Exception, oauth: OAuth, connection: Connection) -> SessionError | None:
    """What went wrong with the token server, said so that somebody can act on it.

    None for what is no failure of a token server.
    """
    import httpx

    where = f"the token server {urlsplit(oauth.token_url or '').hostname}"
    if isinstance(error, _library().OAuthError):
        return _refusal(error, where, oauth, connection)
    if isinstance(error, httpx.HTTPStatusError):
        return _status(error.response.status_code, where)
    if isinstance(error, httpx.RequestError):
        return _link(error, where, connection)
    if isinstance(error, (ValueError, TypeError)):
        return _passes(f"{where} gave a malformed reply: is token_url in the oauth box right?")
    return None


def _refusal(error: Any, where: str, oauth: OAuth, connection: Connection) -> SessionError:
    code = str(error.error)
    if code in ("temporarily_unavailable", "server_error"):
        return _passes(f"{where} says {code}: it is tried again")
    if code in ("invalid_grant", "interaction_required", "consent_required"):
        advice = f"the refresh token was revoked or has run out: {_authorise(connection)}"
    elif code in ("invalid_client", "unauthorized_client"):
        advice = "check client ID and client secret in the block's oauth box"
    elif code == "invalid_scope":
        advice = "check the scope in the block's oauth box"
    else:
        advice = "check the block's oauth box"
    return refused(Phase.LOGIN, f"{where} says {_told(code, error.description, oauth)}: {advice}")


def _told(code: str, description: object, oauth: OAuth) -> str:
    """The server's words, shortened, without what we had told it."""
    text = f"{code} ({description})" if description else code
    for secret in oauth.secrets():
        text = text.replace(secret, "(secret)")
    text = " ".join(text.split())
    return text if len(text) <= _MOST_TEXT else text[:_MOST_TEXT] + " ..."


def _authorise(connection: Connection) -> str:
    return (
        f"authorise it with `python -m deployments.authorise {connection.name}`, or put a new "
        "refresh token into the block's oauth box, then Retry the run"
    )


def _status(status: int, where: str) -> SessionError:
    if status == _TOO_MANY or status >= _SERVERS_TROUBLE:
        return _passes(f"{where} answers with status {status}: it is tried again")
    return refused(
        Phase.LOGIN,
        f"{where} answers with status {status} and no reason: is token_url in the oauth box right?",
    )


def _link(error: Exception, where: str, connection: Connection) -> SessionError:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            reason = cause.verify_message.rstrip(".")
            return refused(Phase.LOGIN, f"the certificate of {where} does not verify: {reason}")
        cause = cause.__cause__ or cause.__context__
    kind = type(error).__name__
    if "Timeout" in kind:
        return _passes(f"no answer from {where} in {connection.timeout_seconds:g} s")
    return _passes(f"{where} cannot be reached ({kind}): is it up, is token_url right?")


def _passes(text: str) -> SessionError:
    return SessionError(Attempt(Phase.LOGIN, None, text))
