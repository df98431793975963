"""Identities of connections on the wire: a campaign on the engine, recorded by real servers."""

from __future__ import annotations

import asyncio
import csv
import json
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from typing import Any

import pytest

from mailsluice.campaign import SenderIdentity
from mailsluice.core.errors import CampaignDiffersError, MessageError
from mailsluice.message.recipient_token import RecipientToken
from mailsluice.message.return_path import tokens
from mailsluice.operations.accounts import LedgerError, export, find_recipients
from mailsluice.operations.send import prepare
from mailsluice.store import Campaigns, Database
from mailsluice.store.sent_mail import SentMail
from tests.eventually import eventually
from tests.integration.campaign_fixtures import (
    Sender,
    campaign,
    connection,
    everybody_once,
    people,
)
from tests.smtpd import Fault, SmtpServer, Stage

pytestmark = pytest.mark.takes_turns

SENDGRID = SenderIdentity.model_validate(
    {
        "sender": "Shop <shop@send.example.org>",
        "return_path": "bounces@send.example.org",
        "provider": "sendgrid",
        "headers": [{"name": "X-To", "value": "{{ email|upper }}"}],
    }
)


def headers(server: SmtpServer) -> list[Any]:
    return [message_from_bytes(one.content, policy=default) for one in server.received]


async def test_each_connection_sends_under_its_own_identity(
    database: Database, tmp_path: Path
) -> None:
    with SmtpServer() as red, SmtpServer() as green:
        document = campaign(tmp_path, people(10), ["red", "green"])
        sender = Sender(database, tmp_path)
        await sender.send(
            document,
            [connection("red", red, identity=SENDGRID), connection("green", green)],
        )
    everybody_once(sender.ledger, {"red": red, "green": green})
    assert {mail["From"] for mail in headers(red)} == {"Shop <shop@send.example.org>"}
    assert {mail["From"] for mail in headers(green)} == {"news@example.com"}
    assert {one.sender for one in green.received} == {"news@example.com"}
    assert all(one.sender.endswith("@send.example.org") for one in red.received)
    assert len({one.sender for one in red.received}) == len(red.received)
    key = Campaigns(database).get(document.name).return_key or ""
    assert all(tokens(one.sender.encode())[0].is_genuine(key) for one in red.received)
    for one, mail in zip(red.received, headers(red), strict=True):
        assert mail["X-To"] == one.recipient.upper()
        assert mail["Message-ID"].endswith("@example.com>")
    assert not any(b"X-" in one.content for one in green.received)


async def test_a_token_on_the_wire_leads_to_its_recipient_and_to_nobody_else(
    database: Database, tmp_path: Path
) -> None:
    with SmtpServer() as red:
        document = campaign(tmp_path, people(10))
        await Sender(database, tmp_path).send(document, [connection("red", red, identity=SENDGRID)])
    for one, mail in zip(red.received, headers(red), strict=True):
        text = json.loads(mail["X-SMTPAPI"])["unique_args"]["mailsluice"]
        token = RecipientToken.parse(text)
        assert token
        (found,) = SentMail(database).by_id([token.recipient_id])
        assert found.email == one.recipient
        assert token.is_genuine(found.campaign, found.email, found.return_key)
        for other in SentMail(database).by_id(range(1, 11)):
            is_own = other.email == one.recipient
            assert token.is_genuine(other.campaign, other.email, other.return_key) == is_own


async def test_a_resumed_campaign_uses_the_connections_identity_of_now(
    database: Database, tmp_path: Path
) -> None:
    """Those who got the mail before keep what they got."""
    other = SenderIdentity.model_validate({"sender": "Old <old@example.com>"})
    sender = Sender(database, tmp_path)
    with SmtpServer() as red:
        document = campaign(tmp_path, people(20))
        red.hold(after=2)
        run = sender.prepare(document)
        first = connection("red", red, identity=other, max_sessions=1)
        sending = asyncio.ensure_future(sender.send_prepared(run, document, [first]))
        await asyncio.to_thread(
            eventually, lambda: len(red.received), lambda seen: seen == 3, what="three messages"
        )
        run.stop()
        red.release()
        await sending
        await run.close()
        await sender.send(document, [connection("red", red, identity=SENDGRID)], "second run")
    everybody_once(sender.ledger, {"red": red})
    senders = [mail["From"] for mail in headers(red)]
    before = senders.count("Old <old@example.com>")
    assert 3 <= before < 20  # the message on its way at the stop belongs to the first run
    assert senders[before:] == ["Shop <shop@send.example.org>"] * (20 - before)


def test_a_campaign_with_another_identity_on_its_route_is_refused(
    database: Database, tmp_path: Path
) -> None:
    document = campaign(tmp_path, people(1))
    changed = document.model_copy(
        update={
            "routes": (document.routes[0].model_copy(update={"identity": SENDGRID}),),
        }
    )
    sender = Sender(database, tmp_path)
    Campaigns(database).register(document.name, {**document.content(), "attachments": {}})
    with pytest.raises(CampaignDiffersError, match=r"routes\[0\]\.identity"):
        sender.prepare(changed)


def test_a_wrong_identity_stops_a_campaign_before_it_is_stored(
    database: Database, tmp_path: Path
) -> None:
    document = campaign(tmp_path, people(1))
    wrong = SenderIdentity.model_validate({"headers": [{"name": "X-A", "value": "{{ city }}"}]})
    with pytest.raises(MessageError, match=r"identity of 'red': header X-A, line 1"):
        prepare(
            database,
            document,
            owner="first run",
            home=tmp_path,
            day=Sender(database, tmp_path).day,
            identities={"red": wrong},
        )
    assert Campaigns(database).find(document.name) is None


async def test_a_recipient_is_found_by_its_token_and_by_the_id_in_the_reply(
    database: Database, tmp_path: Path
) -> None:
    everybody = people(10)
    replies = {
        email.partition("@")[0]: Fault(Stage.ACCEPTED, f"250 Ok: queued as 9%_{number}xyz".encode())
        for number, email in enumerate(everybody)
    }
    with SmtpServer(faults=replies) as red:
        await Sender(database, tmp_path).send(
            campaign(tmp_path, everybody), [connection("red", red, identity=SENDGRID)]
        )
    for number, email in enumerate(everybody):
        for given in (f"9%_{number}xyz", f"<9%_{number}xyz.filter0905p1mdw1-4434-59E0C6FF-3.0>"):
            (found,) = find_recipients(database, "spring-sale", given)
            assert (found.email, found.found_by) == (email, "reply id")
            assert "@" not in repr(found)
    for one, mail in zip(red.received, headers(red), strict=True):
        token = json.loads(mail["X-SMTPAPI"])["unique_args"]["mailsluice"]
        (found,) = find_recipients(database, "spring-sale", token)
        assert (found.email, found.found_by) == (one.recipient, "token")
        assert (
            find_recipients(
                database, "spring-sale", f"{token[:-1]}{'0' if token[-1] != '0' else '1'}"
            )
            == []
        )
    for unknown in ("queued", "9%_1xy", "9__1xyz"):
        assert find_recipients(database, "spring-sale", unknown) == []
    with pytest.raises(LedgerError, match="this is no id"):
        find_recipients(database, "spring-sale", "Ok: queued as")

    path = tmp_path / "out.csv"
    export(database, "spring-sale", path)
    with path.open(encoding="utf-8", newline="") as file:
        rows = [*csv.DictReader(file)]
    for row in rows:
        assert find_recipients(database, "spring-sale", row["token"])[0].email == row["email"]
    exported = {row["email"]: row["reply_id"] for row in rows}
    assert exported == {email: f"9%_{number}xyz" for number, email in enumerate(everybody)}
