"""Ask a token server for an access token (RFC 6749 section 6)."""

from __future__ import annotations

import ssl
import warnings
from dataclasses import dataclass, field
from typing import Any

from mailsluice.core.local_cause import LocalCause
from mailsluice.oauth.client import OAuth, OAuthLogin
from mailsluice.oauth.trouble import TOO_MANY, authorise, named, refused

_DEFAULT_SECONDS = 3_600.0
"""The lifetime of a token if the server does not give it (it should, RFC 6749 section 5.1)."""


@dataclass(frozen=True, slots=True)
class Grant:
    """The tokens that a token server issued."""

    access_token: str = field(repr=False)
    seconds: float
    """The lifetime of the access token."""
    refresh_token: str | None = field(default=None, repr=False)
    """A new refresh token, if the server replaced the one that was used."""


def oauth_client(oauth: OAuth, ca_file: str | None, **options: Any) -> Any:
    """Return an Authlib AsyncOAuth2Client for a provider; use it as a context manager.

    The client's secret is sent in the body, since servers disagree about its encoding in a header
    (RFC 6749 section 2.3.1). Certificates are verified against the CAs of the system and of
    `ca_file`.
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
    with warnings.catch_warnings():  # Authlib recommends httpx2; Prefect has httpx
        from authlib.deprecate import AuthlibDeprecationWarning

        warnings.simplefilter("ignore", AuthlibDeprecationWarning)
        from authlib.integrations import httpx_client
    return httpx_client


def _passing(response: Any) -> Any:
    """Raise for the status of a busy server, whose JSON Authlib would take for a refusal."""
    if response.status_code == TOO_MANY:
        response.raise_for_status()
    return response


async def ask(oauth: OAuth, login: OAuthLogin) -> Grant:
    """Exchange the refresh token for an access token.

    `oauth` is the login's client with the refresh token to use. Raises TokenError.
    """
    if oauth.refresh_token is None:
        text = f"there is no refresh token yet: {authorise(login)}"
        raise refused(text, LocalCause.TOKEN_REFUSED)
    used = oauth.refresh_token.get_secret_value()
    seconds = login.timeout_seconds
    try:
        async with oauth_client(oauth, login.ca_file, timeout=seconds) as client:
            return _grant(await client.refresh_token(oauth.token_url, refresh_token=used), used)
    except Exception as error:
        if trouble := named(error, oauth, login):
            raise trouble from None  # since the cause may contain secrets
        raise


def _grant(reply: dict[str, Any], used: str) -> Grant:
    token, seconds = reply.get("access_token"), reply.get("expires_in")
    if not isinstance(token, str) or not token or not token.isprintable():
        raise ValueError("no access token in it")
    given = reply.get("refresh_token")
    rotated = given if isinstance(given, str) and given and given != used else None
    return Grant(token, _DEFAULT_SECONDS if seconds is None else float(seconds), rotated)
