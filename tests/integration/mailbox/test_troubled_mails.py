"""Mails, databases and links that make trouble while returned mail is read."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import replace
from imaplib import IMAP4
from typing import Any

import pytest
import sqlalchemy as sa

from mailsluice.bounces.collected import Fate
from mailsluice.bounces.inbox import Inbox
from mailsluice.bounces.reading import ReturnedMail, read
from mailsluice.operations import collect_bounces
from mailsluice.operations.collect_bounces import collect
from mailsluice.store import Bounces, Database
from tests import returned_mail as mails
from tests.integration.dovecot import Dovecot
from tests.integration.mailbox.conftest import Launch, State, run
from tests.returned_mail import Sent

pytestmark = [
    pytest.mark.xdist_group("dovecot"),  # one dovecot for all, and one mailbox
    pytest.mark.takes_turns,
]


def test_a_bad_mail_does_not_stop_the_others(
    server: Dovecot, database: Database, state: State, launch: Launch
) -> None:
    sent = list(launch(4).values())
    nested = b"".join(
        b'Content-Type: multipart/mixed; boundary="%d"\r\n\r\n--%d\r\n' % (number, number)
        for number in range(2_000)
    )
    huge = mails.report(sent[1]) + b"x" * 76 + b"\r\n" * 1_000_000
    flood = b"".join(b"+%d=00112233aabb@example.com\r\n" % number for number in range(4_000))
    odd = mails.report(sent[3]).replace(b"no such mailbox", b"no \x01 such \xff mailbox")
    server.put(mails.report(sent[0]), nested, huge, b"\r\n", flood, odd, mails.report(sent[2]))
    found = run(server, database)
    assert found.fates == {Fate.HARD: 4, Fate.UNKNOWN: 3}
    assert len(state.suppressed()) == 4


def _reading_badly(sent: Sent, text: str) -> Callable[[bytes], ReturnedMail]:
    """Read mail as if a parser let this text through in the report about a recipient."""

    def read_badly(content: bytes) -> ReturnedMail:
        found = read(content)
        if sent.recipient.encode() not in content:
            return found
        reported = tuple(replace(recipient, text=text) for recipient in found.notice.reported)
        return replace(found, notice=replace(found.notice, reported=reported))

    return read_badly


def test_a_text_with_a_nul_is_recorded_without_it(
    server: Dovecot,
    database: Database,
    state: State,
    launch: Launch,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """PostgreSQL takes no U+0000 in a text."""
    sent = list(launch(2).values())
    server.put(*(mails.report(mail) for mail in sent))
    monkeypatch.setattr(collect_bounces, "read", _reading_badly(sent[1], "no\0 mailbox"))
    found = run(server, database)
    assert found.fates == {Fate.HARD: 2}
    assert state.suppressed() == {mail.recipient for mail in sent}


def test_a_mail_that_cannot_be_recorded_is_left_and_the_others_are_recorded(
    server: Dovecot,
    database: Database,
    state: State,
    launch: Launch,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sent = list(launch(3).values())
    server.put(*(mails.report(mail) for mail in sent))

    monkeypatch.setattr(collect_bounces, "read", _reading_badly(sent[1], "\ud800"))
    found = run(server, database)
    assert found.trouble is None
    assert found.fates == {Fate.HARD: 2, Fate.UNREADABLE: 1}
    assert found.suppressed == 2
    assert "1 not readable" in found.summary()
    assert state.suppressed() == {sent[0].recipient, sent[2].recipient}
    assert (server.count("INBOX", "FLAGGED"), server.count("Processed")) == (1, 2)
    assert run(server, database).summary() == "nothing new in the mailbox"


def test_a_mail_that_the_server_cannot_read_is_left_and_the_others_are_read(
    server: Dovecot,
    database: Database,
    state: State,
    launch: Launch,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sent = launch(5)
    server.put(*(mails.report(mail) for mail in sent.values()))
    with Inbox(server.mailbox()) as inbox:
        torn = inbox.waiting()[2]
    ask = IMAP4.uid

    def refuses(self: IMAP4, command: str, *arguments: str) -> Any:
        if command == "FETCH" and torn in arguments[0].split(","):
            return "NO", [b"[SERVERBUG] Internal error occurred for joe@example.org"]
        return ask(self, command, *arguments)

    monkeypatch.setattr(IMAP4, "uid", refuses)
    found = run(server, database)
    assert (found.trouble, found.waiting) == (None, 0)
    assert found.fates == {Fate.HARD: 4, Fate.UNREADABLE: 1}
    assert len(state.suppressed()) == 4
    assert run(server, database).summary() == "nothing new in the mailbox"


def test_an_unreachable_database_flags_no_mail(
    server: Dovecot,
    database: Database,
    launch: Launch,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server.put(*(mails.report(mail) for mail in launch(2).values()))

    def is_away(*_: object) -> None:
        raise sa.exc.OperationalError("insert", {}, Exception("no connection"))

    with monkeypatch.context() as patched:
        patched.setattr(Bounces, "record", is_away)
        with pytest.raises(sa.exc.OperationalError):
            run(server, database)
    assert (server.count(), server.count("INBOX", "FLAGGED")) == (2, 0)
    assert run(server, database).fates == {Fate.HARD: 2}


def test_a_run_reads_at_most_its_limit_and_the_next_run_continues(
    server: Dovecot,
    database: Database,
    state: State,
    launch: Launch,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(collect_bounces, "BATCH", 4)
    sent = launch(20)
    server.put(*(mails.report(mail) for mail in sent.values()))
    first = run(server, database, limit=10)
    assert (first.fates.total(), first.waiting) == (10, 10)
    assert first.summary().endswith("10 left for the next run")
    assert run(server, database, limit=10).waiting == 0
    assert state.suppressed() == set(sent)


def test_a_broken_link_ends_the_run_and_the_next_run_continues(
    server: Dovecot,
    database: Database,
    state: State,
    launch: Launch,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(collect_bounces, "BATCH", 4)
    sent = launch(10)
    server.put(*(mails.report(mail) for mail in sent.values()))
    fetch = Inbox.fetch

    def fetch_once(self: Inbox, uids: list[str]) -> Any:
        found = fetch(self, uids)
        self._box.client.sock.shutdown(socket.SHUT_RDWR)
        return found

    with monkeypatch.context() as patched:
        patched.setattr(Inbox, "fetch", fetch_once)
        first = run(server, database)
    assert str(first.trouble).endswith("The next run continues")
    assert (first.fates.total(), first.waiting, first.suppressed) == (4, 10, 4)
    second = run(server, database)
    assert (second.fates.total(), second.known_before, second.suppressed) == (10, 4, 6)
    assert state.suppressed() == set(sent)


def test_a_stopped_run_ends_after_its_batch(
    server: Dovecot,
    database: Database,
    launch: Launch,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(collect_bounces, "BATCH", 4)
    server.put(*(mails.report(mail) for mail in launch(10).values()))
    answers = iter([True, False])
    found = collect(
        server.mailbox(), database, limit=10, source="test", goes_on=lambda: next(answers)
    )
    assert (found.fates.total(), found.waiting, server.count("Processed")) == (4, 6, 4)


def test_mails_that_a_person_removes_meanwhile_are_no_trouble(
    server: Dovecot,
    database: Database,
    launch: Launch,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(collect_bounces, "BATCH", 1)
    server.put(*(mails.report(mail) for mail in launch(3).values()))
    fetch = Inbox.fetch

    def fetch_late(self: Inbox, uids: list[str]) -> Any:
        if server.count() == 3:
            with server.box() as box:
                box.delete(uids)
        return fetch(self, uids)

    monkeypatch.setattr(Inbox, "fetch", fetch_late)
    found = run(server, database)
    assert (found.fates[Fate.HARD], found.trouble) == (2, None)
