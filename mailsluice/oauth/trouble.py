"""Errors of a token server, with the next step."""

from __future__ import annotations

import ssl
from typing import Any
from urllib.parse import urlsplit

from mailsluice.core.errors import MailsluiceError
from mailsluice.core.local_cause import LocalCause
from mailsluice.core.masking import masked, without_secrets
from mailsluice.core.outcome import Attempt, Phase
from mailsluice.oauth.client import OAuth, OAuthLogin

TOO_MANY, _SERVERS_TROUBLE = 429, 500
_MOST_TEXT = 300


class TokenError(MailsluiceError):
    """Failure to get an access token for a login.

    `attempt` says why, and whether the trouble passes. The message has no addresses and no secrets.
    """

    def __init__(self, attempt: Attempt) -> None:
        self.attempt = attempt
        super().__init__(masked(attempt.text))


def named(error: Exception, oauth: OAuth, login: OAuthLogin) -> TokenError | None:
    """Turn an error of a token server into a TokenError (RFC 6749 section 5.2).

    None if the error is not from a token server.
    """
    import httpx
    from authlib.integrations.base_client import OAuthError

    where = f"the token server {urlsplit(oauth.token_url or '').hostname}"
    if isinstance(error, OAuthError):
        return _refusal(error, where, oauth, login)
    if isinstance(error, httpx.HTTPStatusError):
        return _status(error.response.status_code, where)
    if isinstance(error, httpx.RequestError):
        return _link(error, where, login)
    if isinstance(error, (ValueError, TypeError)):
        return _passes(f"{where} gave a malformed reply: is token_url in the OAuth box right?")
    return None


def _refusal(error: Any, where: str, oauth: OAuth, login: OAuthLogin) -> TokenError:
    code, cause = str(error.error), LocalCause.TOKEN_SERVER
    if code in ("temporarily_unavailable", "server_error"):
        return _passes(f"{where} says {code}: this usually passes")
    if code in ("invalid_grant", "interaction_required", "consent_required"):
        cause = LocalCause.TOKEN_REFUSED
        advice = f"the refresh token was revoked or has run out: {authorise(login)}"
    elif code in ("invalid_client", "unauthorized_client"):
        advice = "check client ID and client secret in the block's OAuth box"
    elif code == "invalid_scope":
        advice = "check the scope in the block's OAuth box"
    else:
        advice = "check the block's OAuth box"
    words = _words(code, error.description, oauth)
    return refused(f"{where} says {words}: {advice}", cause)


def _words(code: str, description: object, oauth: OAuth) -> str:
    """Return the server's words, shortened, without secrets and NUL, which PostgreSQL refuses."""
    text = (f"{code} ({description})" if description else code).replace("\0", "\ufffd")
    text = " ".join(without_secrets(text, oauth.secrets()).split())
    return text if len(text) <= _MOST_TEXT else text[:_MOST_TEXT] + " ..."


def authorise(login: OAuthLogin) -> str:
    """Return the next step for a login without a valid refresh token."""
    return (
        f"authorise it with `python -m deployments.authorise {login.name}`, or put a new "
        "refresh token into the block's OAuth box, then Retry the run"
    )


def _status(status: int, where: str) -> TokenError:
    if status == TOO_MANY or status >= _SERVERS_TROUBLE:
        return _passes(f"{where} answers with status {status}: this usually passes")
    return refused(
        f"{where} answers with status {status} and no reason: is token_url in the OAuth box right?",
        LocalCause.TOKEN_SERVER,
    )


def _link(error: Exception, where: str, login: OAuthLogin) -> TokenError:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            reason = cause.verify_message.rstrip(".")
            text = f"the certificate of {where} does not verify: {reason}"
            return refused(text, LocalCause.TOKEN_SERVER)
        cause = cause.__cause__ or cause.__context__
    kind = type(error).__name__
    if "Timeout" in kind:
        return _passes(f"no answer from {where} in {login.timeout_seconds:g} s")
    return _passes(f"{where} cannot be reached ({kind}): is it up, is token_url right?")


def refused(text: str, cause: LocalCause) -> TokenError:
    """Return the error of a login that cannot succeed as it is set up."""
    return TokenError(Attempt(Phase.LOGIN, None, text, True, cause))


def _passes(text: str) -> TokenError:
    return TokenError(Attempt(Phase.LOGIN, None, text, cause=LocalCause.TOKEN_SERVER))
