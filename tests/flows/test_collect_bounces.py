"""collect-bounces by Prefect: the block, the run's message, its page."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prefect.client.schemas.objects import State

from blocks import Mailbox
from blocks.loading import load_login_block
from flows.collect_bounces import collect_bounces
from mailsluice.smtp.connection import Security
from mailsluice.store import Database
from mailsluice.store.schema import suppressions
from tests import returned_mail as mails
from tests.flows.conftest import Servers
from tests.flows.test_send_campaign import document, run, write_csv
from tests.flows.written import page
from tests.integration.dovecot import PASSWORD, USERNAME, Dovecot, dovecot
from tests.integration.smtp_fixtures import Certificates
from tests.returned_mail import Sent
from tests.saved_blocks import save
from tests.token_server import TokenServer


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dovecot]:
    with dovecot(Certificates.make(tmp_path_factory.mktemp("certificates"))) as server:
        yield server


@pytest.fixture
def server(running: Dovecot) -> Iterator[Dovecot]:
    """A mail server with an empty mailbox, which the block "bounces" reaches."""
    save_mailbox(running)
    yield running
    running.empty()


def save_mailbox(server: Dovecot, **fields: Any) -> None:
    values = {
        "host": "127.0.0.1",
        "port": server.ports[Security.TLS],
        "username": USERNAME,
        "password": PASSWORD,
        "ca_file": server.ca_file,
        **fields,
    }
    save(Mailbox(**values), "bounces")


async def collected(**parameters: Any) -> State[Any]:
    return await collect_bounces("bounces", **parameters, return_state=True)


async def test_a_campaigns_returned_mail_is_recorded_and_shown(
    tmp_path: Path,
    servers: Servers,
    state: Path,
    server: Dovecot,
    caplog: pytest.LogCaptureFixture,
) -> None:
    campaign = document(write_csv(tmp_path / "r.csv", 10))
    campaign["message"]["return_path"] = "bounces@example.com"
    assert (await run(campaign)).is_completed()
    got = [one for server in servers.values() for one in server.received]
    sent = [Sent(one.sender, one.recipient) for one in got]
    assert len({one.return_path for one in sent}) == 10
    server.put(
        *(mails.report(one) for one in sent[:3]), mails.complaint(sent[3]), mails.spam(sent[4])
    )

    final = await collected()
    assert final.is_completed()
    assert final.message == ("5 read: 3 hard, 1 complaint, 1 not understood; 4 newly suppressed")
    text = await page("bounces-bounces")
    assert f"| {campaign['name']} | red |" in text
    assert "1 left in the folder, flagged" in text
    assert "## Bounces and complaints" in await page(f"campaign-{campaign['name']}")
    with Database() as database, database.read() as reader:
        assert len(reader.execute(suppressions.select()).all()) == 4
    assert "@" not in text + str(final.message)
    assert not any(one.recipient in caplog.text for one in sent)

    again = await collected()
    assert (again.is_completed(), again.message) == (True, "nothing new in the mailbox")


async def test_a_new_refresh_token_is_saved_in_the_mailboxs_block(
    server: Dovecot, caplog: pytest.LogCaptureFixture
) -> None:
    with TokenServer(rotates=True) as granting:
        server.introspection.holds = granting.holds
        save_mailbox(server, password=None, oauth=granting.oauth())
        for number in (1, 2):
            final = await collected()
            assert final.message == "nothing new in the mailbox"
            token = (await load_login_block("mailbox/bounces")).oauth.refresh_token
            assert token is not None
            assert token.get_secret_value() == f"refresh-{number}"
    assert not any(secret in caplog.text for secret in ("refresh-", "access-"))


async def test_a_mailbox_failure_is_the_runs_message(server: Dovecot) -> None:
    save_mailbox(server, folder="Nowhere")
    final = await collected()
    assert final.is_failed()
    assert "'Nowhere' cannot be opened" in str(final.message)
    assert "there is: " in str(final.message)


async def test_a_missing_block_is_named(server: Dovecot) -> None:
    final = await collect_bounces("elsewhere", return_state=True)
    assert final.is_failed()
    assert "there is no Mailbox block 'elsewhere' (existing: bounces" in str(final.message)


def test_the_form_offers_mailboxes_and_bounds_the_limit() -> None:
    properties = collect_bounces.parameters.properties
    assert properties["mailbox"]["block_type_slug"] == "mailbox"
    assert properties["limit"]["type"] == "integer"
    assert (properties["limit"]["minimum"], properties["limit"]["default"]) == (1, 10_000)
