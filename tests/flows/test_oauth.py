"""Connections that log in with OAuth, through Prefect: blocks and the real flow."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from prefect.client.orchestration import get_client

from blocks import SMTPConnection
from tests.flows.conftest import save_block
from tests.smtpd import Settings, SmtpServer
from tests.token_server import TokenServer

ONE: dict[str, Any] = {"strategy": "single", "routes": [{"connection": "gmail"}]}


@pytest.fixture
def granting() -> Iterator[TokenServer]:
    with TokenServer() as server:
        yield server


@pytest.fixture
def smtp(granting: TokenServer) -> Iterator[SmtpServer]:
    """With the block "gmail"."""
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
    assert (await SMTPConnection.aload("gmail")).oauth.model_dump() == (
        SMTPConnection(host="h", username="u", oauth=granting.oauth()).oauth.model_dump()
    )
