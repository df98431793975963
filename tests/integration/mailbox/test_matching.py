"""Returned mail is read by IMAP from a real dovecot, into a real state database."""

from __future__ import annotations

import asyncio
import re
import time
from pathlib import Path

import orjson
import pytest
import sqlalchemy as sa

from mailsluice.bounces.collected import Fate
from mailsluice.bounces.inbox import Inbox
from mailsluice.campaign import SenderIdentity
from mailsluice.core.errors import MailboxError
from mailsluice.message import message_id
from mailsluice.store import Database
from mailsluice.store.schema import bounces, campaigns, recipients
from tests import returned_mail as mails
from tests.integration.campaign_fixtures import Sender, campaign, connection, people
from tests.integration.dovecot import Dovecot
from tests.integration.mailbox.conftest import RETURN_PATH, Launch, State, as_sent, run
from tests.integration.old_schema import old_schema
from tests.returned_mail import COMPLAINTS, FORMATS, Sent
from tests.smtpd import SmtpServer

pytestmark = [
    pytest.mark.xdist_group("dovecot"),  # one dovecot for all, and one mailbox
    pytest.mark.takes_turns,
]


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
        sent = {mail.recipient: as_sent(mail) for mail in smtp.received}
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


def test_a_suppressed_address_gets_no_more_mail(
    server: Dovecot, database: Database, launch: Launch
) -> None:
    sent = launch(4)
    server.put(mails.report(sent["user3@example.org"]))
    run(server, database)
    assert set(launch(4, "next")) == set(sent) - {"user3@example.org"}
