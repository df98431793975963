"""Addresses on the wire: as they are written, in quotes where RFC 5321 wants them."""

from __future__ import annotations

from email import message_from_bytes, policy
from pathlib import Path

import pytest
import sqlalchemy as sa

from mailsluice.core.folding import folded
from mailsluice.store import Database, Suppressions
from mailsluice.store.schema import rejects
from tests.integration.campaign_fixtures import Sender, campaign, connection
from tests.smtpd import Fault, Settings, SmtpServer, Stage

GIVEN = [
    "John.Doe@Example.com",
    "john.doe@example.com",  # the same mailbox
    "a..b@docomo.ne.jp",
    "a.@ezweb.ne.jp",
    ".a@au.com",
    '"""A..B""@docomo.ne.jp"',  # the same as a..b@
    "a..b@example.com",  # nobody has issued that one
    "\u200bplain@example.com\ufeff",
]
SENT = {
    "John.Doe@example.com",
    '"a..b"@docomo.ne.jp',
    '"a."@ezweb.ne.jp',
    '".a"@au.com',
    "plain@example.com",
}


@pytest.mark.parametrize("in_flight", [1, 5])
@pytest.mark.parametrize("keywords", [(), ("PIPELINING",), ("PIPELINING", "CHUNKING")])
async def test_envelope_and_header_have_the_address_in_its_form_on_the_wire(
    database: Database, tmp_path: Path, keywords: tuple[str, ...], in_flight: int
) -> None:
    sender = Sender(database, tmp_path)
    with SmtpServer(Settings(keywords=keywords)) as server:
        red = connection("red", server, messages_in_flight=in_flight)
        report = await sender.send(campaign(tmp_path, GIVEN), [red])
        received = {one.recipient: one.content for one in server.received}
    assert received.keys() == SENT
    assert report.rejected["duplicate"] == 2
    assert report.rejected["invalid"] == 1
    with database.read() as reader:
        details = reader.execute(sa.select(rejects.c.row, rejects.c.detail)).all()
    assert {row: bool(detail) for row, detail in details} == {2: False, 6: False, 7: True}
    for recipient, content in received.items():
        assert f"\r\nTo: {recipient}\r\n".encode() in content
        read = message_from_bytes(content, policy=policy.SMTP)["To"]
        assert not read.defects
        assert folded(read.addresses[0].addr_spec) == folded(recipient)


async def test_an_address_that_bounced_gets_no_mail_in_another_spelling(
    database: Database, tmp_path: Path
) -> None:
    sender = Sender(database, tmp_path)
    gone = Fault(Stage.RCPT, b"550 5.1.1 no such user")
    with SmtpServer(faults={"Gone": gone}) as server:
        red = connection("red", server)
        await sender.send(campaign(tmp_path, ["Gone@example.com", "ann@example.com"]), [red])
        assert Suppressions(database).find(["GONE@EXAMPLE.COM"])[0].reason == "bounced"
        later = campaign(tmp_path, ["gone@example.com", "ann@example.com"], name="summer")
        report = await sender.send(later, [red])
        assert report.held_back == {"bounced": 1}
        assert set(server.recipients) == {"ann@example.com"}
