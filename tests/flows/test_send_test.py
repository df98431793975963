"""send-test: marked copies over each connection, counted under the limits, and nothing else."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId
from prefect.client.schemas.objects import State

from flows.send_test import send_test
from mailsluice.message import message_id
from mailsluice.operations.preview.stored import ROUTE
from tests.flows.conftest import Servers, save_block
from tests.flows.running import ended
from tests.flows.test_send_campaign import document, received, write_csv
from tests.flows.written import page
from tests.smtpd import Fault, SmtpServer, Stage

TO = ["me@one.example.org", "me@two.example.org"]
MESSAGE = {
    "sender": "News <news@example.com>",
    "subject": "Hi {{ first_name }}",
    "html": "<p>Hello {{ first_name }}, <a href='{{ unsubscribe_url }}'>unsubscribe</a></p>",
    "unsubscribe_url": "https://example.com/u?e={{ email|urlencode }}",
}


async def proof_of(campaign: dict[str, Any], to: list[str] = TO, **fields: Any) -> State[Any]:
    return await ended(send_test, campaign, to, **fields)


async def shown(state: State[Any]) -> str:
    """The texts of a run for people: its state, its page and its preview."""
    run = state.state_details.flow_run_id
    assert run is not None
    mine = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run]))
    async with get_client() as client:
        page, preview = sorted(
            await client.read_artifacts(artifact_filter=mine), key=lambda found: str(found.key)
        )[::-1]
    assert f"../../{ROUTE}/{preview.id}" in str(page.data)
    return f"{state.message} {page.data} {page.description} {preview.data} {preview.description}"


async def test_each_address_gets_one_copy_over_each_connection(
    tmp_path: Path, servers: Servers, state: Path, caplog: pytest.LogCaptureFixture
) -> None:
    final = await proof_of(document(write_csv(tmp_path / "r.csv", 50), message=MESSAGE))
    assert final.is_completed(), final.message
    assert final.message == "4 of 4 copies accepted"
    assert received(servers) == {"red": 2, "green": 2}
    for name in ("red", "green"):
        assert servers[name].recipients == dict.fromkeys(TO, 1)
        for one in servers[name].received:
            head, _, body = one.content.partition(b"\r\n\r\n")
            assert one.subject.startswith(f"[Test via {name}] Hi Ann ")
            assert f"X-Mailsluice-Test: {name}\r\n".encode() in head
            assert f"To: {one.recipient}\r\n".encode() in head
            assert b"List-Unsubscribe" not in head
            assert b"https://unsubscribe.invalid/" in body
            assert b"@d" not in body
    copies = [one for server in servers.values() for one in server.received]
    assert len({one.message_id for one in copies}) == 4
    assert len({one.subject.partition("]")[2] for one in copies}) == 1
    for text in (await shown(final), caplog.text):
        assert "@" not in text
        assert "example.org" not in text
    with closing(sqlite3.connect(state)) as connection:
        for table in ("campaigns", "recipients", "routes"):
            assert connection.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)


async def test_a_second_test_and_the_real_mail_are_no_duplicates_of_the_first(
    tmp_path: Path, servers: Servers
) -> None:
    csv = write_csv(tmp_path / "r.csv", 5)
    for _ in range(2):
        await proof_of(document(csv), ["user3@d3.example.com"], recipient="user3@D3.example.com")
    copies = [one for server in servers.values() for one in server.received]
    real = message_id("spring-sale", "user3@d3.example.com", "example.com")
    assert len({real, *(one.message_id for one in copies)}) == 5
    assert {one.subject.partition("] ")[2] for one in copies} == {"Hi Ann 3"}


async def test_a_connection_that_does_not_work_is_named_and_the_other_sends(
    tmp_path: Path, servers: Servers
) -> None:
    servers["red"].stop()
    final = await proof_of(document(write_csv(tmp_path / "r.csv", 50)))
    assert final.is_failed()
    assert str(final.message).startswith("2 of 4 copies accepted; red: connect: connection refused")
    assert received(servers) == {"green": 2}
    assert "| red | not sent | 1, 2 | connect: connection refused" in await page("test-spring-sale")


async def test_a_refusal_is_shown_with_its_reply_and_without_the_address(
    tmp_path: Path, servers: Servers
) -> None:
    refusal = Fault(Stage.RCPT, b"550 5.1.1 <me@two.example.org>: no such user")
    with SmtpServer(faults={"other": refusal}) as picky:
        save_block("red", picky)
        campaign = document(write_csv(tmp_path / "r.csv", 50))
        final = await proof_of(campaign, [TO[0], "other@two.example.org"])
    assert final.is_failed()
    assert "red: rcpt: 550 5.1.1" in str(final.message)
    text = await shown(final)
    assert "| red | refused | 2 | rcpt: 550 5.1.1 \\<address\\>: no such user" in text
    assert "@" not in text


async def test_copies_count_under_the_limits_of_the_connection(
    tmp_path: Path, servers: Servers
) -> None:
    save_block("red", servers["red"], per_hour=2)
    campaign = document(write_csv(tmp_path / "r.csv", 50))
    campaign |= {"strategy": "single", "routes": [{"connection": "red"}]}
    first = await proof_of(campaign, TO[:1])
    assert first.is_completed()
    again = await proof_of(campaign)
    assert again.is_failed()
    assert len(servers["red"].received) <= 2
    assert "red: not sent: no room" in str(again.message)


@pytest.mark.parametrize(
    ("to", "fields", "message"),
    [
        ([], {}, "copies go to 1 to 10 addresses, not 0"),
        ([f"me{i}@example.org" for i in range(11)], {}, "not 11: change 'to'"),
        ([TO[0], "secret at example.org"], {}, "address 2 of 'to' is not an address"),
        (TO, {"recipient": "secret@example.org"}, "the chosen recipient is not in the audience"),
        (TO, {"recipient": "secret"}, "the chosen recipient is not in the audience"),
    ],
)
async def test_an_invalid_test_is_refused_without_showing_an_address(
    tmp_path: Path, servers: Servers, to: list[str], fields: dict[str, str], message: str
) -> None:
    final = await proof_of(document(write_csv(tmp_path / "r.csv", 5)), to, **fields)
    assert final.is_failed()
    assert message in str(final.message)
    assert "secret" not in str(final.message)
    assert received(servers) == {}


def test_the_form_has_plain_fields() -> None:
    properties = send_test.parameters.properties
    assert properties["to"]["items"] == {"type": "string"}
    assert (properties["to"]["minItems"], properties["to"]["maxItems"]) == (0, 10)
    assert properties["recipient"]["type"] == "string"
