"""Logging in with OAuth, with a real token server and a real mail server that checks tokens."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from mailsluice.core.outcome import Phase, Trouble, classify
from mailsluice.oauth.client import OAuth
from mailsluice.oauth.tokens import Tokens
from mailsluice.smtp.connection import Connection, Security
from mailsluice.smtp.login import open_session
from mailsluice.smtp.session import SessionError
from tests.integration.smtp_fixtures import (
    LOOPS,
    Certificates,
    connection_to,
    deliver,
    envelopes,
    run,
    secured,
)
from tests.smtpd import DROP, Fault, Settings, SmtpServer, Stage
from tests.token_server import Reply, TokenServer, error

USER = "jane,=@example.com"


@pytest.fixture
def granting() -> Iterator[TokenServer]:
    with TokenServer() as server:
        yield server


def settings(granting: TokenServer, *methods: str, **fields: Any) -> Settings:
    """Return a mail server that accepts the tokens of a token server."""
    return Settings(
        auth_methods=methods or ("LOGIN", "PLAIN", "XOAUTH2"), token_holds=granting.holds, **fields
    )


def connection(server: SmtpServer, granting: TokenServer, **fields: Any) -> Connection:
    oauth = fields.pop("oauth", {})
    defaults = {"username": USER, "allow_plain_password": True}
    given = OAuth.model_validate(granting.oauth(**oauth))
    return connection_to(server, oauth=given, **{**defaults, **fields})


def failure(target: Connection) -> SessionError:
    _, ended = deliver(target, envelopes("a"))
    assert ended is not None
    return ended


@pytest.mark.parametrize("loop", list(LOOPS))
@pytest.mark.parametrize("method", ["XOAUTH2", "OAUTHBEARER"])
def test_each_method_logs_in_over_tls(method: str, loop: str, certificates: Certificates) -> None:
    tls = certificates.context()
    with TokenServer(tls=tls) as granting:
        offer = {"auth_methods": (method,), "token_holds": granting.holds}
        with SmtpServer(secured(offer, Security.STARTTLS, certificates)) as server:
            target = connection(
                server,
                granting,
                security=Security.STARTTLS,
                ca_file=certificates.ca_file,
                allow_plain_password=False,
                oauth={"scope": "https://mail.example/send"},
            )
            _, ended = deliver(target, envelopes("a"), loop)
            assert ended is None
            assert server.logins == {"ok": 1}
            assert len(server.received) == 1
    (form,) = granting.asked
    assert form == {
        "grant_type": "refresh_token",
        "refresh_token": "refresh-0",
        "scope": "https://mail.example/send",
        "client_id": granting.client_id,
        "client_secret": granting.client_secret,
    }


def test_a_public_client_has_no_secret() -> None:
    with TokenServer(client_secret="") as granting, SmtpServer(settings(granting)) as server:
        assert deliver(connection(server, granting), envelopes("a"))[1] is None
        assert "client_secret" not in granting.asked[0]


def test_the_client_secret_arrives_unchanged() -> None:
    secret = "a+b c%20&=/~\u00e9:"
    with TokenServer(client_secret=secret) as granting, SmtpServer(settings(granting)) as server:
        assert deliver(connection(server, granting), envelopes("a"))[1] is None


def test_the_token_is_not_sent_over_a_plain_link(granting: TokenServer) -> None:
    with SmtpServer(settings(granting)) as server:
        ended = failure(connection(server, granting, allow_plain_password=False))
        assert "the access token would cross an unencrypted link" in str(ended)
        assert classify(ended.attempt).trouble is Trouble.DOWN
        assert not granting.asked
        assert not server.logins


def test_a_server_without_oauth_is_named(granting: TokenServer) -> None:
    with SmtpServer(settings(granting, "PLAIN", "LOGIN")) as server:
        ended = failure(connection(server, granting))
        assert "offers plain, login; Mailsluice knows xoauth2, oauthbearer" in str(ended)
        assert classify(ended.attempt).trouble is Trouble.DOWN


@pytest.mark.parametrize("method", ["XOAUTH2", "OAUTHBEARER"])
def test_a_token_that_was_revoked_early_is_replaced_once(
    method: str, granting: TokenServer
) -> None:
    with SmtpServer(settings(granting, method)) as server:
        target = connection(server, granting)

        async def work() -> None:
            tokens = Tokens()
            for _ in range(2):
                (await open_session(target, tokens)).abort()
            assert granting.handed_out == 1
            granting.revoke()
            (await open_session(target, tokens)).abort()

        run(work)
        assert granting.handed_out == 2
        assert server.logins == {"ok": 3, "refused": 1}


@pytest.mark.parametrize("method", ["XOAUTH2", "OAUTHBEARER"])
def test_a_mailbox_refused_with_every_token_takes_the_connection_down(
    method: str, granting: TokenServer
) -> None:
    refusing = Settings(auth_methods=(method,), token_holds=lambda *_: False)
    with SmtpServer(refusing) as server:
        ended = failure(connection(server, granting))
        assert ended.attempt.code == 535
        assert "is SMTP AUTH on for it" in str(ended)
        assert classify(ended.attempt).trouble is Trouble.DOWN
        assert server.logins == {"refused": 2}
        assert granting.handed_out == 2
        assert "access-" not in str(ended) + repr(ended)


def test_the_next_session_uses_another_token_if_a_session_allows_one_login(
    granting: TokenServer,
) -> None:
    with SmtpServer(settings(granting, closes_after_refusal=True)) as server:
        target = connection(server, granting)

        async def work() -> SessionError:
            tokens = Tokens()
            (await open_session(target, tokens)).abort()
            granting.revoke()
            with pytest.raises(SessionError, match=r"closed the link: 5\.7\.8") as caught:
                await open_session(target, tokens)
            (await open_session(target, tokens)).abort()
            return caught.value

        assert classify(run(work).attempt).trouble is Trouble.SESSION
        assert granting.handed_out == 2
        assert server.logins == {"ok": 2, "refused": 1}


@pytest.mark.parametrize(
    ("action", "trouble"),
    [
        (b"454 4.7.0 Temporary authentication failure", Trouble.THROTTLED),
        (b"421 4.7.0 too many", Trouble.THROTTLED),
        (DROP, Trouble.SESSION),
    ],
)
def test_trouble_of_the_mail_server_costs_no_token(
    action: bytes, trouble: Trouble, granting: TokenServer
) -> None:
    with SmtpServer(settings(granting, faults={"*": Fault(Stage.AUTH, action)})) as server:
        ended = failure(connection(server, granting))
        assert ended.phase is Phase.LOGIN
        assert classify(ended.attempt).trouble is trouble
        assert granting.handed_out == 1


SPEAKING = "refresh-0 of jane@example.com: s3cret-of-the-client"
FAILURES: list[tuple[Reply, Trouble, str]] = [
    (error("invalid_grant", description=SPEAKING), Trouble.DOWN, "deployments.authorise test"),
    (error("invalid_grant", description="a\0b"), Trouble.DOWN, "invalid_grant (a\ufffdb)"),
    (error("interaction_required"), Trouble.DOWN, "authorise it with"),
    (error("invalid_client", 401), Trouble.DOWN, "check client ID and client secret"),
    (error("unauthorized_client", 401), Trouble.DOWN, "check client ID and client secret"),
    (error("invalid_scope"), Trouble.DOWN, "check the scope"),
    (error("what?"), Trouble.DOWN, "check the block's OAuth box"),
    (error("temporarily_unavailable"), Trouble.SESSION, "this usually passes"),
    (error("slow_down", 429), Trouble.SESSION, "status 429"),  # JSON, but no refusal
    (error("server_error", 503), Trouble.SESSION, "status 503"),
    ((502, b"<html>"), Trouble.SESSION, "status 502"),
    ((404, b"<html>"), Trouble.DOWN, "is token_url in the OAuth box right?"),
    ((302, b""), Trouble.DOWN, "is token_url in the OAuth box right?"),  # secrets do not follow
    ((200, b"<html>"), Trouble.SESSION, "malformed"),
    ((200, b"[]"), Trouble.SESSION, "malformed"),
    ((200, b"{}"), Trouble.SESSION, "malformed"),
    ((200, b'{"access_token": 7}'), Trouble.SESSION, "malformed"),
    ((200, b'{"access_token": "a\\u0001b"}'), Trouble.SESSION, "malformed"),
    ((200, b'{"access_token": "a", "expires_in": "soon"}'), Trouble.SESSION, "malformed"),
    ((200, b'{"access_token": "a", "expires_in": []}'), Trouble.SESSION, "malformed"),
]


@pytest.mark.parametrize(("reply", "trouble", "advice"), FAILURES)
def test_failures_of_the_token_server_are_described_with_advice(
    reply: Reply, trouble: Trouble, advice: str, granting: TokenServer
) -> None:
    granting.always = reply
    with SmtpServer(settings(granting)) as server:
        ended = failure(connection(server, granting))
        assert ended.phase is Phase.LOGIN
        assert classify(ended.attempt).trouble is trouble
        assert advice in str(ended)
        assert not any(one in str(ended) for one in ("refresh-0", "s3cret", "jane@"))
        assert granting.handed_out == 1
        assert not server.logins


def test_an_unreachable_token_server_is_passing_trouble(granting: TokenServer) -> None:
    with TokenServer() as other, SmtpServer(settings(granting)) as server:
        target = connection(server, other)
    with SmtpServer(settings(granting)) as server:
        ended = failure(connection(server, granting, oauth={"token_url": target.oauth.token_url}))
        assert "cannot be reached" in str(ended)
        assert classify(ended.attempt).trouble is Trouble.SESSION


def test_a_silent_token_server_is_passing_trouble(granting: TokenServer) -> None:
    granting.may_answer.clear()
    with SmtpServer(settings(granting)) as server:
        ended = failure(connection(server, granting, timeout_seconds=2.0))
        assert "no answer from the token server 127.0.0.1 in 2 s" in str(ended)
        assert classify(ended.attempt).trouble is Trouble.SESSION
        granting.may_answer.set()


def test_a_token_server_whose_certificate_does_not_verify_gets_no_secret(
    certificates: Certificates,
) -> None:
    with TokenServer(tls=certificates.context()) as granting:
        with SmtpServer(settings(granting)) as server:
            ended = failure(connection(server, granting))
        assert "the certificate of the token server 127.0.0.1 does not verify" in str(ended)
        assert classify(ended.attempt).trouble is Trouble.DOWN
        assert not granting.asked


def test_without_a_refresh_token_the_error_gives_the_next_step(granting: TokenServer) -> None:
    with SmtpServer(settings(granting)) as server:
        ended = failure(connection(server, granting, oauth={"refresh_token": None}))
        assert "python -m deployments.authorise test" in str(ended)
        assert classify(ended.attempt).trouble is Trouble.DOWN
