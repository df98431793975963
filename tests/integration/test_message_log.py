"""The message log: what becomes of each recipient is written, whenever its writer is killed."""

from __future__ import annotations

import itertools
import random
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import closing
from decimal import Decimal
from typing import Any

import orjson
import pytest
import sqlalchemy as sa

from mailsluice.bounces import Bounce, BounceKind
from mailsluice.bounces.matching import SentTo
from mailsluice.core.errors import MailsluiceError
from mailsluice.core.outcome import Phase
from mailsluice.core.status import CampaignStatus, RecipientStatus
from mailsluice.events.event import DeliveryState, FailureKind, ProviderEvent
from mailsluice.operations.message_log import Addresses, AddressForm, Follower, Line
from mailsluice.operations.message_log.records import Records
from mailsluice.store import Bounces, Campaigns, Database, History, Outbox, Settled, Suppressions
from mailsluice.store.archives import Archives
from mailsluice.store.deliveries import Deliveries, Received
from mailsluice.store.fates import Fates
from mailsluice.store.message_log import (
    MessageLogs,
    event_rows,
    outcomes,
    serial_rows,
    spans,
    visible,
)
from mailsluice.store.reassignment import reassign
from mailsluice.store.resolutions import record_decision
from mailsluice.store.schema import attempts, bounces, events, recipients
from mailsluice.store.sent_mail import SentMail
from tests.eventually import eventually
from tests.integration.outbox_fixtures import Store, claim, settle
from tests.thorough import examples

SENT, FAILED, DEFERRED = RecipientStatus.SENT, RecipientStatus.FAILED, RecipientStatus.DEFERRED


class Kept:
    """An output in memory."""

    def __init__(self) -> None:
        self.lines: list[Line] = []

    def write(self, lines: Sequence[Line]) -> None:
        self.lines += lines

    def close(self) -> None:
        pass

    @property
    def records(self) -> list[dict[str, Any]]:
        return [orjson.loads(line.text) for line in self.lines]

    def types(self) -> Counter[str]:
        return Counter(line.type for line in self.lines)


class Clock:
    """A clock at which every span is due at each look."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1_000.0
        return self.now


def follower(
    database: Database,
    output: Kept,
    form: AddressForm = AddressForm.PLAIN,
    since: float = 0.0,
    name: str = "log",
) -> Follower:
    state = MessageLogs(database).open(name, since)
    records = Records(Addresses(form, state.address_key))
    return Follower(database, state, output, records, clock=Clock())


def look(database: Database, output: Kept) -> list[dict[str, Any]]:
    """Write what is new, by a process of its own; returns it."""
    before = len(output.lines)
    follower(database, output).look()
    return output.records[before:]


@pytest.fixture(autouse=True)
def _no_lag(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(visible, "EVENT_LAG_SECONDS", 0.0)


def test_each_outcome_is_written_once(database: Database, stored: Store) -> None:
    outbox, output = stored(6), Kept()
    first, second, third = claim(database, outbox)
    deferred = History("a", Phase.RCPT, "deferred")
    refused = History("a", Phase.RCPT, "failed")
    settle(
        database,
        outbox,
        Settled(first.id, SENT, 1, 250, "2.0.0 queued as A1"),
        Settled(second.id, DEFERRED, 1, 451, "4.7.1 try later", 0.0, deferred),
        Settled(third.id, FAILED, 1, 550, "5.1.1 no such user", None, refused),
    )
    records = look(database, output)
    assert output.types() == {"Delivery": 1, "TransientFailure": 1, "Bounce": 1}
    assert look(database, output) == []
    (again,) = claim(database, outbox)
    settle(database, outbox, Settled(again.id, SENT, 2, 250, "2.0.0 queued as A2"))
    outbox.cancel()
    later = look(database, output)
    assert Counter(record["type"] for record in later) == {"Delivery": 1, "AdminBounce": 3}
    bounce = next(record for record in records if record["type"] == "Bounce")
    assert bounce["response"] == {
        "code": 550,
        "enhanced_code": {"class": 5, "subject": 1, "detail": 1},
        "content": "5.1.1 no such user",
        "command": "RCPT TO",
    }
    assert bounce["bounce_classification"] == "hard"
    assert bounce["recipient"] == third.email
    assert bounce["egress_source"] == "a"
    assert len({record["record_id"] for record in output.records}) == len(output.lines)
    assert len({record["id"] for record in output.records}) == 6
    assert look(database, output) == []


def test_a_row_that_is_committed_late_is_written_all_the_same(
    database: Database, stored: Store
) -> None:
    """PostgreSQL shows the row with the higher id first; on SQLite writers take turns."""
    if database.is_sqlite:
        pytest.skip("transactions that write exclude each other")
    outbox, output = stored(6), Kept()
    first, second, third = claim(database, outbox)
    watching = follower(database, output)

    with database.engine.connect() as slow:
        open_one = slow.begin()
        outbox.settle(slow, [_deferred(first.id)])
        settle(database, outbox, _deferred(second.id))
        assert watching.look().is_waiting
        settle(database, outbox, _deferred(third.id))
        assert watching.look().is_waiting
        assert output.lines == []
        open_one.commit()
    assert not watching.look().is_waiting
    assert output.types() == {"TransientFailure": 3}
    assert watching.look().written == {}


class KilledError(Exception):
    """The writer's process has ended."""


class Killer(Kept):
    """An output that ends its process before, within or after some writes."""

    def __init__(self, chance: random.Random) -> None:
        super().__init__()
        self._chance = chance
        self.is_armed = True

    def write(self, lines: Sequence[Line]) -> None:
        fate = self._chance.random()
        if self.is_armed and fate < 0.1:
            self.lines += lines[: self._chance.randrange(len(lines) + 1)]
            raise KilledError
        self.lines += lines
        if self.is_armed and fate < 0.2:
            raise KilledError


class World:
    """A campaign whose recipients go through everything, and the logs of two writers."""

    def __init__(self, database: Database, outbox: Outbox, chance: random.Random) -> None:
        self.database = database
        self.outbox = outbox
        self.chance = chance
        self.campaign_id = outbox._campaign_id
        self.killed, self.whole = Killer(chance), Kept()
        self._writers: dict[str, Follower] = {}
        self._numbers = itertools.count()

    def step(self) -> None:
        act = self.chance.choice(
            [self.send, self.send, self.send, self.move, self.suppress, self.resolve, self.event,
             self.report, self.look, self.look]
        )  # fmt: skip
        act()

    def send(self) -> None:
        connection = self.chance.choice("ab")
        for row in claim(self.database, self.outbox, connection, self.chance.randrange(1, 6)):
            fate = self.chance.random()
            if fate < 0.1:
                with self.database.write() as transaction:
                    self.outbox.release(transaction, [row.id])
            else:
                settle(self.database, self.outbox, self._settled(row.id, row.attempts + 1, fate))

    def _settled(self, recipient_id: int, number: int, fate: float) -> Settled:
        connection = "a"
        if fate < 0.5:
            return Settled(recipient_id, SENT, number, 250, "2.0.0 ok")
        if fate < 0.7:
            past = History(connection, Phase.RCPT, "deferred")
            return Settled(recipient_id, DEFERRED, number, 451, "4.7.1 later", 0.0, past)
        if fate < 0.8:
            past = History(connection, Phase.RCPT, "failed")
            return Settled(recipient_id, FAILED, number, 550, "5.1.1 unknown", None, past)
        if fate < 0.85:
            past = History(connection, Phase.DATA, "deferred")
            return Settled(recipient_id, FAILED, number, 451, "4.2.0 still", None, past)
        if fate < 0.9:
            return Settled(recipient_id, FAILED, number, None, "cannot be rendered")
        past = History(connection, Phase.BODY, "uncertain")
        status = SENT if fate > 0.98 else RecipientStatus.UNCERTAIN
        return Settled(recipient_id, status, number, None, "the link broke", None, past)

    def move(self) -> None:
        reassign(self.database, self.campaign_id, "a", {"b": Decimal(1)}, most=3)

    def suppress(self) -> None:
        address = f"user{self.chance.randrange(60)}@example.com"
        Suppressions(self.database).add([address], reason="manual", source="test")

    def resolve(self) -> None:
        rows = [
            row
            for chunk in Fates(self.database, self.campaign_id).recipients(
                [RecipientStatus.UNCERTAIN]
            )
            for row in chunk
        ][:2]
        decision, status = self.chance.choice(
            [("sent", SENT), ("failed", FAILED), ("resend", RecipientStatus.PENDING)]
        )
        if rows:
            record_decision(
                self.database, self.campaign_id, rows, decision=decision, status=status, text="op"
            )

    def event(self) -> None:
        to = self._anybody()
        state = self.chance.choice([*DeliveryState])
        failure = FailureKind.HARD if state is DeliveryState.BOUNCED else None
        number = next(self._numbers)
        event = ProviderEvent(f"e{number}", state, float(number), failure=failure, reply="words")
        Deliveries(self.database).record("a", [Received(event, to, "test")])

    def report(self) -> None:
        to = self._anybody()
        sent = (to.connection, to.campaign_id, to.recipient_id)
        number = next(self._numbers)
        report = Bounce(
            f"mail {number}", to.email, BounceKind.SOFT, "4.2.2", "full", "box", number, *sent
        )
        Bounces(self.database).record([report])

    def _anybody(self) -> SentTo:
        ids = [row.id for chunk in self._rows() for row in chunk]
        (to,) = SentMail(self.database).by_id([self.chance.choice(ids)])
        return to

    def _rows(self) -> Iterator[Sequence[Any]]:
        return Fates(self.database, self.campaign_id).recipients()

    def look(self) -> None:
        for name, output in (("killed", self.killed), ("whole", self.whole)):
            if name not in self._writers:
                self._writers[name] = follower(self.database, output, name=name)
            try:
                self._writers[name].look()
            except KilledError:
                del self._writers[name]

    def check(self) -> None:
        """Compare the logs with the database, when nothing happens any more."""
        self.killed.is_armed = False
        self.look()
        self.look()
        whole = [line.record_id for line in self.whole.lines]
        assert len(whole) == len(set(whole)), "a writer that nobody kills repeats nothing"
        assert set(whole) == {line.record_id for line in self.killed.lines}
        self._check_rows({line.record_id for line in self.whole.lines})
        by_recipient: dict[int, set[str]] = defaultdict(set)
        for record in self.whole.records:
            by_recipient[record["meta"]["recipient_id"]].add(record["type"])
        for chunk in self._rows():
            for row in chunk:
                expected = TYPES.get(RecipientStatus(row.status))
                types = by_recipient[row.id]
                assert not expected or types & expected, (row.status, types)
                assert row.status == "sent" or "Delivery" not in types

    def _check_rows(self, written: set[str]) -> None:
        with self.database.read() as connection:
            for row in connection.execute(sa.select(attempts.c.id, attempts.c.recipient_id)):
                assert f"attempt-{self.campaign_id}-{row.recipient_id}-{row.id}" in written
            reports = sa.select(bounces.c.id).where(bounces.c.source == "box")
            for report_id in connection.execute(reports).scalars():
                assert f"report-{report_id}" in written
            number = connection.execute(sa.select(sa.func.count()).select_from(events)).scalar_one()
        assert number == sum(record_id.startswith("event-") for record_id in written)


TYPES: dict[RecipientStatus, set[str]] = {
    SENT: {"Delivery"},
    FAILED: {"Bounce", "Expiration", "AdminBounce"},
    RecipientStatus.SUPPRESSED: {"Suppression"},
    RecipientStatus.CANCELLED: {"AdminBounce"},
    RecipientStatus.UNCERTAIN: {"Uncertain"},
    DEFERRED: {"TransientFailure"},
}
"""The types of which a recipient in a state has at least one line."""


@pytest.mark.parametrize("seed", range(examples(40)))
def test_nothing_is_missed_whatever_happens(
    database: Database, stored: Store, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spans, "SPAN_IDS", 16)
    monkeypatch.setattr(outcomes, "SPAN_IDS", 16)
    monkeypatch.setattr(outcomes, "_FEW", 3)
    for module in (serial_rows, event_rows):
        monkeypatch.setattr(module, "CHUNK_ROWS", 5)
    chance = random.Random(seed)
    world = World(database, stored(60), chance)
    world.look()
    for _ in range(chance.randrange(120)):
        world.step()
    if chance.random() < 0.5:
        with database.write() as transaction:
            transaction.execute(
                sa.update(recipients)
                .where(recipients.c.status == "sending")
                .values(status="pending")
            )
        world.outbox.cancel()
        Campaigns(database).set_status(world.campaign_id, CampaignStatus.CANCELLED)
    world.check()


def _deferred(recipient_id: int) -> Settled:
    history = History("a", Phase.RCPT, "deferred")
    return Settled(recipient_id, DEFERRED, 1, 451, "later", 60.0, history)


def test_ids_that_sqlite_gives_again_hide_nothing(sqlite_database: Database) -> None:
    """Housekeeping deletes the attempts of old campaigns, perhaps those with the highest ids."""
    database, output = sqlite_database, Kept()

    def insert(*times: float) -> None:
        with closing(sqlite3.connect(str(database.engine.url.database))) as connection, connection:
            connection.executemany(
                "INSERT INTO attempts (recipient_id, at, connection, phase, verdict, reply)"
                " VALUES (1, ?, 'a', 'rcpt', 'deferred', '')",
                [(moment,) for moment in times],
            )

    insert(100.0, 1_000.0, 1_001.0, 1_002.0)
    assert len(look(database, output)) == 4
    with database.write() as transaction:
        transaction.execute(sa.delete(attempts).where(attempts.c.at >= 1_000.0))
    insert(2_000.0, 2_001.0, 2_002.0, 2_003.0, 2_004.0)
    times = [record["timestamp"] for record in look(database, output)]
    assert times == [2_000, 2_001, 2_002, 2_003, 2_004]
    assert look(database, output) == []


def _now(database: Database) -> float:
    """Return the present by the database's clock, which moves by milliseconds on SQLite."""
    with database.read() as connection:
        return float(connection.execute(sa.select(database.now)).scalar_one())


def test_a_log_begins_at_its_moment(database: Database, stored: Store) -> None:
    outbox, output = stored(6), Kept()
    before = [Settled(row.id, SENT, 1, 250, "ok") for row in claim(database, outbox, limit=2)]
    settle(database, outbox, *before)
    settled_at = _now(database)
    begins = eventually(lambda: _now(database), lambda moment: moment > settled_at)
    after = [_deferred(row.id) for row in claim(database, outbox, "b", limit=2)]
    settle(database, outbox, *after)
    follower(database, output, since=begins).look()
    assert output.types() == {"TransientFailure": 2}
    with pytest.raises(MailsluiceError, match="begins at another moment"):
        follower(database, output, since=begins - 1)


def test_a_campaign_that_is_archived_first_is_named_once(database: Database, stored: Store) -> None:
    outbox, output = stored(2), Kept()
    outbox.cancel()
    campaign_id = outbox._campaign_id
    Campaigns(database).set_status(campaign_id, CampaignStatus.CANCELLED)
    Archives(database).add(campaign_id, "/folder", "digest", {})
    watching = follower(database, output)
    looked = watching.look()
    assert looked.archived == ["spring"]
    assert "'spring' was archived before" in looked.summary()
    assert watching.look().archived == []


def test_two_writers_of_one_log_do_not_both_go_on(database: Database, stored: Store) -> None:
    outbox, output = stored(6), Kept()
    first, second = follower(database, output), follower(database, output)
    settle(database, outbox, *[_deferred(row.id) for row in claim(database, outbox)])
    first.look()
    settle(database, outbox, *[_deferred(row.id) for row in claim(database, outbox, "b")])
    with pytest.raises(MailsluiceError, match="at the same time"):
        second.look()
