"""Bad input is refused with a message that says what, where, and what to do; nothing is sent."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.objects import BlockDocument

from flows.plan_campaign import plan_campaign
from flows.send_campaign import send_campaign
from flows.send_test import send_test
from mailsluice.core.errors import CampaignError
from tests.flows.conftest import Servers, save_block
from tests.flows.running import AnyFlow, ended, result
from tests.flows.test_send_campaign import document, run, write_csv
from tests.integration.smtp_fixtures import Certificates
from tests.smtpd import Settings, SmtpServer


def campaign(tmp_path: Path, **fields: Any) -> dict[str, Any]:
    csv = tmp_path / "r.csv"
    if not csv.exists():
        write_csv(csv, 10)
    return document(csv, **fields)


def message(**fields: Any) -> dict[str, Any]:
    return {"sender": "news@example.com", "subject": "Hi", "text": "Hello", **fields}


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "missing file": (
        {"recipients": {"path": "no/such/file.csv"}},
        "no/such/file.csv",
    ),
    "no e-mail column": (
        {"recipients": {"path": "r.csv", "email_column": "mail"}},
        "mail",
    ),
    "unknown connection": (
        {"strategy": "single", "routes": [{"connection": "nowhere"}]},
        "there is no SMTP Connection block 'nowhere' (existing: ",
    ),
    "template variable that the audience does not have": (
        {"message": message(text="Dear {{ frist_name }}")},
        "first_name",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_bad_input_is_refused_before_anything_is_written(
    case: str, tmp_path: Path, servers: Servers, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    fields, complaint = REFUSED[case]
    with pytest.raises(Exception) as caught:  # noqa: PT011 the message is what counts
        await result(send_campaign, campaign(tmp_path, **fields))
    assert complaint in str(caught.value)
    assert all(not server.received for server in servers.values())
    if state.exists():
        with sqlite3.connect(state) as connection:
            assert connection.execute("SELECT count(*) FROM campaigns").fetchone() == (0,)


@pytest.mark.parametrize("flow", [send_campaign, plan_campaign, send_test])
async def test_an_invalid_document_ends_a_named_run_with_an_explanation(
    flow: AnyFlow, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Prefect's own check comes before the run has its name, and logs the parameters."""
    routes = [{"connection": "red", "percent": 70}, {"connection": "green", "percent": 40}]
    to = {"to": ["me@example.com"]} if flow is send_test else {}
    final = await ended(flow, campaign(tmp_path, routes=routes), **to)
    assert final.is_failed()
    assert final.message == (
        "the campaign cannot be sent as it is: percentages add up to 110, not 100: lower one of"
        " them by 10"
    )
    assert final.state_details.flow_run_id is not None
    async with get_client() as client:
        run = await client.read_flow_run(final.state_details.flow_run_id)
    words = {send_campaign: "", plan_campaign: "plan ", send_test: "test "}
    assert run.name == f"{words[flow]}spring-sale"
    assert "user0@" not in caplog.text
    assert "me@example.com" not in caplog.text


@pytest.mark.parametrize("given", ["text", {"name": "x" * 9_999}])
async def test_any_invalid_campaign_is_refused_with_an_explanation(given: Any) -> None:
    final = await run(given)
    assert final.is_failed()
    assert (final.message or "").startswith("the campaign cannot be sent as it is: ")


async def test_an_invalid_block_is_named_with_its_fault(
    tmp_path: Path, servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The UI of another Prefect server saves a block without a host; ours refuses to store it."""
    read = PrefectClient.read_block_document_by_name

    async def without_host(self: PrefectClient, *args: Any, **kwargs: Any) -> BlockDocument:
        document = await read(self, *args, **kwargs)
        if document.name != "red":
            return document
        return document.model_copy(update={"data": {"port": 25}})

    monkeypatch.setattr(PrefectClient, "read_block_document_by_name", without_host)
    final = await run(campaign(tmp_path))
    assert final.message == (
        "the SMTP Connection block 'red' cannot be used: host: this is missing: fill it in."
        " Correct it in the Prefect UI under Blocks"
    )


async def test_an_empty_list_is_refused(tmp_path: Path, servers: Servers) -> None:
    (tmp_path / "r.csv").write_text("email,first_name\n")
    with pytest.raises(Exception, match="the audience is empty"):
        await result(send_campaign, campaign(tmp_path))


async def test_other_content_under_the_same_name_is_refused_naming_what_differs(
    tmp_path: Path, servers: Servers
) -> None:
    await run(campaign(tmp_path))
    other = campaign(tmp_path)
    other["message"]["subject"] = "Other"
    with pytest.raises(Exception, match=r"message\.subject"):
        await result(send_campaign, other)


async def test_a_waiting_time_that_is_not_a_number_is_refused(
    tmp_path: Path, servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAILSLUICE_WAIT_SECONDS", "5m")
    with pytest.raises(CampaignError, match="MAILSLUICE_WAIT_SECONDS is '5m': write a number"):
        await result(send_campaign, campaign(tmp_path))
    assert not any(server.received for server in servers.values())


async def test_an_unreachable_server_is_named(tmp_path: Path, servers: Servers) -> None:
    with SmtpServer() as gone:
        save_block("red", gone)
    final = await run(campaign(tmp_path))
    assert final.is_failed()
    assert "red is down: connect: " in str(final.message)
    assert "refused" in str(final.message)
    assert len(servers["green"].received) == 3


async def test_a_certificate_of_an_unknown_authority_is_refused(
    tmp_path: Path, servers: Servers
) -> None:
    certificates = Certificates.make(tmp_path)
    settings = Settings(tls=certificates.context(), tls_from_start=True)
    with SmtpServer(settings) as server:
        save_block("red", server, security="tls")
        final = await run(campaign(tmp_path))
        assert final.is_failed()
        assert "red is down: tls: the certificate of" in str(final.message)
        save_block("red", server, security="tls", ca_file=certificates.ca_file)
        assert (await run(campaign(tmp_path))).is_completed()
        assert len(server.received) == 7
