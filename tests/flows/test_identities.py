"""Identities of connections through the real flow: from the block and from the route."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from email import message_from_bytes
from email.policy import default
from pathlib import Path

from flows.plan_campaign import plan_campaign
from flows.send_test import send_test
from mailsluice.message.recipient_token import RecipientToken
from mailsluice.operations.plan import Plan
from mailsluice.operations.send_test import SendTestResult
from tests.flows.conftest import Servers, save_block
from tests.flows.running import ended
from tests.flows.test_send_campaign import document, run, write_csv


async def test_the_blocks_identity_is_used_and_the_routes_comes_before_it(
    tmp_path: Path, servers: Servers, state: Path
) -> None:
    save_block(
        "red",
        servers["red"],
        identity={"sender": "Red <red@one.example>", "provider": "sparkpost"},
    )
    save_block("green", servers["green"], identity={"sender": "Green <green@two.example>"})
    routes = [
        {"connection": "red", "percent": 50},
        {
            "connection": "green",
            "percent": 50,
            "identity": {
                "sender": "Route <route@three.example>",
                "headers": [{"name": "X-Name", "value": "{{ first_name }}"}],
            },
        },
    ]
    final = await run(document(write_csv(tmp_path / "r.csv", 20), routes=routes))
    assert final.is_completed(), final.message
    mails = {
        name: [message_from_bytes(one.content, policy=default) for one in server.received]
        for name, server in servers.items()
    }
    assert {mail["From"] for mail in mails["red"]} == {"Red <red@one.example>"}
    assert {mail["From"] for mail in mails["green"]} == {"Route <route@three.example>"}
    assert all(mail["X-Name"].startswith("Ann ") for mail in mails["green"])
    tokens = [
        RecipientToken.parse(json.loads(mail["X-MSYS-API"])["metadata"]["mailsluice"])
        for mail in mails["red"]
    ]
    with closing(sqlite3.connect(state)) as connection:
        key = connection.execute("SELECT return_key FROM campaigns").fetchone()[0]
        emails = dict(connection.execute("SELECT id, email FROM recipients").fetchall())
    assert len(tokens) == 10
    for token, mail in zip(tokens, mails["red"], strict=True):
        assert token
        assert emails[token.recipient_id] == mail["To"]
        assert token.is_genuine("spring-sale", mail["To"], key)


async def test_the_plan_and_the_test_show_each_connections_identity_without_addresses(
    tmp_path: Path, servers: Servers
) -> None:
    save_block(
        "red",
        servers["red"],
        identity={
            "sender": "Red <red@one.example>",
            "return_path": "bounces@two.example",
            "provider": "mailjet",
        },
    )
    campaign = document(write_csv(tmp_path / "r.csv", 10))
    planned = await ended(plan_campaign, campaign)
    plan = await planned.aresult()
    assert isinstance(plan, Plan)
    row = "| red | Red at one.example | one.example | two.example | mailjet |  |"
    assert row in plan.markdown()
    assert "| green | News at example.com | example.com | example.com |  |  |" in plan.markdown()
    (warning,) = [one for one in plan.warnings if "DMARC" in one]
    assert warning.startswith("red: the sender is at one.example and the return path at two.exa")
    assert "@" not in plan.markdown()

    tested = await ended(send_test, campaign, ["me@one.example.org"])
    result = await tested.aresult()
    assert isinstance(result, SendTestResult)
    assert row in result.markdown()
    (copy,) = servers["red"].received
    mail = message_from_bytes(copy.content, policy=default)
    assert mail["From"] == "Red <red@one.example>"
    assert RecipientToken.parse(mail["X-MJ-CustomID"])


async def test_a_wrong_template_in_a_block_stops_the_campaign_before_anything_is_stored(
    tmp_path: Path, servers: Servers, state: Path
) -> None:
    wrong = {"headers": [{"name": "X-Name", "value": "{{ frist_name }}"}]}
    save_block("red", servers["red"], identity=wrong)
    final = await run(document(write_csv(tmp_path / "r.csv", 2)))
    assert final.is_failed()
    assert final.message
    assert "with the identity of 'red': header X-Name, line 1" in final.message
    assert "Did you mean 'first_name'?" in final.message
    assert not any(server.received for server in servers.values())
    with closing(sqlite3.connect(state)) as connection:
        assert connection.execute("SELECT count(*) FROM campaigns").fetchone() == (0,)
