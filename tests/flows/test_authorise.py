"""Getting a refresh token into a block by the browser, which is played by an HTTP client."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from prefect.settings import PREFECT_API_URL

from blocks import Mailbox, SMTPConnection
from blocks.loading import load_login_block
from deployments.authorise import AuthorisationError, authorisation_page, authorise, main
from mailsluice.core.errors import MailsluiceError
from tests.forked import Forked
from tests.saved_blocks import save
from tests.token_server import TokenServer


@pytest.fixture
def granting() -> Iterator[TokenServer]:
    with TokenServer() as server:
        yield server


class Browser:
    """Opens the page that it is shown, and goes where it is sent."""

    def __init__(self, *, forged: bool = False) -> None:
        self.forged = forged
        self.shown: list[str] = []
        self._pages: list[httpx.Response] = []

    def show(self, text: str) -> None:
        self.shown.append(text)
        self._visit = threading.Thread(target=self._open, args=(text.split()[-1],))
        self._visit.start()

    async def pages(self) -> list[httpx.Response]:
        """Give all pages, once the last one has come."""
        await asyncio.to_thread(self._visit.join)
        return self._pages

    def _open(self, address: str) -> None:
        if self.forged:  # another page of the browser tries to get its own code in
            back = httpx.URL(address).params["redirect_uri"]
            self._pages.append(httpx.get(f"{back}/?code=theirs&state=guessed"))
        self._pages.append(httpx.get(address, follow_redirects=True))


def save_block(
    granting: TokenServer, kind: type[SMTPConnection | Mailbox] = SMTPConnection, **oauth: Any
) -> None:
    given = granting.oauth(**{"refresh_token": None, "scope": "mail", **oauth})
    save(kind(host="mail.example.com", username="mailbox", oauth=given), "gmail")


@pytest.mark.parametrize(
    ("kind", "name", "forged"),
    [(SMTPConnection, "gmail", False), (Mailbox, "mailbox/gmail", True)],
)
async def test_the_refresh_token_goes_into_the_block(
    kind: type[SMTPConnection | Mailbox], name: str, forged: bool, granting: TokenServer
) -> None:
    save_block(granting, kind)
    browser = Browser(forged=forged)
    await authorise(name, show=browser.show)
    token = (await load_login_block(name)).oauth.refresh_token
    assert token is not None
    assert token.get_secret_value() == granting.refresh_token == "refresh-1"
    assert "access_type=offline" in browser.shown[0]
    assert granting.client_secret not in browser.shown[0]
    assert granting.asked[0]["redirect_uri"].startswith("http://localhost:")
    assert [one.status_code for one in await browser.pages()][:-1] == ([404] if forged else [])


async def test_a_person_who_refuses_reads_what_to_do(granting: TokenServer) -> None:
    save_block(granting)
    granting.agrees = False
    with pytest.raises(
        AuthorisationError, match="access_denied: run this command again, and agree"
    ):
        await authorise("gmail", show=Browser().show)


async def test_a_wrong_client_secret_is_reported(granting: TokenServer) -> None:
    save_block(granting, client_secret="mistaken")
    with pytest.raises(MailsluiceError, match="check client ID and client secret") as caught:
        await authorise("gmail", show=Browser().show)
    assert "mistaken" not in str(caught.value)


async def test_a_block_that_is_missing_or_has_no_oauth_is_named(granting: TokenServer) -> None:
    with pytest.raises(MailsluiceError, match="no SMTP Connection block 'nobody'"):
        await authorise("nobody")
    with pytest.raises(MailsluiceError, match="no Mailbox block 'nobody'"):
        await authorise("mailbox/nobody")
    save_block(granting, scope=None)
    with pytest.raises(AuthorisationError, match="lacks a client ID, a token URL or a scope"):
        await authorise("gmail")


def test_the_command_shows_nothing_secret(granting: TokenServer) -> None:
    save_block(granting)
    said: list[str] = []
    with command("gmail") as process:
        assert process.stdout is not None
        for line in process.stdout:
            said.append(line)
            if line.startswith("http"):
                httpx.get(line.strip(), follow_redirects=True)
        assert process.wait() == 0, said
    assert said[-1] == "done: the refresh token is in the block gmail\n"
    shown = "".join(said)
    assert not any(one in shown for one in (granting.client_secret, "refresh-1", "code-"))


def test_the_command_says_what_is_wrong_without_a_stack(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["authorise", "nobody"])
    with pytest.raises(SystemExit) as end:  # with a text for standard error
        main()
    said = str(end.value)
    assert said.startswith("there is no SMTP Connection block 'nobody'")
    assert len(said.splitlines()) == 1


def command(block: str) -> subprocess.Popen[str]:
    """`python -m deployments.authorise`, in a process of its own."""
    return Forked(
        [sys.executable, "-m", "deployments.authorise", block],
        env={**os.environ, "PREFECT_API_URL": str(PREFECT_API_URL.value())},
        stdout=subprocess.PIPE,
    )


@pytest.mark.parametrize(
    ("token_url", "page"),
    [
        ("https://oauth2.googleapis.com/token", "https://accounts.google.com/o/oauth2/v2/auth"),
        (
            "https://login.microsoftonline.com/t/oauth2/v2.0/token",
            "https://login.microsoftonline.com/t/oauth2/v2.0/authorize",
        ),
    ],
)
def test_the_pages_of_google_and_microsoft_are_known(token_url: str, page: str) -> None:
    assert authorisation_page(token_url) == page


def test_the_page_of_another_provider_is_required() -> None:
    with pytest.raises(AuthorisationError, match="--authorization-url"):
        authorisation_page("https://login.example.com/exchange")
