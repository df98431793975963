"""verify-connection: its state, its page, and secrets that appear nowhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.settings import PREFECT_CLIENT_MAX_RETRIES

from blocks import SMTPConnection
from blocks.loading import load_connection
from flows.support.session_slots.limit import SlotLimit
from flows.support.session_slots.spare import spare_slot
from flows.verify_connection import verify_connection
from mailsluice.smtp.connection import Security
from tests.flows.conftest import Servers, save_block
from tests.flows.written import page
from tests.integration.smtp_fixtures import Certificates, secured
from tests.smtpd import SmtpServer

PASSWORD = "s3cret-of-jane"
TEST_MAIL = {"sender": "News <news@sender.example>", "recipient": "mailbox@recipient.example"}


async def verified(connection: Any, **fields: Any) -> State[Any]:
    return await verify_connection(connection, **fields, return_state=True)


async def everything_shown(state: State[Any], connection: str, log: str) -> str:
    """State message, run's name, page and log of a run."""
    run_id = state.state_details.flow_run_id
    assert run_id is not None
    async with get_client() as client:
        run = await client.read_flow_run(run_id)
    return "\n".join([str(state.message), run.name, await page(f"connection-{connection}"), log])


async def test_a_connection_that_works(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    certificates = Certificates.make(tmp_path)
    settings = secured({"users": {"jane": PASSWORD}}, Security.STARTTLS, certificates)
    with SmtpServer(settings) as server:
        login = {"username": "jane", "password": PASSWORD, "ca_file": certificates.ca_file}
        save_block("provider", server, security="starttls", **login)
        block = await SMTPConnection.aload("provider")
        final = await verified(block, test_mail=TEST_MAIL)
        assert final.is_completed(), final.message
        (mail,) = server.received
    works = "provider works: TLSv1.3, login as jane, test mail accepted, no warnings"
    assert final.message == works
    assert (mail.sender, mail.recipient) == ("news@sender.example", "mailbox@recipient.example")
    shown = await everything_shown(final, "provider", caplog.text)
    assert "verify provider" in shown
    assert "login: ok (" in shown
    assert PASSWORD not in shown
    assert "@" not in shown


async def test_a_connection_that_does_not_work_ends_with_the_next_step(tmp_path: Path) -> None:
    with SmtpServer() as server:
        save_block("down", server)
    final = await verified("down")
    assert final.is_failed()
    assert str(final.message).startswith("down does not work: connection refused (")
    assert "Next step: Check host and port" in str(final.message)
    assert "| link | **failed** |" in await page("connection-down")


async def test_an_address_that_is_refused_is_not_repeated(
    servers: Servers, caplog: pytest.LogCaptureFixture
) -> None:
    mail = {**TEST_MAIL, "recipient": "550-at-rcpt@recipient.example"}
    final = await verified("red", test_mail=mail)
    assert "red does not work: recipient refused" in str(final.message)
    assert "@" not in await everything_shown(final, "red", caplog.text)
    final = await verified("red", test_mail={**TEST_MAIL, "recipient": "not-an-address@"})
    assert final.is_failed()
    assert "recipient is not an e-mail address" in str(final.message)
    assert "not-an-address" not in f"{final.message} {caplog.text}"


async def test_its_session_counts_where_a_slot_is_free(servers: Servers) -> None:
    save_block("single", servers["red"], max_sessions=1)
    limit = SlotLimit("single")
    try:
        await verified("single")
        assert "beside" not in await page("connection-single")
        assert (await limit.read(1)).taken == 0
        lease = await limit.acquire(1)
        assert lease is not None
        await verified("single")
        assert "opened one more than max_sessions allows" in await page("connection-single")
        await limit.release(lease)
    finally:
        await limit.close()


async def test_other_connections_to_its_host_are_named(servers: Servers) -> None:
    save_block("first", servers["red"], max_sessions=1, max_sessions_per_host=3)
    save_block("second", servers["red"], max_sessions_per_host=2)
    await verified("first")
    assert "at most 2 at once, the lowest max" in await page("connection-first")


async def test_a_block_that_is_not_there_is_named() -> None:
    final = await verified("nowhere")
    assert "there is no SMTP Connection block 'nowhere'" in str(final.message)


def test_its_form_has_a_picker_and_a_box() -> None:
    schema = verify_connection.parameters
    assert schema.properties["connection"]["block_type_slug"] == "smtp-connection"
    box = schema.definitions["TrialMail"]["properties"]
    assert not schema.properties["test_mail"]["default"]["sender"]
    assert {name: field["type"] for name, field in box.items()} == {
        "sender": "string",
        "recipient": "string",
    }


async def test_who_has_a_slot_is_as_patient_with_the_server_as_before(servers: Servers) -> None:
    patience = PREFECT_CLIENT_MAX_RETRIES.value()
    assert patience  # a new refresh token that a busy server refuses once would be lost
    async with spare_slot(await load_connection("red")) as has_slot:
        assert has_slot
        assert PREFECT_CLIENT_MAX_RETRIES.value() == patience
