"""A campaign over a connection whose access tokens expire while it is sent."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from mailsluice.oauth.client import OAuth
from mailsluice.oauth.tokens import Tokens
from mailsluice.reports.campaign import Report
from mailsluice.smtp.connection import Connection
from mailsluice.smtp.login import open_session
from mailsluice.store import Database
from tests.integration.campaign_fixtures import Sender, campaign, connection, everybody_once, people
from tests.smtpd import Settings, SmtpServer
from tests.token_server import TokenServer, error

_LOGIN_SECONDS = 10.0
_LIFETIME_SECONDS = 120.0


class Clock:
    """Both sides' clock: each login takes ten seconds."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Setting:
    """A token server and a mail server that ends sessions after ten messages."""

    def __init__(self, sender: Sender, folder: Path, clock: Clock, granting: TokenServer) -> None:
        self.sender = sender
        self.folder = folder
        self.clock = clock
        self.granting = granting
        self.smtp = SmtpServer(
            Settings(auth_methods=("XOAUTH2",), token_holds=self._log_in, messages_per_session=10)
        )
        self.rotated: list[tuple[str, str, str]] = []

    def _log_in(self, user: str, token: str) -> bool:
        self.clock.now += _LOGIN_SECONDS
        return user == "mailbox" and self.granting.holds(user, token)

    def connection(self, **oauth: Any) -> Connection:
        return connection(
            "red",
            self.smtp,
            max_sessions=3,
            username="mailbox",
            allow_plain_password=True,
            oauth=OAuth(**self.granting.oauth(**oauth)),
        )

    async def send(self, number: int = 200) -> Report:
        document = campaign(self.folder, people(number))
        run = await asyncio.to_thread(self.sender.prepare, document)
        tokens = Tokens(self._on_rotated, clock=self.clock)
        opening = partial(open_session, tokens=tokens)
        try:
            return await self.sender.send_prepared(
                run, document, [self.connection()], open_session=opening
            )
        finally:
            await run.close()

    def _on_rotated(self, name: str, used: SecretStr, new: SecretStr) -> None:
        self.rotated.append((name, used.get_secret_value(), new.get_secret_value()))


@pytest.fixture
def setting(sqlite_database: Database, tmp_path: Path) -> Iterator[Setting]:
    clock = Clock()
    with TokenServer(clock=clock, lifetime_seconds=_LIFETIME_SECONDS) as granting:
        made = Setting(Sender(sqlite_database, tmp_path), tmp_path, clock, granting)
        with made.smtp:
            yield made


@pytest.mark.parametrize("rotates", [False, True])
async def test_tokens_are_replaced_one_at_a_time_before_they_expire(
    rotates: bool, setting: Setting
) -> None:
    setting.granting.rotates = rotates
    report = await setting.send()
    assert report.sent_now == 200
    everybody_once(setting.sender.ledger, {"red": setting.smtp})
    assert setting.smtp.logins["refused"] == 0
    logins = setting.smtp.logins["ok"]
    assert logins >= 20
    needed = logins * _LOGIN_SECONDS / (_LIFETIME_SECONDS / 2)
    assert needed - 2 <= setting.granting.handed_out <= needed + 2
    assert setting.granting.most_at_once == 1
    chain = [form["refresh_token"] for form in setting.granting.asked]
    if rotates:
        links = zip(chain, [*chain[1:], setting.granting.refresh_token], strict=True)
        assert setting.rotated == [("red", used, new) for used, new in links]
    else:
        assert set(chain) == {"refresh-0"}
        assert setting.rotated == []


async def test_a_revoked_refresh_token_takes_the_connection_down_with_the_next_step(
    setting: Setting, caplog: pytest.LogCaptureFixture
) -> None:
    setting.granting.always = error("invalid_grant", description="Token has been revoked.")
    report = await setting.send(20)
    assert "Token has been revoked" in report.down["red"]
    assert "python -m deployments.authorise red" in report.down["red"]
    assert report.open == 20
    assert {row.attempts for row in setting.sender.ledger.rows().values()} == {0}
    assert setting.granting.handed_out <= 3  # once a session at most
    assert "refresh-0" not in caplog.text
    setting.granting.always = None  # authorised again
    await setting.send(20)
    everybody_once(setting.sender.ledger, {"red": setting.smtp})


async def test_sending_waits_for_a_token_server_that_is_away(setting: Setting) -> None:
    setting.granting.fails = [error("server_error", 503), (502, b"<html>"), (200, b"")]
    report = await setting.send()
    assert report.down == {}
    everybody_once(setting.sender.ledger, {"red": setting.smtp})
