"""All spellings of a mailbox count as one wherever addresses are compared, on both databases."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import sqlalchemy as sa

from mailsluice.audience.hosting import by_table
from mailsluice.audience.resolution import resolve
from mailsluice.bounces import Bounce, BounceKind
from mailsluice.campaign import RecipientSource
from mailsluice.core.folding import ANOTHER_SPELLING
from mailsluice.core.status import RecipientStatus
from mailsluice.core.suppression_reason import SuppressionReason
from mailsluice.message.identity import message_id
from mailsluice.operations import accounts, launch
from mailsluice.operations.accounts import Action
from mailsluice.operations.send_test.copies import checked_addresses
from mailsluice.operations.suppression.by_hand import add, remove
from mailsluice.operations.suppression.lookup import Lookup
from mailsluice.store import (
    Bounces,
    Campaigns,
    Database,
    Launches,
    Outbox,
    RouteRecord,
    Suppressions,
)
from mailsluice.store.schema import bounces, recipients
from mailsluice.store.sent_mail import SentMail
from tests.integration.accounts_fixtures import campaign
from tests.integration.old_schema import old_schema

SPELLINGS = ("Ann@example.com", "ANN@EXAMPLE.COM", "ann@example.com", '"ann"@example.com')


def launched(database: Database, *emails: str, name: str = "spring") -> Outbox:
    store, document = Campaigns(database), campaign(name)
    record = store.register(name, launch.content(document))
    frame = pd.DataFrame({"email": emails, "connection": "a", "variables": "{}"})
    Launches(database).store_audience(record.id, [frame], [])
    number = len(emails)
    Launches(database).finish(
        record.id,
        read_rows=number,
        accepted=number,
        rejected={},
        assigned=[RouteRecord("a", "100", number)],
        digest="d",
    )
    return Outbox(database, record.id)


def claimed(database: Database, outbox: Outbox) -> list[str]:
    with database.write() as transaction:
        return [recipient.email for recipient in outbox.claim(transaction, "a", 100)]


def statuses(database: Database) -> dict[str, tuple[str, str | None]]:
    with database.read() as connection:
        rows = connection.execute(
            sa.select(recipients.c.email, recipients.c.status, recipients.c.reply)
        )
        return {row.email: (row.status, row.reply) for row in rows}


@pytest.mark.parametrize("on_the_list", SPELLINGS)
def test_every_spelling_of_a_suppressed_mailbox_is_left_out(
    database: Database, tmp_path: Path, on_the_list: str
) -> None:
    add(database, [on_the_list], SuppressionReason.UNSUBSCRIBED, "x")
    quoted = '"""ann""@example.com"'
    path = tmp_path / "x.csv"
    path.write_text(f"email\nann@example.com\nANN@example.com\n{quoted}\nbob@example.com\n")
    with resolve(
        [RecipientSource(path=str(path))],
        suppressed=Lookup(Suppressions(database)),
        hosted=by_table,
        connect=lambda _: pytest.fail("no database"),
    ) as audience:
        assert len(audience) == 1
        assert audience.held_back() == {"unsubscribed": 1}


@pytest.mark.parametrize("on_the_list", SPELLINGS)
def test_a_claim_looks_for_every_spelling_and_sends_as_written(
    database: Database, on_the_list: str
) -> None:
    outbox = launched(database, "Ann@example.com", "Bob@example.com")
    Suppressions(database).add([on_the_list], reason="unsubscribed", source="x")
    assert claimed(database, outbox) == ["Bob@example.com"]
    assert statuses(database)["Ann@example.com"] == ("suppressed", "unsubscribed: x")


@pytest.mark.parametrize("named", SPELLINGS)
def test_a_mailbox_is_listed_once_and_removed_by_any_spelling(
    database: Database, named: str
) -> None:
    assert add(database, SPELLINGS, SuppressionReason.MANUAL, "x").new == 1
    assert remove(database, [named]).removed == 1
    assert Suppressions(database).count() == 0


def test_soft_bounces_of_all_spellings_count_together(database: Database) -> None:
    store = Bounces(database)
    spellings = (*SPELLINGS, "aNN@example.com")
    for number, email in enumerate(spellings):
        report = Bounce(f"{number}", email, BounceKind.SOFT, "", "full", "mailbox", float(number))
        done = store.record([report])
    assert done.suppressed == 1
    (found,) = Suppressions(database).find(["ANN@example.com"]).values()
    assert found.reason == "bounced"


def test_a_delivery_to_another_spelling_ends_the_series(database: Database) -> None:
    launched(database, "ANN@example.com")
    with database.write() as transaction:
        sent = {"status": RecipientStatus.SENT.value, "settled_at": 2.5}
        transaction.execute(sa.update(recipients).values(sent))
    store = Bounces(database)
    for number in range(5):
        report = Bounce(f"{number}", "ann@example.com", BounceKind.SOFT, "", "", "m", float(number))
        done = store.record([report])
    assert done.suppressed == 0


def test_mail_is_found_by_any_spelling_and_keeps_its_message_id(database: Database) -> None:
    launched(database, "Ann@example.com")
    (found,) = SentMail(database).by_address(["ANN@EXAMPLE.COM"], ["xn--bcher-kva.example"])
    assert found.email == "Ann@example.com"
    assert message_id("spring", found.email, found.sender_domain) == message_id(
        "spring", "Ann@example.com", "xn--bcher-kva.example"
    )


async def test_an_uncertain_recipient_is_resolved_by_any_spelling(
    database: Database, tmp_path: Path
) -> None:
    outbox = launched(database, "Ann@example.com", "bob@example.com")
    with database.write() as transaction:
        uncertain = {"status": RecipientStatus.UNCERTAIN.value, "attempts": 1}
        transaction.execute(sa.update(recipients).values(uncertain))
    done = await accounts.resolve_uncertain(
        database, "spring", Action.SENT, ["ann@example.com", "carl@b.de"], owner="me", home=tmp_path
    )
    assert (done.changed, done.left, done.not_found) == (1, 1, 1)
    assert outbox.counts().of(RecipientStatus.SENT) == 1


def test_copies_are_sent_once_to_each_mailbox() -> None:
    assert checked_addresses(["Ann@b.de", "bob@b.de", "ANN@B.DE"]) == ["Ann@b.de", "bob@b.de"]


class TestOldDatabase:
    """A database from the time when spellings counted as distinct."""

    @pytest.fixture
    def old(self, empty_database_url: str) -> Any:
        """Runs statements on a database of the schema before; opens it with this version's."""
        opened: list[Database] = []

        def old(*statements: str) -> Database:
            with old_schema(empty_database_url, "0007") as transaction:
                for statement in statements:
                    transaction.execute(sa.text(statement))
            opened.append(Database(empty_database_url))
            return opened[0]

        yield old
        for database in opened:
            database.close()

    def test_listed_spellings_are_merged_with_the_strongest_reason(self, old: Any) -> None:
        database = old(
            "INSERT INTO suppressions VALUES"
            " ('Ann@example.com', 'bounced', 'smtp', 5), ('ANN@example.com', 'complained', 'm', 9),"
            " ('ann@example.com', 'manual', 'me', 7), ('ZOË@b.de', 'odd', 'old', 3),"
            " ('zoë@b.de', 'imported', 'new', 4), ('bob@b.de', 'manual', 'me', 1),"
            " ('Carl@b.de', 'unsubscribed', 'x', 2)"
        )
        found = {
            tuple(suppression) for page in Suppressions(database).rows() for suppression in page
        }
        assert found == {
            ("ann@example.com", "complained", "m", 5.0),
            ("zoë@b.de", "imported", "new", 3.0),
            ("bob@b.de", "manual", "me", 1.0),
            ("carl@b.de", "unsubscribed", "x", 2.0),
        }

    def test_old_bounces_count_for_every_spelling(self, old: Any) -> None:
        rows = ", ".join(
            f"('{i}', '{email}', 'soft', '', '', 'm', {i})" for i, email in enumerate(SPELLINGS)
        )
        database = old(
            f"INSERT INTO bounces (key, email, kind, status, detail, source, at) VALUES {rows}"
        )
        with database.read() as connection:
            found = set(connection.execute(sa.select(bounces.c.email)).scalars())
        assert found == {"ann@example.com"}
        last = Bounce("9", "aNn@example.com", BounceKind.SOFT, "", "full", "m", 9.0)
        assert Bounces(database).record([last]).suppressed == 1

    def test_a_campaign_in_progress_continues_without_sending_twice(self, old: Any) -> None:
        insert = "INSERT INTO campaigns (id, name, status, content, created_at, accepted) VALUES "
        columns = "(id, campaign_id, email, connection, status, variables, attempts)"
        rows = [
            (1, 1, "Ann@b.de", "pending", 0),  # another spelling was sent to
            (2, 1, "ann@b.de", "sent", 1),
            (3, 1, "bob@b.de", "pending", 0),  # the first of two that wait
            (4, 1, "BOB@b.de", "pending", 0),
            (5, 1, "Carl@b.de", "pending", 0),  # the other one is known to the server
            (6, 1, "carl@b.de", "deferred", 2),
            (7, 1, "Dora@b.de", "pending", 0),  # the only one
            (8, 1, "Eve@b.de", "uncertain", 1),  # perhaps sent: nobody decides that here
            (9, 1, "eve@b.de", "pending", 0),
            (10, 2, "Ann@b.de", "pending", 0),  # another campaign
            (11, 3, "Ann@b.de", "sent", 1),  # over: nothing is changed
            (12, 3, "ann@b.de", "sent", 1),
        ]
        values = ", ".join(
            f"({id_}, {of}, '{email}', 'a', '{status}', '{{}}', {attempts})"
            for id_, of, email, status, attempts in rows
        )
        database = old(
            f"{insert} (1, 'one', 'sending', '{{}}', 0, 9), (2, 'two', 'ready', '{{}}', 0, 1),"
            " (3, 'three', 'completed', '{}', 0, 2)",
            f"INSERT INTO recipients {columns} VALUES {values}",
        )
        with database.read() as connection:
            query = sa.select(recipients.c.id).where(recipients.c.reply == ANOTHER_SPELLING)
            left_out = connection.execute(query.order_by(recipients.c.id)).scalars().all()
            changed = sa.select(recipients.c.id).where(recipients.c.status == "suppressed")
            assert connection.execute(changed.order_by(recipients.c.id)).scalars().all() == left_out
        assert left_out == [1, 4, 5, 9]
        outbox = Outbox(database, 1)
        Suppressions(database).add(["DORA@b.de"], reason="unsubscribed", source="x")
        assert claimed(database, outbox) == ["bob@b.de"]
        assert outbox.suppressed_since() == {"duplicate": 4, "unsubscribed": 1}
        assert accounts.tally(database, "one").repeated == 0
        assert accounts.tally(database, "three").repeated == 1
