"""Logging in to a mailbox with an access token: on a real dovecot, and on one that misbehaves."""

from __future__ import annotations

import asyncio
import base64
import socket
import traceback
from collections.abc import Iterator
from threading import Thread
from typing import Any

import pytest
from imap_tools import BaseMailBox

from mailsluice.bounces import imap, token_login
from mailsluice.bounces.inbox import Inbox
from mailsluice.bounces.mailbox import MailboxAccount
from mailsluice.core.errors import MailboxError
from mailsluice.oauth.client import OAuth
from mailsluice.oauth.sasl import TOKEN_METHODS
from mailsluice.oauth.tokens import Tokens
from mailsluice.operations.probes.watching import Probe, begin, find
from mailsluice.smtp.connection import Security
from tests.integration.dovecot import Dovecot
from tests.token_server import TokenServer, error

pytestmark = pytest.mark.xdist_group("dovecot")  # one dovecot for all, and one mailbox

REASON = b'{"status":"invalid_token","scope":"mail"}'


@pytest.fixture
def granting() -> Iterator[TokenServer]:
    with TokenServer() as server:
        yield server


def given(granting: TokenServer, **oauth: Any) -> dict[str, Any]:
    client = OAuth.model_validate(granting.oauth(**oauth))
    return {"password": "", "name": "mailbox/bounces", "oauth": client}


def mailbox(server: Dovecot, granting: TokenServer, **fields: Any) -> MailboxAccount:
    server.introspection.holds = granting.holds
    return server.mailbox(**given(granting), **fields)


@pytest.fixture(params=TOKEN_METHODS)
def method(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Logs in by each of the two methods, both of which the server offers."""
    monkeypatch.setattr(token_login, "TOKEN_METHODS", (request.param,))


@pytest.mark.parametrize("security", [Security.TLS, Security.STARTTLS])
@pytest.mark.usefixtures("method")
def test_a_token_opens_the_mailbox(
    security: Security, server: Dovecot, granting: TokenServer
) -> None:
    server.put(b"Subject: hi\r\n\r\n")
    with Inbox(mailbox(server, granting, security=security)) as inbox:
        assert len(inbox.waiting()) == 1
    assert granting.handed_out == 1


def test_a_token_that_was_revoked_early_is_replaced_once(
    server: Dovecot, granting: TokenServer
) -> None:
    tokens, account = Tokens(), mailbox(server, granting)
    for _ in range(2):
        Inbox(account, tokens).close()
    assert granting.handed_out == 1
    granting.revoke()
    Inbox(account, tokens).close()
    assert granting.handed_out == 2


@pytest.mark.usefixtures("method")
def test_a_mailbox_that_was_not_authorised_says_what_to_do(
    server: Dovecot, granting: TokenServer
) -> None:
    account = mailbox(server, granting, username="somebody@example.com")
    with pytest.raises(MailboxError) as raised:
        Inbox(account)
    told = "".join(traceback.format_exception(raised.value))
    assert "is the user name the mailbox that was authorised" in told
    assert "python -m deployments.authorise mailbox/bounces" in told
    assert not any(secret in told for secret in ("access-", "refresh-", "s3cret", "@example"))
    assert granting.handed_out == 2


async def test_a_long_wait_for_copies_outlives_a_token(
    server: Dovecot, granting: TokenServer
) -> None:
    granting.rotates = True
    new: list[str] = []
    tokens = Tokens(lambda name, _, token: new.append(f"{name} {token.get_secret_value()}"))
    watches = await begin([Probe("mine", mailbox(server, granting))], tokens)

    async def sleep(_: float) -> None:
        granting.revoke()
        await asyncio.sleep(0)

    assert await find(watches, {"mine": ["a"]}, wait_seconds=2.0, sleep=sleep) == {}
    assert watches[0].trouble == ""
    assert granting.handed_out == 3
    assert new == [f"mailbox/bounces refresh-{number}" for number in (1, 2, 3)]


def test_trouble_of_the_token_server_is_the_mailboxes(
    server: Dovecot, granting: TokenServer
) -> None:
    granting.fails = [error("invalid_grant", description="of jane@example.com"), (503, b"")]
    account = mailbox(server, granting)
    with pytest.raises(MailboxError, match=r"authorise mailbox/bounces`") as raised:
        Inbox(account)
    assert "@example" not in str(raised.value)
    with pytest.raises(MailboxError, match="status 503"):
        Inbox(account)


def _answers(listener: socket.socket, capabilities: bytes, answers: list[bytes]) -> None:
    """An IMAP server that answers the lines of a login with these, one after the other.

    `TAG` is the tag of the command, `LINE` the line that the server was sent.
    """
    with listener.accept()[0] as link, link.makefile("rwb") as file:
        file.write(b"* OK ready\r\n")
        file.flush()
        tag = b""
        for line in file:
            words = line.split()
            if words[1:2] == [b"CAPABILITY"]:
                said = b"* CAPABILITY IMAP4rev1 " + capabilities + b"\r\nTAG OK done\r\n"
                tag = words[0]
            elif words[1:2] == [b"LOGOUT"] or not answers:
                return
            else:
                said = answers.pop(0)
                tag = words[0] if words[1:2] == [b"AUTHENTICATE"] else tag
                said = said.replace(b"LINE", line.strip())
            file.write(said.replace(b"TAG", tag))
            file.flush()
            if b"BYE" in said:
                return


def failure(
    granting: TokenServer, *answers: bytes, capabilities: bytes = b"AUTH=OAUTHBEARER SASL-IR"
) -> str:
    """Fail to log in at a server that gives these answers; return the error as a log shows it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        work = (listener, capabilities, list(answers))
        Thread(target=_answers, args=work, daemon=True).start()
        port = listener.getsockname()[1]
        account = MailboxAccount(
            "127.0.0.1", "joe", port=port, security=Security.NONE, **given(granting)
        )
        with pytest.raises(MailboxError) as raised:
            Inbox(account)
    told = "".join(traceback.format_exception(raised.value))
    assert not any(secret in told for secret in ("access-1", "access-2", "refresh-0"))
    packed = base64.b64encode(b"access-1").decode()
    assert packed[:10] not in told
    return str(raised.value)


ASKS = b"+ \r\n"
GIVES_REASON = b"+ " + base64.b64encode(REASON) + b"\r\n"
REFUSES = b"TAG NO [AUTHENTICATIONFAILED] no\r\n"


@pytest.mark.parametrize(
    ("answers", "words", "exchanges"),
    [
        # refused with a reason, which is answered, twice
        ((ASKS, GIVES_REASON, REFUSES) * 2, 'no {"status":"invalid_token"', 2),
        # the link is closed after the first refusal
        ((ASKS, REFUSES), "fresh access token ([AUTHENTICATIONFAILED] no)", 2),
        # not about the token: no other is asked for
        ((ASKS, b"TAG NO [UNAVAILABLE] later\r\n"), "[UNAVAILABLE] later. The next run", 1),
        ((ASKS, b"* BYE shutting down\r\n"), "socket error: EOF. The next run", 1),
        # the server repeats what it was sent
        ((ASKS, b"TAG NO LINE\r\n") * 2, "<secret>", 2),
        ((ASKS, b"LINE\r\n"), "<secret>", 1),
        # it asks without end, or in no base64
        ((ASKS,) * 9, "asks again and again", 1),
        ((b"+ a\r\n",), "malformed", 1),
        ((b"TAG BAD what?\r\n",) * 2, "BAD", 2),
        # PostgreSQL, where Prefect stores what is said, refuses NUL
        ((ASKS, b"TAG NO a\0b\r\n") * 2, "(a\ufffdb)", 2),
    ],
)
def test_a_login_that_fails_is_described_without_the_token(
    answers: tuple[bytes, ...], words: str, exchanges: int, granting: TokenServer
) -> None:
    assert words in failure(granting, *answers)
    assert granting.handed_out == exchanges


def test_the_link_is_closed_when_the_login_fails(
    granting: TokenServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the server does not answer LOGOUT."""
    boxes: list[BaseMailBox] = []

    def connect(account: MailboxAccount) -> BaseMailBox:
        boxes.append(imap.connect(account))
        return boxes[-1]

    monkeypatch.setattr("mailsluice.bounces.inbox.connect", connect)
    failure(granting, ASKS, REFUSES)
    assert [box.client.sock.fileno() for box in boxes] == [-1]


@pytest.mark.parametrize(
    ("capabilities", "words"),
    [
        (b"AUTH=PLAIN AUTH=LOGIN", "no login with OAuth, only plain, login; Mailsluice knows xoa"),
        (b"", "only a plain login"),
        (b"AUTH=\x1b[31m AUTH=\0", "only a plain login"),
    ],
)
def test_a_server_without_oauth_is_named(
    capabilities: bytes, words: str, granting: TokenServer
) -> None:
    assert words in failure(granting, capabilities=capabilities)
    assert not granting.asked
