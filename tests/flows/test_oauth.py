"""Connections that log in with OAuth, through Prefect: blocks and the real flow."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from pydantic import SecretStr

from blocks import SMTPConnection
from deployments.command import main
from flows.send_test import send_test
from flows.verify_connection import verify_connection
from tests.flows.conftest import save_block, saved_block
from tests.flows.running import ended
from tests.flows.test_send_campaign import document, run, write_csv
from tests.smtpd import Settings, SmtpServer
from tests.token_server import TokenServer, error


async def send(folder: Path, name: str = "spring-sale") -> State[Any]:
    """Send a campaign of twenty recipients over the connection."""
    routes = [{"connection": "gmail"}]
    csv = write_csv(folder / "recipients.csv", 20)
    return await run(document(csv, name=name, strategy="single", routes=routes))


@pytest.fixture
def granting() -> Iterator[TokenServer]:
    with TokenServer() as server:
        yield server


@pytest.fixture
def smtp(granting: TokenServer) -> Iterator[SmtpServer]:
    """A token server and a mail server, which the block "gmail" reaches."""
    with SmtpServer(Settings(auth_methods=("XOAUTH2",), token_holds=granting.holds)) as server:
        fields = {"username": "mailbox", "allow_plain_password": True, "max_sessions": 2}
        save_block("gmail", server, oauth=granting.oauth(), **fields)
        yield server


async def stored(*, include_secrets: bool) -> dict[str, Any]:
    async with get_client() as client:
        found = await client.read_block_document_by_name(
            "gmail", "smtp-connection", include_secrets=include_secrets
        )
    return dict(found.data["oauth"])


async def test_the_secrets_in_the_box_are_hidden_by_the_api(
    smtp: SmtpServer, granting: TokenServer
) -> None:
    seen = await stored(include_secrets=False)
    assert seen["client_id"] == granting.client_id
    assert seen["token_url"] == granting.url
    assert set(seen["client_secret"]) == set(seen["refresh_token"]) == {"*"}
    kept = await stored(include_secrets=True)
    assert kept["refresh_token"] == "refresh-0"
    assert (await saved_block("gmail")).oauth.model_dump() == (
        SMTPConnection(host="h", username="u", oauth=granting.oauth()).oauth.model_dump()
    )


async def test_a_new_refresh_token_is_saved_in_the_block_for_the_next_run(
    smtp: SmtpServer, granting: TokenServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    granting.rotates = True  # each is good for one exchange
    for name, token in (("first", "refresh-1"), ("second", "refresh-2")):
        state = await send(tmp_path, name)
        assert state.is_completed(), state.message
        assert (await stored(include_secrets=True))["refresh_token"] == token
    assert len(smtp.received) == 40
    assert granting.handed_out == 2
    told = caplog.text
    assert "20 of 20 sent" in told
    assert not any(secret in told for secret in ("refresh-", "access-", granting.client_secret))


async def test_a_check_and_a_test_save_a_new_refresh_token(
    smtp: SmtpServer, granting: TokenServer, tmp_path: Path
) -> None:
    granting.rotates = True  # what is not kept is lost: the one before is void
    checked = await verify_connection("gmail", return_state=True)
    assert checked.is_completed(), checked.message
    assert (await stored(include_secrets=True))["refresh_token"] == "refresh-1"
    routes = [{"connection": "gmail"}]
    csv = write_csv(tmp_path / "recipients.csv", 20)
    campaign = document(csv, strategy="single", routes=routes)
    tested = await ended(send_test, campaign, ["me@example.org"])
    assert tested.is_completed(), tested.message
    assert (await stored(include_secrets=True))["refresh_token"] == "refresh-2"
    assert len(smtp.received) == 1


def test_the_command_saves_a_new_refresh_token(
    smtp: SmtpServer,
    granting: TokenServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    granting.rotates = True
    monkeypatch.setenv("MAILSLUICE_HOME", str(tmp_path / "home"))
    assert main(["connection", "test", "gmail"]) == 0
    assert asyncio.run(stored(include_secrets=True))["refresh_token"] == "refresh-1"
    csv = write_csv(tmp_path / "recipients.csv", 20)
    campaign = document(csv, strategy="single", routes=[{"connection": "gmail"}])
    path = tmp_path / "campaign.json"
    path.write_text(json.dumps(campaign))
    assert main(["send", str(path)]) == 0
    assert asyncio.run(stored(include_secrets=True))["refresh_token"] == "refresh-2"
    assert len(smtp.received) == 20


async def test_a_token_entered_in_the_block_meanwhile_stays(
    smtp: SmtpServer, granting: TokenServer, tmp_path: Path
) -> None:
    granting.rotates = True
    granting.may_answer.clear()
    running = asyncio.ensure_future(send(tmp_path))
    while not granting.asked:  # noqa: ASYNC110 in another thread
        await asyncio.sleep(0.01)
    block = await saved_block("gmail")
    await block.keep_refresh_token(SecretStr("mine"))
    granting.may_answer.set()
    state = await running
    assert state.is_completed(), state.message
    assert (await stored(include_secrets=True))["refresh_token"] == "mine"


async def test_a_revoked_refresh_token_fails_the_run_with_the_next_step(
    smtp: SmtpServer, granting: TokenServer, tmp_path: Path
) -> None:
    granting.always = error("invalid_grant")
    state = await send(tmp_path)
    assert state.is_failed()
    assert "python -m deployments.authorise gmail" in str(state.message)
    assert not smtp.received
