"""Probe mailboxes on a real dovecot: folders, what is found, and that nothing is changed."""

from __future__ import annotations

import asyncio
import socket
from threading import Thread
from typing import Any

import pytest

from mailsluice.bounces.mailbox import MailboxAccount
from mailsluice.core.errors import CampaignError, MailboxError
from mailsluice.operations.probes.delivered import Delivered, Placement
from mailsluice.operations.probes.fields import PROBE_HEADER
from mailsluice.operations.probes.mailbox import ProbeMailbox
from mailsluice.operations.probes.watching import Probe, Watch, begin, find
from mailsluice.smtp.connection import Security
from tests.integration.dovecot import Dovecot

pytestmark = pytest.mark.xdist_group("dovecot")  # one dovecot for all, and one mailbox

HEAD = (
    "Authentication-Results: mx.example.net; spf=pass smtp.mailfrom=example.com\r\n"
    "Received: from o1.sendgrid.example (o1.sendgrid.example [203.0.113.7])\r\n"
    "\tby mx.example.net (Postfix) with ESMTPS id 9C; Fri, 27 Nov 2026 17:00:05 +0000\r\n"
)


def copy(mark: str) -> bytes:
    own = f"From: news@example.com\r\n{PROBE_HEADER}: {mark}\r\nSubject: Hi\r\n\r\nHello\r\n"
    return (HEAD + own).encode()


def probe(server: Dovecot, **fields: Any) -> Probe:
    return Probe("mine", server.mailbox(**fields))


def put(server: Dovecot, folder: str, *mails: bytes) -> None:
    with server.box() as box:
        if not box.folder.exists(folder):
            box.folder.create(folder)
        for mail in mails:
            box.append(mail, folder)


async def looked(watches: list[Watch], *marks: str, seconds: float = 0.0) -> dict[str, Delivered]:
    found = await find(watches, {"mine": marks}, wait_seconds=seconds, sleep=lambda _: no_wait())
    return {mark: delivered for (_, mark), delivered in found.items()}


async def no_wait() -> None:
    await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("folder", "placement"),
    [
        ("INBOX", Placement.INBOX),
        ("Junk", Placement.SPAM),
        ("Spam", Placement.SPAM),
        ("Receipts", Placement.OTHER),
        ("Entwürfe & mehr", Placement.OTHER),  # encoded (RFC 3501 section 5.1.3)
    ],
)
async def test_a_copy_is_found_in_whatever_folder_it_is(
    server: Dovecot, folder: str, placement: Placement
) -> None:
    watches = await begin([probe(server)])
    put(server, folder, copy("b"), copy("a"), b"Subject: something else\r\n\r\n")
    found = await looked(watches, "a")
    assert [*found] == ["a"]
    assert (found["a"].placement, found["a"].folder) == (placement, folder)
    assert found["a"].verdicts.spf is not None
    assert found["a"].tls == "yes"


async def test_mail_that_was_there_before_is_not_looked_at_and_new_mail_is_found_later(
    server: Dovecot,
) -> None:
    put(server, "INBOX", copy("a"))
    put(server, "Junk", copy("a"))
    watches = await begin([probe(server)])
    assert await looked(watches, "a") == {}
    put(server, "Junk", copy("a"))
    assert (await looked(watches, "a"))["a"].placement is Placement.SPAM


async def test_the_wait_goes_on_until_each_copy_is_found(server: Dovecot) -> None:
    watches = await begin([probe(server)])
    waits = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        await asyncio.to_thread(put, server, "INBOX", copy("ab"[len(waits) - 1]))

    found = await find(watches, {"mine": ["a", "b"]}, wait_seconds=3_600, sleep=sleep)
    assert {mark for _, mark in found} == {"a", "b"}
    assert waits == [1.0, 1.5]


async def test_the_wait_ends_for_what_does_not_come(server: Dovecot) -> None:
    watches = await begin([probe(server)])
    waits = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        await asyncio.sleep(0)

    assert await find(watches, {"mine": ["a"]}, wait_seconds=60, sleep=sleep) == {}
    assert sum(waits) == pytest.approx(60)
    assert len(waits) < 12


async def test_nothing_in_the_mailbox_changes(server: Dovecot) -> None:
    put(server, "INBOX", b"Subject: old\r\n\r\n")
    watches = await begin([probe(server)])
    put(server, "INBOX", copy("a"))
    with server.box() as box:  # deleted by its owner, and not expunged yet
        box.client.uid("STORE", box.uids()[0], "+FLAGS.SILENT", r"(\Deleted)")
    await looked(watches, "a")
    assert server.count() == 2
    assert server.count(criteria="UNSEEN") == 2
    assert server.count(criteria="FLAGGED") == 0
    with server.box() as box:
        assert [folder.name for folder in box.folder.list()] == ["INBOX"]


async def test_the_spam_folder_of_the_block_counts_alone(server: Dovecot) -> None:
    put(server, "Verdacht")
    put(server, "Junk")
    watches = await begin([probe(server, spam_folder="Verdacht")])
    put(server, "Verdacht", copy("a"))
    put(server, "Junk", copy("b"))
    found = await looked(watches, "a", "b")
    assert {mark: one.placement for mark, one in found.items()} == {
        "a": Placement.SPAM,
        "b": Placement.OTHER,
    }


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"password": "wrong"}, "probe 'mine': .*the login was refused"),
        ({"spam_folder": "Nowhere"}, "no folder 'Nowhere'.* Correct it, or leave it empty"),
        ({"folder": "Nowhere"}, "folder 'Nowhere' cannot be opened"),
    ],
)
async def test_a_mailbox_that_cannot_be_read_is_told_before_anything_is_sent(
    server: Dovecot, fields: dict[str, str], words: str
) -> None:
    with pytest.raises(CampaignError, match=words) as raised:
        await begin([probe(server, **fields)])
    assert "@" not in str(raised.value)


async def test_a_mailbox_that_is_lost_meanwhile_says_why(server: Dovecot) -> None:
    (watch,) = await begin([probe(server)])
    watch.probe = Probe("mine", server.mailbox(password="changed"))
    assert await looked([watch], "a") == {}
    assert "the login was refused" in watch.trouble
    watch.probe = probe(server)
    await looked([watch], "a")
    assert watch.trouble == ""


def test_a_folder_that_is_deleted_meanwhile_hides_no_other(server: Dovecot) -> None:
    put(server, "Gone")
    with ProbeMailbox(server.mailbox()) as mailbox:
        marks = mailbox.marks()
        with server.box() as box:
            box.folder.delete("Gone")
        put(server, "INBOX", copy("a"))
        assert [*mailbox.find({"a"}, marks)] == ["a"]


def test_a_server_that_is_away_is_told(server: Dovecot) -> None:
    with pytest.raises(MailboxError, match="certificate does not verify"):
        ProbeMailbox(server.mailbox(ca_file=None))


ANSWERS = {
    b"CAPABILITY": b"* CAPABILITY IMAP4rev1\r\n",
    b"LIST": b'* LIST () "/" INBOX\r\n* LIST () "/" "box of joe@example.org"\r\n',
    b"STATUS": b"* STATUS INBOX (UIDVALIDITY 1 UIDNEXT 9)\r\n",
    b"UID": b"* SEARCH 7 8\r\n",
}


def _answers(listener: socket.socket, answers: dict[bytes, bytes]) -> None:
    """An IMAP server that gives these answers, and knows no folder Spam."""
    with listener.accept()[0] as link, link.makefile("rwb") as file:
        file.write(b"* OK ready\r\n")
        file.flush()
        for line in file:
            tag, command, *_ = line.split()
            end = b" NO unknown\r\n" if b"Spam" in line else b" OK done\r\n"
            file.write(answers.get(command, b"") + tag + end)
            file.flush()


def _look(answers: dict[bytes, bytes], **fields: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        Thread(target=_answers, args=(listener, ANSWERS | answers), daemon=True).start()
        port = listener.getsockname()[1]
        account = MailboxAccount("127.0.0.1", "joe", "x", port, Security.NONE, **fields)
        with ProbeMailbox(account) as mailbox:
            mailbox.marks()
            mailbox.find({"mark"}, {})


@pytest.mark.parametrize(
    "answers",
    [
        {b"UID": b"* SEARCH one two\r\n"},
        {b"UID": b"* SEARCH " + b"9" * 5_000 + b"\r\n"},
        {b"STATUS": b""},
        {b"STATUS": b"* STATUS \xff (UIDVALIDITY 1 UIDNEXT 9)\r\n"},
        {b"STATUS": b"* STATUS INBOX (UIDNEXT " + b"9" * 5_000 + b")\r\n"},
    ],
)
def test_a_server_that_does_not_speak_imap_is_the_mailboxs_trouble(
    answers: dict[bytes, bytes],
) -> None:
    with pytest.raises(MailboxError, match="an answer of the server cannot be read"):
        _look(answers)


def test_folders_in_messages_have_no_addresses() -> None:
    with pytest.raises(MailboxError, match=r"there is: INBOX, .*<address>") as raised:
        _look({}, spam_folder="Spam")
    assert "joe@" not in str(raised.value)


def test_a_literal_without_end_is_not_read_into_memory() -> None:
    with pytest.raises(MailboxError, match="a literal of 99,999,999,999 octets"):
        _look({b"UID": b"* 1 FETCH (UID 5 BODY[HEADER]<0> {99999999999}\r\n"})
