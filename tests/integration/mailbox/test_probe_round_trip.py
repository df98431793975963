"""Copies over Mailsluice's SMTP, a real postfix, into a real dovecot, and back by IMAP."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from mailsluice.core.envelope import Envelope
from mailsluice.operations.probes.delivered import Placement
from mailsluice.operations.probes.fields import PROBE_HEADER
from mailsluice.operations.probes.watching import Probe, begin, find
from mailsluice.operations.send_test import deliver
from mailsluice.smtp.connection import Connection, Security
from mailsluice.smtp.login import open_session
from mailsluice.store import Database
from tests.integration.daemons import require
from tests.integration.dovecot import Dovecot
from tests.integration.postfix import MASTER, Maildirs, postfix
from tests.integration.smtp_fixtures import Certificates

pytestmark = pytest.mark.xdist_group("dovecot")  # one dovecot for all, and one mailbox
FOLDERS = {"inbox@example.com": "bounces/", "junk@example.com": "bounces/.Junk/"}
FORGED = b"Authentication-Results: postfix.example; spf=pass smtp.mailfrom=example.com\r\n"


def envelope(number: int, recipient: str) -> Envelope:
    content = (
        b"Received: from app ([203.0.113.9]) by relay.example with ESMTP id 1;"
        b" Fri, 27 Nov 2026 17:00:05 +0000\r\n" + FORGED + b"From: news@example.com\r\n"
        b"To: %b\r\n%b: mark\r\nSubject: Hi\r\n\r\nHello\r\n"
        % (recipient.encode(), PROBE_HEADER.encode())
    )
    return Envelope(number, "news@example.com", recipient, content)


async def test_a_copy_goes_through_postfix_into_dovecot_and_is_read_back(
    certificates: Certificates, server: Dovecot, sqlite_database: Database
) -> None:
    require(Path(MASTER), "postfix")
    with server.box() as box:
        box.folder.create("Junk")
    maildirs = Maildirs(server.log.parent / "mail", FOLDERS, "mail")
    with postfix(certificates, 200_000, [""], maildirs=maildirs) as relay:
        connection = Connection(
            *("red", "127.0.0.1", relay.ports[""], Security.STARTTLS),
            ca_file=certificates.ca_file,
        )
        probe = Probe("mine", server.mailbox())
        watches = await begin([probe])
        begun = time.time()
        for number, (address, placement) in enumerate(
            zip(FOLDERS, (Placement.INBOX, Placement.SPAM), strict=True), 1
        ):
            sent = await deliver(
                connection, [envelope(1, address)], sqlite_database, open_session=open_session
            )
            assert sent.accepted == 1, sent
            accepted_at = sent.accepted_at(0)
            assert accepted_at is not None
            assert begun <= accepted_at <= time.time()
            found = await find(watches, {"mine": ["mark"]}, wait_seconds=60)
            delivered = found["mine", "mark"]
            assert delivered.placement is placement, number
            assert delivered.is_by_received
            assert abs(delivered.at - accepted_at) < 60
            assert delivered.tls == "yes"  # ESMTPS: by default postfix names no version
            assert delivered.verdicts.spf is None  # below the Received of another organisation
