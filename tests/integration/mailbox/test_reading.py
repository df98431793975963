"""A mailbox's server: how it is reached, what it says, and the whole circle with a postfix."""

from __future__ import annotations

import asyncio
import base64
import socket
import time
import traceback
from collections import Counter
from dataclasses import replace
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from mailsluice.bounces.collected import Fate
from mailsluice.bounces.inbox import Inbox
from mailsluice.bounces.mailbox import MailboxAccount
from mailsluice.core.errors import MailboxError
from mailsluice.smtp.connection import Security
from mailsluice.store import Database
from tests import returned_mail as mails
from tests.eventually import eventually
from tests.integration.campaign_fixtures import Sender, campaign, connection, people
from tests.integration.daemons import require
from tests.integration.dovecot import Dovecot
from tests.integration.mailbox.conftest import RETURN_PATH, State, run
from tests.integration.postfix import MASTER, postfix
from tests.integration.smtp_fixtures import Certificates
from tests.returned_mail import Sent
from tests.smtpd import Fault, SmtpServer, Stage

pytestmark = pytest.mark.xdist_group("dovecot")  # one dovecot for all, and one mailbox


def _says_no(listener: socket.socket, said: bytes) -> None:
    """An IMAP server that refuses each login with a long text."""
    with listener.accept()[0] as link, link.makefile("rwb") as file:
        file.write(b"* OK ready\r\n")
        file.flush()
        for line in file:
            tag, command, *_ = line.split()
            if command == b"CAPABILITY":
                file.write(b"* CAPABILITY IMAP4rev1\r\n" + tag + b" OK done\r\n")
            elif command == b"LOGIN":
                file.write(tag + b" NO " + said + b"\r\n")
            else:
                file.write(tag + b" OK done\r\n")
            file.flush()


def test_a_long_refusal_is_cut() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = Thread(target=_says_no, args=(listener, b"a@" * 200_000), daemon=True)
        thread.start()
        port = listener.getsockname()[1]
        begun = time.process_time()
        with pytest.raises(MailboxError, match="the login was refused") as raised:
            Inbox(MailboxAccount("127.0.0.1", "joe", "secret", port, Security.NONE))
        assert time.process_time() - begun < 10  # minutes, if it took the square of the length
        assert len(str(raised.value)) < 1_000
        assert "@" not in str(raised.value)


def test_a_password_that_the_mailboxs_server_repeats_is_masked() -> None:
    password = "pa55word"
    packed = base64.b64encode(b"\0joe\0pa55word")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        said = b"wrong: pa55word, " + packed + b" of joe@example.org"
        Thread(target=_says_no, args=(listener, said), daemon=True).start()
        port = listener.getsockname()[1]
        with pytest.raises(MailboxError, match="the login was refused") as raised:
            Inbox(MailboxAccount("127.0.0.1", "joe", password, port, Security.NONE))
    shown = "".join(traceback.format_exception(raised.value))  # with its cause, as logs have it
    for secret in (password, packed.decode(), "joe@"):
        assert secret not in str(raised.value)
        assert secret not in shown


@pytest.mark.parametrize("security", list(Security))
def test_a_mailbox_is_read_with_any_security(security: Security, server: Dovecot) -> None:
    server.put(mails.spam(Sent()))
    with Inbox(server.mailbox(security=security)) as inbox:
        (one,) = inbox.fetch(inbox.waiting())
        assert one.content == mails.spam(Sent())
        assert inbox.waiting()  # it stays unread


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"password": "wrong"}, "the login was refused .*: check user name and password"),
        ({"username": "nobody@example.com", "password": "pässword"}, "the login was refused"),
        ({"folder": "Nowhere"}, "'Nowhere' cannot be opened .* there is: .*INBOX"),
        ({"processed_folder": "a//b"}, "'a//b' cannot be made .* Make the folder there"),
        ({"ca_file": None}, "certificate does not verify: .* set ca_file"),
        ({"ca_file": "/nowhere"}, "ca_file '/nowhere' holds no readable certificate"),
    ],
)
def test_errors_of_a_mailbox_give_the_next_step(
    fields: dict[str, Any], says: str, server: Dovecot
) -> None:
    with pytest.raises(MailboxError, match=says) as raised:
        Inbox(server.mailbox(**fields))
    assert "@" not in str(raised.value)


@pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
def test_the_whole_circle_with_a_postfix_that_cannot_deliver(
    server: Dovecot,
    database: Database,
    state: State,
    certificates: Certificates,
    tmp_path: Path,
) -> None:
    require(MASTER, "postfix")
    good = people(6, "example.org")
    replies = {
        "gone": b"550 5.1.1 no such mailbox",
        "moved": b"550 the user is unknown here",
        "full": b"552 5.2.2 the mailbox is full",
        "fenced": b"554 5.7.1 blocked by policy",
    }
    document = campaign(
        tmp_path,
        [*good, *(f"{reply}@example.org" for reply in replies)],
        message={
            "sender": "news@example.com",
            "subject": "Hi",
            "text": "Hello",
            "return_path": RETURN_PATH,
        },
    )
    faults = {address: Fault(Stage.RCPT, reply) for address, reply in replies.items()}
    with (
        SmtpServer(faults=faults) as far,
        postfix(certificates, 100_000, ["dsn"], far.port) as near,
    ):
        relay = replace(connection("red", far), port=near.ports["dsn"])
        sender = Sender(database, tmp_path)
        asyncio.run(sender.send(document, [relay]))
        assert sender.ledger.states() == {"sent": 10}  # the relay has taken all
        eventually(lambda: len(near.mail()) >= len(replies) and near.is_idle())
        assert far.recipients == Counter(good)
        server.put(*near.mail())
    found = run(server, database)
    assert found.fates == {Fate.HARD: 2, Fate.SOFT: 1, Fate.NOT_THE_ADDRESS: 1}
    assert state.suppressed() == {"gone@example.org", "moved@example.org"}
    assert state.kinds() == {
        "gone@example.org": "hard",
        "moved@example.org": "hard",
        "full@example.org": "soft",
    }
    assert {row.connection for row in state.rows()} == {"red"}
    before = state.rows()
    assert run(server, database).fates.total() == 0
    assert state.rows() == before
    assert sender.ledger.states() == {"sent": 10}
