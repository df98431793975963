"""plan-campaign: its page, that the launch agrees, and that nothing is written or sent."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from prefect.client.schemas.objects import State

from flows.plan_campaign import plan_campaign
from mailsluice.operations.plan import Plan
from tests.dns_server import CONTROLS, dns_server
from tests.flows.conftest import Servers, save_block
from tests.flows.running import ended
from tests.flows.test_send_campaign import document, received, run, write_csv
from tests.flows.written import page


async def planned(campaign: dict[str, Any], **fields: Any) -> State[Any]:
    return await ended(plan_campaign, campaign, **fields)


def sha(state: Path) -> str:
    return sha256(state.read_bytes()).hexdigest()


def digest(state: Path) -> str:
    with closing(sqlite3.connect(state)) as connection:
        (found,) = connection.execute("SELECT assignment_digest FROM campaigns").fetchone()
    return str(found)


async def test_the_launch_does_what_was_planned(
    tmp_path: Path, servers: Servers, state: Path, caplog: pytest.LogCaptureFixture
) -> None:
    today = datetime.now(UTC).date()
    warm_up = {
        "start": today - timedelta(days=1),
        "daily_caps": [20, 20, 20],
        "over_cap": "spill",
        "spill_to": "blue",
    }
    save_block("red", servers["red"], warm_up=warm_up)
    campaign = document(write_csv(tmp_path / "r.csv", 100), name="spring {date}")
    final = await planned(campaign)
    assert final.is_completed(), final.message
    found = await final.aresult()
    assert isinstance(found, Plan)
    assert [(one.connection, one.count) for one in found.connections] == [
        ("red", 20),
        ("green", 30),
        ("blue", 50),
    ]
    assert received(servers) == {}

    assert (await run(campaign)).is_completed()
    assert received(servers) == {"red": 20, "green": 30, "blue": 50}
    assert digest(state) == found.digest
    assert f"(digest {found.digest})" in caplog.text
    assert f"`{found.digest}`" in await page(f"plan-spring-{today}")
    assert "@" not in await page(f"plan-spring-{today}")
    assert "@" not in await page(f"campaign-spring-{today}")


async def test_beside_a_campaign_that_was_launched_nothing_is_written(
    tmp_path: Path, servers: Servers, state: Path
) -> None:
    await run(document(write_csv(tmp_path / "r.csv", 10)))
    before = sha(state)
    assert (await planned(document(tmp_path / "r.csv", name="summer-sale"))).is_completed()
    found = await (await planned(document(tmp_path / "r.csv"))).aresult()
    assert "was launched before and is completed" in found.warnings[0]
    assert digest(state) in found.warnings[0]
    routes = [{"connection": "red"}]
    other = await planned(document(tmp_path / "r.csv", strategy="round_robin", routes=routes))
    assert other.is_failed()
    assert "exists already with other content; what differs: routes" in str(other.message)
    assert sha(state) == before
    assert received(servers) == {"red": 7, "green": 3}


async def test_nothing_is_written_where_there_was_nothing(
    tmp_path: Path, servers: Servers, state: Path
) -> None:
    await planned(document(write_csv(tmp_path / "r.csv", 10)))
    with closing(sqlite3.connect(state)) as connection:
        for table in ("campaigns", "recipients", "rejects", "routes", "warm_up_plans"):
            rows = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
            assert rows == (0,)


async def test_a_plan_looks_up_mail_servers_and_says_how_many(
    tmp_path: Path,
    servers: Servers,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "r.csv").write_text("email\na@shop.example\nb@nowhere.example\nc@gmail.com\n")
    message = {"sender": "news@example.com", "subject": "Hi", "text": "Hello"}
    with dns_server({**CONTROLS, "shop.example": {"MX": ["1 mx.hoster.net."]}}) as server:
        monkeypatch.setenv("MAILSLUICE_NAMESERVERS", f"127.0.0.1:{server.port}")
        final = await planned(document(tmp_path / "r.csv", message=message, resolve="mx"))
    found = await final.aresult()
    assert found.rejected["no mail server"] == 1
    assert found.look_ups in await page("plan-spring-sale")
    assert (
        "mail servers of the domains: 0 known from earlier look-ups, 2 looked up now,"
        " 0 without an answer"
    ) in caplog.text
    assert "1 no mail server" in caplog.text


async def test_a_plan_for_another_day_has_its_name_and_its_window(
    tmp_path: Path, servers: Servers
) -> None:
    window = {"days": "Mon-Fri", "start": "09:00", "end": "18:00", "timezone": "Europe/Berlin"}
    final = await planned(
        document(write_csv(tmp_path / "r.csv", 10), name="spring {date}", sending_window=window),
        starts_at=datetime(2030, 1, 5, 12, tzinfo=UTC),  # a Saturday
    )
    found = await final.aresult()
    assert found.campaign == "spring 2030-01-05"
    assert found.warnings[0] == "the sending window is closed: it opens at 2030-01-07 08:00 UTC"


def test_the_form_has_a_plain_field_for_the_time() -> None:
    properties = plan_campaign.parameters.properties
    assert properties["starts_at"]["type"] == "string"
    assert properties["starts_at"]["default"] == ""  # a null is refused by the server


async def test_the_plan_shows_the_message_and_its_warnings(
    tmp_path: Path, servers: Servers
) -> None:
    csv = tmp_path / "r.csv"
    people = [f"user{i}@d{i % 5}.example.com,{'' if i < 3 else 'Ann'}" for i in range(50)]
    csv.write_text("\n".join(["email,first_name", *people]) + "\n")
    message = {
        "sender": "News <news@gmail.com>",
        "subject": "Hi {{ first_name or 'there' }}",
        "html": "<p>Hello {{ first_name }}, <a href='http://example.com/?{{ email }}'>look</a></p>",
    }
    found = await (await planned(document(csv, message=message))).aresult()
    assert [one[:38] for one in found.warnings] == [
        "'first_name' is empty for 3 of 50 reci",
        "the sender is at gmail.com, whose mail",
        "there is no way to unsubscribe, neithe",
        "links or images use plain http (1), to",
    ]
    text = await page("plan-spring-sale")
    assert "## Preview" in text
    assert "<p>Hello Ann, <a href='http://example.com/?<address>'>look</a></p>" in text
    assert "Subject: Hi Ann\n" in text
    assert "@" not in text
