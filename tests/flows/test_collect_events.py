"""collect-events by Prefect: from the campaign's mail to the report, and the run's page."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from typing import Any

import pytest
from prefect.client.schemas.objects import State

from deployments.command import main
from flows.collect_events import collect_events
from flows.report_campaign import report_campaign
from mailsluice.store import Database
from mailsluice.store.schema import suppressions
from tests.flows.conftest import Servers, save_block
from tests.flows.test_send_campaign import document, run, write_csv
from tests.flows.written import page, pages
from tests.provider_apis.api import ProviderApi, served
from tests.provider_apis.lists import MailgunApi, SparkPostApi, iso
from tests.unit.events import payloads


@pytest.fixture(scope="module")
def running() -> Iterator[dict[str, ProviderApi]]:
    with served(MailgunApi(time.time)) as mailgun, served(SparkPostApi(time.time)) as sparkpost:
        yield {"red": mailgun, "green": sparkpost}


@pytest.fixture
def providers(running: dict[str, ProviderApi], servers: Servers) -> dict[str, ProviderApi]:
    """Simulated providers, which the blocks of the same name can ask."""
    for name, api in running.items():
        api.stored.clear()
        api.failing.clear()
        identity = {"provider": api.provider.value}
        save_block(name, servers[name], identity=identity, events_api=api.api())
    return running


async def collected(**parameters: Any) -> State[Any]:
    return await collect_events(**parameters, return_state=True)


async def send(folder: Path, number: int) -> None:
    """Send a campaign, half over each provider."""
    routes = [{"connection": name, "percent": 50} for name in ("red", "green")]
    final = await run(document(write_csv(folder / "r.csv", number), routes=routes))
    assert final.is_completed(), final.message


def happen(providers: dict[str, ProviderApi], servers: Servers) -> set[str]:
    """Everything is delivered but for a complaint and a bounce; returns whose they are."""
    at = time.time()
    mails = {
        name: [message_from_bytes(one.content, policy=default) for one in servers[name].received]
        for name in providers
    }
    for number, mail in enumerate(mails["red"]):
        kind = "complained" if number == 0 else "delivered"
        variables = json.loads(mail["X-Mailgun-Variables"])
        event = payloads.mailgun(
            kind,
            id=f"e{number}",
            timestamp=at,
            recipient=mail["To"],
            **{"user-variables": variables},
        )
        providers["red"].store(at, event)
    for number, mail in enumerate(mails["green"]):
        kind = "bounce" if number == 0 else "delivery"
        metadata = json.loads(mail["X-MSYS-API"])["metadata"]
        event = payloads.sparkpost(
            kind,
            event_id=f"e{number}",
            timestamp=iso(at),
            rcpt_to=mail["To"],
            rcpt_meta=metadata,
            bounce_class="10",
            raw_reason="550 5.1.1 no such user",
        )
        providers["green"].store(at, event)
    return {mails["red"][0]["To"], mails["green"][0]["To"]}


async def test_what_providers_list_is_in_the_report_and_counts_once(
    tmp_path: Path,
    servers: Servers,
    state: Path,
    providers: dict[str, ProviderApi],
    caplog: pytest.LogCaptureFixture,
) -> None:
    await send(tmp_path, 20)
    suppressed = happen(providers, servers)

    final = await collected()
    assert final.is_completed(), final.message
    assert final.message == "20 new of 20 fetched; 2 newly suppressed"
    text = await page("events")
    assert "| green | sparkpost |" in text
    with Database() as database, database.read() as reader:
        listed = {row.email for row in reader.execute(suppressions.select())}
    assert listed == suppressed
    assert not any(address in caplog.text + text for address in suppressed)
    assert "red: 10 fetched, 10 new, 0 known before" in caplog.text

    again = await collected(connections=["red"])
    assert (again.is_completed(), again.message) == (
        True,
        "0 new of 10 fetched; 10 known before",
    )
    assert (await report_campaign("spring-sale", return_state=True)).is_completed()
    *_, report = await pages("campaign-spring-sale")
    assert "| green | 10 | 9 | 0 | 1 | 0 | 0 | 0 | 0 |" in report
    assert "| red | 10 | 10 | 0 | 0 | 0 | 0 | 1 | 0 |" in report


async def test_a_connection_that_cannot_be_asked_fails_the_run_and_hinders_no_other(
    tmp_path: Path, servers: Servers, state: Path, providers: dict[str, ProviderApi]
) -> None:
    await send(tmp_path, 4)
    happen(providers, servers)
    save_block(
        "green",
        servers["green"],
        identity={"provider": "sparkpost"},
        events_api=providers["green"].api(key="revoked"),
    )
    final = await collected(connections=["red", "green", "blue"])
    assert final.is_failed()
    message = str(final.message)
    assert message.startswith("2 new of 2 fetched")
    assert "the block 'blue' has no events API: fill it in" in message
    assert "green: the API answers 401: correct the API key" in message
    assert "revoked" not in message


def test_the_command_collects_and_says_how_much(
    servers: Servers,
    state: Path,
    providers: dict[str, ProviderApi],
    capsys: pytest.CaptureFixture[str],
) -> None:
    at = time.time() - 60
    providers["red"].store(at, payloads.mailgun("delivered", timestamp=at))
    assert main(["events", "collect", "red"]) == 0
    out = capsys.readouterr().out
    assert "red: 1 fetched, 1 new, 0 known before, 1 about a message that is no longer" in out
    assert out.endswith("1 new of 1 fetched\n")
    assert main(["events", "collect", "red", "blue", "--json"]) == 3
    done = json.loads(capsys.readouterr().out)
    assert done["connections"][0]["recorded"]["known"] == 1
    assert "blue" in done["unusable"][0]
