"""Returned mail is read by IMAP from a real dovecot, into a real state database."""

from __future__ import annotations

import asyncio
import base64
import re
import socket
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from imaplib import IMAP4
from pathlib import Path
from threading import Thread
from typing import Any, Protocol

import orjson
import pytest
import sqlalchemy as sa

from mailsluice.bounces.collected import Collected, Fate
from mailsluice.bounces.inbox import Inbox
from mailsluice.bounces.mailbox import MailboxAccount
from mailsluice.bounces.reading import ReturnedMail, read
from mailsluice.campaign import SenderIdentity
from mailsluice.core.errors import MailboxError
from mailsluice.message import message_id
from mailsluice.operations import collect_bounces
from mailsluice.operations.collect_bounces import collect
from mailsluice.smtp.connection import Security
from mailsluice.store import Bounces, Database
from mailsluice.store.schema import bounces, campaigns, recipients, suppressions
from tests import returned_mail as mails
from tests.eventually import eventually
from tests.integration.campaign_fixtures import Sender, campaign, connection, people
from tests.integration.daemons import require
from tests.integration.dovecot import Dovecot, dovecot
from tests.integration.old_schema import old_schema
from tests.integration.postfix import MASTER, postfix
from tests.integration.smtp_fixtures import Certificates
from tests.returned_mail import COMPLAINTS, FORMATS, Sent
from tests.smtpd import Fault, SmtpServer, Stage

RETURN_PATH = "bounces@example.com"
pytestmark = pytest.mark.xdist_group("dovecot")  # one dovecot for all, and one mailbox


class Launch(Protocol):
    """Send a campaign to so many people; return the mail of each, by address."""

    def __call__(
        self, number: int = 10, name: str = "spring-sale", **message: Any
    ) -> dict[str, Sent]: ...


@pytest.fixture(scope="module")
def running(certificates: Certificates) -> Iterator[Dovecot]:
    with dovecot(certificates) as server:
        yield server


@pytest.fixture
def server(running: Dovecot) -> Iterator[Dovecot]:
    """Return a server with an empty mailbox."""
    yield running
    running.empty()


@pytest.fixture
def launch(database: Database, tmp_path: Path) -> Iterator[Launch]:
    with SmtpServer() as smtp:

        def sent(number: int = 10, name: str = "spring-sale", **message: Any) -> dict[str, Sent]:
            smtp.received.clear()
            document = campaign(
                tmp_path,
                people(number, "Example.ORG"),
                name=name,
                message={
                    "sender": "News <news@example.com>",
                    "subject": "Hi",
                    "text": "Hello",
                    "return_path": RETURN_PATH,
                    **message,
                },
            )
            sender = Sender(database, tmp_path)
            asyncio.run(sender.send(document, [connection("red", smtp)]))
            return {envelope.recipient: _as_sent(envelope) for envelope in smtp.received}

        yield sent


def _as_sent(message: Any) -> Sent:
    head = message.content.partition(b"\r\n\r\n")[0].decode()
    (message_id,) = (line[12:] for line in head.splitlines() if line.startswith("Message-ID: "))
    return Sent(message.sender, message.recipient, message_id)


class State:
    """The records of returned mail in the state database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def _all(self, query: sa.Select[Any]) -> list[Any]:
        with self._database.read() as reader:
            return list(reader.execute(query))

    def kinds(self) -> dict[str, str]:
        return {row.email: row.kind for row in self._all(sa.select(bounces))}

    def suppressed(self) -> set[str]:
        return {row.email for row in self._all(sa.select(suppressions.c.email))}

    def rows(self) -> list[Any]:
        return self._all(sa.select(bounces))


@pytest.fixture
def state(database: Database) -> State:
    return State(database)


def run(server: Dovecot, database: Database, limit: int = 10_000) -> Collected:
    return collect(server.mailbox(), database, limit=limit, source="mailbox bounces")


def test_each_recipient_has_a_return_path_of_its_own(
    launch: Launch,
) -> None:
    sent = launch(10)
    assert len({mail.return_path for mail in sent.values()}) == 10
    assert all(mail.return_path.startswith("bounces+") for mail in sent.values())
    assert launch(2, "plain", return_path=None)["user0@example.org"].return_path == (
        "news@example.com"
    )


def test_returned_mail_is_recorded_and_moved(
    server: Dovecot, database: Database, state: State, launch: Launch
) -> None:
    sent = list(launch(len(FORMATS) + 6).values())
    *complained, late, away, unasked = sent[len(FORMATS) :]
    server.put(
        *(write(mail) for write, mail in zip(FORMATS.values(), sent, strict=False)),
        *(write(mail) for write, mail in zip(COMPLAINTS.values(), complained, strict=True)),
        mails.delayed(late),
        mails.out_of_office(away),
        mails.spam(unasked),
    )
    before = time.time()
    found = run(server, database)
    assert found.fates == {
        Fate.HARD: len(FORMATS) - 1,
        Fate.SOFT: 1,
        Fate.COMPLAINT: 3,
        Fate.PASSING: 1,
        Fate.AUTO_REPLY: 1,
        Fate.UNKNOWN: 1,
    }
    soft = sent[list(FORMATS).index("gmail")].recipient
    expected = {mail.recipient: "hard" for mail in sent[: len(FORMATS)]} | {soft: "soft"}
    expected |= {mail.recipient: "complaint" for mail in complained}
    assert state.kinds() == expected
    assert state.suppressed() == set(expected) - {soft}
    assert found.suppressed == len(expected) - 1
    row = next(row for row in state.rows() if row.email == sent[0].recipient)
    assert (row.status, row.connection, row.source) == ("5.1.1", "red", "mailbox bounces")
    assert row.detail == "550 5.1.1 no such mailbox here"
    assert abs(row.at - before) < 60
    assert (server.count("INBOX"), server.count("INBOX", "FLAGGED")) == (1, 1)
    assert server.count("Processed") == len(sent) - 1
    assert "@" not in found.markdown() + found.summary()


def test_a_mail_to_the_unsubscribe_address_suppresses_its_recipient(
    server: Dovecot, database: Database, state: State, tmp_path: Path
) -> None:
    """From the header of the received mail to the suppression list, by a mail program's mail."""
    identity = SenderIdentity.model_validate(
        {"unsubscribe_mailbox": "unsubscribe@example.com", "return_path": RETURN_PATH}
    )
    with SmtpServer() as smtp:
        over = connection("red", smtp, identity=identity)
        asyncio.run(
            Sender(database, tmp_path).send(campaign(tmp_path, people(6, "example.org")), [over])
        )
        sent = {mail.recipient: _as_sent(mail) for mail in smtp.received}
        content = b"".join(mail.content for mail in smtp.received)
        listed = re.findall(rb"mailto:unsubscribe[+](.*)@", content)
        tokens = dict(zip(sent, map(bytes.decode, listed), strict=True))
    ann, bob, carl, dave, eve, _ = sent.values()
    server.put(
        mails.unsubscribing(ann, tokens[ann.recipient]),
        mails.unsubscribing(carl, tokens[bob.recipient], number=2),  # forwarded mail: Bob's token
        mails.unsubscribing(dave, f"{tokens[dave.recipient][:-4]}0000", number=3),
        mails.unsubscribing(dave, "none", number=4),
        mails.unsubscribing(eve, tokens[eve.recipient], extra="Auto-Submitted: auto-replied"),
        mails.report(Sent(return_path=f"unsubscribe+{tokens[eve.recipient]}@example.com")),
    )
    found = run(server, database)
    assert found.fates == {
        Fate.UNSUBSCRIBED: 2,
        Fate.NOT_OURS: 2,  # a forged token; a report about a mail that we did not send
        Fate.UNKNOWN: 1,
        Fate.AUTO_REPLY: 1,
    }
    assert state.suppressed() == {ann.recipient, bob.recipient}
    assert state.rows() == []  # no bounce
    assert (server.count("Processed"), server.count("INBOX", "FLAGGED")) == (3, 3)
    assert found.campaign_ids == {1}
    assert "2 unsubscribed" in found.summary()
    server.put(mails.unsubscribing(ann, tokens[ann.recipient]))
    again = run(server, database)
    assert (again.suppressed, again.known_before) == (0, 1)


def test_a_second_run_changes_nothing(
    server: Dovecot, database: Database, state: State, launch: Launch
) -> None:
    sent = launch(3)
    server.put(*(mails.report(mail) for mail in sent.values()), mails.spam(Sent()))
    run(server, database)
    before = state.rows()
    assert run(server, database).summary() == "nothing new in the mailbox"
    assert state.rows() == before


def test_a_run_that_dies_before_moving_mail_counts_no_mail_twice(
    server: Dovecot,
    database: Database,
    state: State,
    launch: Launch,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sent = launch(5)
    server.put(*(mails.report(mail) for mail in sent.values()))

    def dies(*_: object) -> None:
        raise MailboxError("the link broke")

    with monkeypatch.context() as patched:
        patched.setattr(Inbox, "move_processed", dies)
        first = run(server, database)
    assert (first.trouble, first.suppressed) == ("the link broke", 5)
    assert server.count() == 5
    second = run(server, database)
    assert (second.known_before, second.suppressed) == (5, 0)
    assert len(state.rows()) == 5
    assert (server.count(), server.count("Processed")) == (0, 5)


def test_without_a_return_path_the_message_id_identifies_the_recipient(
    server: Dovecot, database: Database, state: State, launch: Launch
) -> None:
    """Each format is about another recipient, and both campaigns went to all of them."""
    formats = [*FORMATS.values(), *COMPLAINTS.values()]
    launch(len(formats), "first", return_path=None)
    sent = launch(len(formats) + 1, "second", return_path=None)
    told = dict(zip(formats, list(sent.values()), strict=False))
    server.put(*(write(mail) for write, mail in told.items()))
    assert run(server, database).fates.total() == len(formats)
    whose = (
        sa.select(bounces.c.email, campaigns.c.name, recipients.c.email)
        .join(campaigns, campaigns.c.id == bounces.c.campaign_id)
        .join(recipients, recipients.c.id == bounces.c.recipient_id)
    )
    with database.read() as reader:
        found = sorted(tuple(row) for row in reader.execute(whose))
    assert found == sorted((mail.recipient, "second", mail.recipient) for mail in told.values())


def test_a_report_about_a_forwarding_address_counts_for_the_recipient(
    server: Dovecot, database: Database, state: State, launch: Launch
) -> None:
    sent = launch(2)["user1@example.org"]
    server.put(mails.report(sent, final_recipient="someone@elsewhere.example"))
    run(server, database)
    assert state.suppressed() == {"user1@example.org"}


def test_an_address_that_is_merely_named_is_not_suppressed(
    server: Dovecot, database: Database, state: State, launch: Launch
) -> None:
    sent = launch(3)
    mine, victim = sent["user0@example.org"], sent["user1@example.org"]
    forged = victim.return_path[: -len("000@example.com")] + "000@example.com"
    number = victim.return_path.partition("+")[2].partition("=")[0]
    token = mine.return_path.partition("=")[2]
    made_up = "<00000000000000000000000000000000@example.com>"
    plain = {"recipient": victim.recipient, "message_id": made_up}
    server.put(
        mails.report(Sent(RETURN_PATH, **plain)),
        mails.report(Sent(forged, **plain), number=2),
        # the token of another recipient
        mails.report(Sent(f"bounces+{number}={token}", **plain), number=3),
        # the Message-ID of another recipient's mail
        mails.report(Sent(RETURN_PATH, victim.recipient, "<" + "a" * 32 + "@example.com>")),
        # a recipient that there never was
        mails.report(Sent(f"bounces+9223372036854775808=00{token[2:]}", **plain), number=4),
    )
    found = run(server, database)
    assert found.fates == {Fate.NOT_OURS: 5}
    assert state.rows() == []
    assert state.suppressed() == set()
    assert server.count("INBOX", "FLAGGED") == 5


def test_a_message_id_alone_proves_nothing_if_mail_has_return_paths(
    server: Dovecot, database: Database, state: State, launch: Launch
) -> None:
    victim = launch(3)["user1@example.org"]
    told = Sent(RETURN_PATH, victim.recipient, victim.message_id)
    server.put(mails.report(told), mails.complaint(told), mails.qmail(told))
    assert run(server, database).fates == {Fate.NOT_OURS: 3}
    assert state.suppressed() == set()


def test_message_ids_cannot_be_forged(
    server: Dovecot, database: Database, state: State, launch: Launch
) -> None:
    mine, victim = launch(2, return_path=None).values()
    computed = message_id("spring-sale", victim.recipient, "example.com")
    server.put(
        mails.report(Sent(RETURN_PATH, victim.recipient, computed)),
        mails.report(Sent(RETURN_PATH, victim.recipient, mine.message_id), number=2),
    )
    assert run(server, database).fates == {Fate.NOT_OURS: 2}
    assert state.suppressed() == set()
    # a mail that names both is about the one whose Message-ID it has
    server.put(
        mails.report(mine, final_recipient=victim.recipient, number=3).replace(
            b"Subject: Spring", b"Cc: " + victim.recipient.encode()
        )
    )
    run(server, database)
    assert state.suppressed() == {mine.recipient}


@pytest.mark.parametrize("key", [None, "0123456789abcdef0123456789abcdef"])
def test_a_half_sent_campaign_without_keyed_message_ids_keeps_its_own(
    key: str | None,
    server: Dovecot,
    database: Database,
    state: State,
    launch: Launch,
) -> None:
    launch(3, return_path=None)
    with database.write() as writer:
        waiting = sa.update(recipients).where(recipients.c.email == "user1@example.org")
        writer.execute(waiting.values(status="pending"))
        writer.execute(sa.update(campaigns).values(status="ready", return_key=key))
    (sent,) = launch(3, return_path=None).values()
    assert sent.message_id == message_id("spring-sale", sent.recipient, "example.com")
    server.put(mails.report(sent))
    run(server, database)
    assert state.suppressed() == {"user1@example.org"}


@pytest.mark.parametrize(
    ("return_path", "key", "has_paths"),
    [
        (RETURN_PATH, "0123456789abcdef0123456789abcdef", True),
        (RETURN_PATH, None, False),  # older than return paths
        (None, "0123456789abcdef0123456789abcdef", False),
    ],
)
def test_campaigns_of_earlier_versions_have_return_paths(
    return_path: str | None, key: str | None, has_paths: bool, empty_database_url: str
) -> None:
    message = {"sender": "news@example.com", "text": "a\0b", "return_path": return_path}
    content = orjson.dumps({"message": message}).decode()
    values = {"name": "spring", "status": "ready", "content": content, "return_key": key}
    with old_schema(empty_database_url, "0010") as writer:
        writer.execute(sa.insert(campaigns).values(created_at=0.0, **values))
    with Database(empty_database_url) as database, database.read() as reader:
        assert reader.execute(sa.select(campaigns.c.has_return_paths)).scalar_one() is has_paths


def test_other_campaigns_do_not_affect_the_matching(
    server: Dovecot, database: Database, state: State, launch: Launch
) -> None:
    sent = launch(2, return_path=None)["user1@example.org"]
    odd = [
        '{"message": {"sender": "a@example.com", "text": "a\\u0000b"}}',
        '{"message": {"sender": "no address"}}',
        '{"message": null}',
        "{}",
    ]
    rows = [
        {"name": f"odd {number}", "status": "ready", "content": content, "created_at": 0}
        for number, content in enumerate(odd)
    ]
    with database.write() as writer:
        writer.execute(sa.insert(campaigns), rows)
    server.put(mails.report(sent))
    assert run(server, database).trouble is None
    assert state.suppressed() == {sent.recipient}


def test_a_recipients_own_token_cannot_harm_others(
    server: Dovecot, database: Database, state: State, launch: Launch
) -> None:
    sent = launch(2)
    mine, victim = sent.values()
    server.put(mails.report(Sent(mine.return_path, victim.recipient)))
    run(server, database)
    assert state.suppressed() == {mine.recipient}


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


def test_a_campaign_older_than_return_paths_continues(database: Database, launch: Launch) -> None:
    launch(3, return_path=None)
    with database.write() as writer:
        content = orjson.loads(writer.execute(sa.select(campaigns.c.content)).scalar_one())
        del content["message"]["return_path"]
        old = orjson.dumps(content).decode()
        writer.execute(sa.update(campaigns).values(content=old, return_key=None))
        waiting = sa.update(recipients).where(recipients.c.email == "user1@example.org")
        writer.execute(waiting.values(status="pending"))
        writer.execute(sa.update(campaigns).values(status="ready"))
    assert list(launch(3, return_path=None)) == ["user1@example.org"]


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


def test_a_suppressed_address_gets_no_more_mail(
    server: Dovecot, database: Database, launch: Launch
) -> None:
    sent = launch(4)
    server.put(mails.report(sent["user3@example.org"]))
    run(server, database)
    assert set(launch(4, "next")) == set(sent) - {"user3@example.org"}


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
