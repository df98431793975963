"""`python -m deployments.authorise <block>`: authorise a login for a mailbox in the browser.

Uses the authorization code grant of a native application, with PKCE, on loopback (RFC 8252,
RFC 7636). The resulting refresh token goes into the block's OAuth box; no secret is shown.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Callable
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, cast
from urllib.parse import parse_qsl, urlsplit

from authlib.common.security import generate_token
from pydantic import SecretStr

from blocks import Mailbox, SMTPConnection
from blocks.loading import load_login_block
from mailsluice.core.errors import MailsluiceError
from mailsluice.oauth.client import OAuthLogin
from mailsluice.oauth.request import oauth_client
from mailsluice.oauth.trouble import named

_WAIT_SECONDS = 300.0
_GOOGLE = {"oauth2.googleapis.com": "https://accounts.google.com/o/oauth2/v2/auth"}


_tell = partial(print, flush=True)


class AuthorisationError(MailsluiceError):
    """The authorisation gave no refresh token."""


def main() -> None:
    """Authorise one login."""
    parser = argparse.ArgumentParser(prog="python -m deployments.authorise", description=__doc__)
    parser.add_argument(
        "block",
        help="an SMTP Connection block by its name, or a Mailbox block as mailbox/NAME",
    )
    parser.add_argument(
        "--authorization-url", help="the page, for providers other than Google and Microsoft"
    )
    parser.add_argument(
        "--port", type=int, default=0, help="the local port that the browser returns to"
    )
    given = parser.parse_args()
    try:
        asyncio.run(authorise(given.block, given.authorization_url, given.port))
    except MailsluiceError as error:
        raise SystemExit(str(error)) from None
    print(f"done: the refresh token is in the block {given.block}")


async def authorise(
    name: str,
    authorization_url: str | None = None,
    port: int = 0,
    show: Callable[[str], None] = _tell,
) -> None:
    """Show the provider's page, wait for the answer, exchange it, save the refresh token.

    Raises MailsluiceError, whose message says what to do.
    """
    block = await _block(name)
    url = authorization_url or authorisation_page(block.oauth.token_url or "")
    verifier = generate_token(64)
    with _Answers(("127.0.0.1", port), _Page) as answers:
        client = oauth_client(
            block.oauth,
            block.ca_file,
            redirect_uri=f"http://localhost:{answers.server_port}",
            code_challenge_method="S256",
        )
        async with client:
            address, answers.state = client.create_authorization_url(
                url,
                code_verifier=verifier,
                access_type="offline",  # Google gives a refresh token only with these two
                prompt="consent",
                login_hint=block.username,
            )
            show(f"Open this page in a browser, and log in as the mailbox:\n\n{address}\n")
            code = await asyncio.to_thread(answers.code)
            token = await _exchanged(client, block, name, code=code, code_verifier=verifier)
    await block.keep_refresh_token(SecretStr(token))


async def _block(name: str) -> SMTPConnection | Mailbox:
    block = await load_login_block(name)
    if not block.oauth.is_used or not block.oauth.scope:
        raise AuthorisationError(
            f"the block {name!r} lacks a client ID, a token URL or a scope: fill in its OAuth box"
        )
    return block


def authorisation_page(token_url: str) -> str:
    """The provider's consent page: Google's, or a page beside the token URL as with Microsoft."""
    known = _GOOGLE.get(urlsplit(token_url).hostname or "")
    if known is None and not token_url.endswith("/token"):
        raise AuthorisationError(
            "this provider's page is not known: give it with --authorization-url"
        )
    return known or token_url.removesuffix("token") + "authorize"


async def _exchanged(client: Any, block: SMTPConnection | Mailbox, name: str, **given: str) -> str:
    try:
        reply = await client.fetch_token(block.oauth.token_url, **given)
    except Exception as error:
        if trouble := named(error, block.oauth, _login(block, name)):
            raise trouble from None
        raise
    token = reply.get("refresh_token")
    if not isinstance(token, str):
        raise AuthorisationError(
            "the provider gave no refresh token: with Microsoft the scope needs offline_access"
        )
    return token


def _login(block: SMTPConnection | Mailbox, name: str) -> OAuthLogin:
    if isinstance(block, SMTPConnection):
        return block.to_connection(name)
    return block.to_mailbox(name.rpartition("/")[2])


class _Answers(HTTPServer):
    """The page that the provider sends the browser back to."""

    state = ""
    answer: dict[str, str] | None = None

    def code(self) -> str:
        """Wait for the answer that belongs to our question (RFC 6749 section 10.12)."""
        deadline = time.monotonic() + _WAIT_SECONDS
        while self.answer is None:
            self.timeout = deadline - time.monotonic()
            if self.timeout <= 0:
                raise AuthorisationError(
                    "the provider sent no answer within five minutes: run this command again"
                )
            self.handle_request()
        if "code" not in self.answer:
            reason = self.answer.get("error", "nothing")
            raise AuthorisationError(
                f"the provider says {reason}: run this command again, and agree"
            )
        return self.answer["code"]


class _Page(BaseHTTPRequestHandler):
    timeout = 5.0  # browsers open links that they do not use

    def do_GET(self) -> None:
        answers = cast("_Answers", self.server)
        query = dict(parse_qsl(urlsplit(self.path).query))
        is_ours = query.get("state") == answers.state
        if is_ours:
            answers.answer = query
        text = b"Done: you can close this page." if is_ours else b"Not what was asked for."
        self.send_response(200 if is_ours else 404)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: object) -> None:
        """Log nothing, because the request holds the code."""


if __name__ == "__main__":
    main()
