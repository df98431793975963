"""Warm-up at the launch: campaigns share caps exactly; recipients over a cap wait or move."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from mailsluice.assignment.placement import Placement
from mailsluice.bounces import Bounce, BounceKind
from mailsluice.campaign import Campaign, Throttle
from mailsluice.campaign.warm_up import WarmUp
from mailsluice.core.errors import CampaignError
from mailsluice.core.moves import Move, MoveReason
from mailsluice.core.status import CampaignStatus, RecipientStatus
from mailsluice.delivery.rule_book import RuleBook
from mailsluice.operations import accounts, launch
from mailsluice.smtp.connection import Connection
from mailsluice.store import (
    Bounces,
    Campaigns,
    Database,
    History,
    Outbox,
    Settled,
    WarmUps,
    launched_shares,
)
from mailsluice.store.schema import deliveries, recipients, warm_up_days, warm_up_plans
from tests.databases import no_database
from tests.integration.campaign_fixtures import Sender, campaign, gives_up, people

pytestmark = pytest.mark.takes_turns

MONDAY = date(2026, 1, 5)
DAY = timedelta(days=1)
RAMP = {"start": MONDAY, "first_day": 100, "growth": 1.5, "until": MONDAY + 30 * DAY}


class AtNoon(Database):
    """A database whose clock stands at noon (UTC) of a day."""

    today = MONDAY

    @property
    def now(self) -> sa.ColumnElement[float]:
        noon = datetime(self.today.year, self.today.month, self.today.day, 12, tzinfo=UTC)
        return sa.literal(noon.timestamp(), sa.Double())


@pytest.fixture
def database(database_url: str) -> Iterator[AtNoon]:
    """An empty database; its clock is set by `database.today`."""
    with AtNoon(database_url) as opened:
        yield opened


class Launches:
    """Launches campaigns over `new`, which warms up, and `old`."""

    def __init__(self, database: AtNoon, folder: Path, **changes: Any) -> None:
        self.database = database
        self.folder = folder
        self.warm_ups = {"new": WarmUp(**{**RAMP, **changes})}

    def document(
        self, name: str, number: int, names: Sequence[str] = ("new",), **fields: Any
    ) -> Campaign:
        return campaign(self.folder, people(number), names, name=name, **fields)

    def occasion(self) -> launch.Occasion:
        return launch.Occasion(self.database.today, self.database.moment(), self.warm_ups)

    def __call__(
        self, name: str, number: int, names: Sequence[str] = ("new",), **fields: Any
    ) -> tuple[int, Placement]:
        """Launch a campaign as the flow does; returns its id and placement."""
        document = self.document(name, number, names, **fields)
        record = Campaigns(self.database).register(name, launch.content(document))
        with launch.resolve_audience(document, self.database, no_database) as audience:
            placement = launch.store_audience(
                self.database, record.id, document, audience, self.occasion()
            )
        return record.id, placement

    def decide(self, document: Campaign) -> tuple[Placement, str]:
        with launch.resolve_audience(document, self.database, no_database) as audience:
            placement = launch.decide(self.database, document, audience, self.occasion())
            return placement, placement.digest(audience.address_keys)

    def send(self, campaign_id: int, connection: str = "new", *, deferred: int = 0) -> int:
        """Send to the due recipients of a connection: some are deferred, the others accepted."""
        outbox = Outbox(self.database, campaign_id)
        with self.database.write() as transaction:
            claimed = outbox.claim(transaction, connection, 10_000)
            history = History(connection, "rcpt", "deferred")
            outbox.settle(
                transaction,
                [
                    Settled(
                        recipient.id, RecipientStatus.DEFERRED, 1, 450, "later", 86_400, history
                    )
                    if number < deferred
                    else Settled(recipient.id, RecipientStatus.SENT, 1, 250, "ok")
                    for number, recipient in enumerate(claimed)
                ],
            )
        return len(claimed)


@pytest.fixture
def launches(database: AtNoon, tmp_path: Path) -> Launches:
    return Launches(database, tmp_path)


def stored(database: Database, campaign_id: int) -> Counter[tuple[Any, ...]]:
    """How many are (on a connection, from another, in a state, from that day on)."""
    kept = recipients.c
    query = sa.select(kept.connection, kept.reassigned_from, kept.status, kept.next_attempt_at)
    with database.read() as reader:
        return Counter(
            (*row[:3], row[3] and datetime.fromtimestamp(row[3], UTC).isoformat(" ", "minutes"))
            for row in reader.execute(query.where(kept.campaign_id == campaign_id))
        )


def planned(database: Database) -> dict[date, int]:
    query = sa.select(warm_up_plans.c.day, sa.func.sum(warm_up_plans.c.planned))
    with database.read() as reader:
        return {day: int(n) for day, n in reader.execute(query.group_by(warm_up_plans.c.day))}


def test_recipients_over_the_cap_wait_for_a_day_with_room(
    database: AtNoon, launches: Launches
) -> None:
    campaign_id, placement = launches("spring", 300)
    assert stored(database, campaign_id) == {
        ("new", None, "pending", None): 100,
        ("new", None, "deferred", "2026-01-06 00:00+00:00"): 150,
        ("new", None, "deferred", "2026-01-07 00:00+00:00"): 50,
    }
    assert placement.warmings[0].sentences() == [
        "new warms up, at most 100 today (2026-01-05): 100 of 300 go today,"
        " 150 on 2026-01-06, 50 on 2026-01-07"
    ]
    assert Outbox(database, campaign_id).counts().is_conserved
    assert launches.send(campaign_id) == 100
    assert launches.send(campaign_id) == 0
    database.today += DAY
    assert launches.send(campaign_id) == 150


def test_the_last_recipients_in_send_order_wait(database: AtNoon, launches: Launches) -> None:
    campaign_id, _ = launches("spring", 300)
    query = sa.select(recipients.c.status).order_by(recipients.c.id)
    with database.read() as reader:
        states = list(
            reader.execute(query.where(recipients.c.campaign_id == campaign_id)).scalars()
        )
    assert states == ["pending"] * 100 + ["deferred"] * 200


def test_campaigns_share_a_cap_exactly(database: AtNoon, launches: Launches) -> None:
    launches("first", 130)
    second, _ = launches("second", 200)
    assert planned(database) == {MONDAY: 100, MONDAY + DAY: 150, MONDAY + 2 * DAY: 80}
    assert stored(database, second) == {
        ("new", None, "deferred", "2026-01-06 00:00+00:00"): 120,
        ("new", None, "deferred", "2026-01-07 00:00+00:00"): 80,
    }
    database.today += DAY
    third, _ = launches("third", 150)
    assert planned(database)[MONDAY + 2 * DAY] == 225  # 100 * 1.5 ** 2
    assert stored(database, third)["new", None, "deferred", "2026-01-08 00:00+00:00"] == 5


def test_an_interrupted_launch_is_counted_once(database: AtNoon, launches: Launches) -> None:
    campaign_id, _ = launches("spring", 300)
    Campaigns(database).set_status(campaign_id, CampaignStatus.RESOLVING)
    launches("spring", 300)
    assert planned(database) == {MONDAY: 100, MONDAY + DAY: 150, MONDAY + 2 * DAY: 50}


def test_a_cancelled_campaign_gives_its_later_days_back(
    database: AtNoon, launches: Launches
) -> None:
    first, _ = launches("first", 200)
    Campaigns(database).set_status(first, CampaignStatus.CANCELLED)
    _, placement = launches("second", 200)
    assert placement.warmings[0].days == ((MONDAY, 0), (MONDAY + DAY, 150), (MONDAY + 2 * DAY, 50))


def test_recipients_over_the_cap_move_to_another_connection(
    database: AtNoon, tmp_path: Path
) -> None:
    launches = Launches(database, tmp_path, over_cap="spill", spill_to="old")
    campaign_id, placement = launches("spring", 600, ("new", "old"))
    assert placement.counts == {"new": 100, "old": 500}
    assert stored(database, campaign_id) == {
        ("new", None, "pending", None): 100,
        ("old", "new", "pending", None): 200,
        ("old", None, "pending", None): 300,
    }
    assert placement.warmings[0].sentences() == [
        "new warms up, at most 100 today (2026-01-05): 200 of 300 go over old"
    ]
    assert Campaigns(database).moves(campaign_id) == [
        Move("new", "old", MoveReason.WARM_UP, 200, 300)
    ]
    assert accounts.verify(accounts.tally(database, "spring")).is_conserved


def test_recipients_may_move_to_a_connection_without_a_route(
    database: AtNoon, tmp_path: Path
) -> None:
    launches = Launches(database, tmp_path, over_cap="spill", spill_to="spare")
    campaign_id, _ = launches("spring", 600, ("new", "old"))
    routes = Campaigns(database).routes(campaign_id)
    assert [(route.connection, route.assigned) for route in routes] == [
        ("new", 300),
        ("old", 300),
        ("spare", 0),
    ]
    shares = launched_shares(routes)
    assert shares["new"] == shares["old"]
    assert shares["spare"] == 0
    half = Decimal("0.5")  # of the campaign's limits; 200 of the 300 took theirs along
    now = Campaigns(database).shares(campaign_id)
    assert now["old"] == half
    assert now["spare"] == half * 200 / 300
    assert now["new"] == half - now["spare"]
    assert accounts.verify(accounts.tally(database, "spring")).is_conserved


@pytest.mark.parametrize("target", ["other", "new"])
def test_spilling_to_a_connection_that_warms_up_itself_is_refused(
    database: AtNoon, tmp_path: Path, target: str
) -> None:
    launches = Launches(database, tmp_path, over_cap="spill", spill_to=target)
    launches.warm_ups["other"] = WarmUp(**RAMP)
    with pytest.raises(CampaignError, match=f"'new' spills to '{target}', which warms up itself"):
        launches("spring", 10)
    assert planned(database) == {}


def test_after_a_day_in_trouble_the_cap_does_not_grow(database: AtNoon, launches: Launches) -> None:
    first, _ = launches("first", 100)
    launches.send(first, deferred=11)  # of 100, more than 10 %
    database.today += DAY
    _, placement = launches("second", 400)
    assert placement.warmings[0].days[:2] == ((MONDAY + DAY, 100), (MONDAY + 2 * DAY, 150))
    assert placement.warmings[0].sentences()[1] == (
        "new is held back, its cap does not grow: on 2026-01-05 11 of 100 messages (11.0 %) were"
        " deferred or failed, more than 10 %"
    )
    with database.read() as reader:
        days = reader.execute(sa.select(warm_up_days).order_by(warm_up_days.c.day)).all()
    assert [tuple(day)[2:] for day in days[:2]] == [
        (MONDAY, 100, 0, 100, 11, 0),
        (MONDAY + DAY, 100, 1, None, None, None),
    ]


def report_events(database: AtNoon, campaign_id: int, number: int, **fields: Any) -> None:
    """Record deliveries of the first of a campaign's sent messages, as events report them."""
    sent = sa.select(recipients.c.id).where(
        recipients.c.campaign_id == campaign_id, recipients.c.status == RecipientStatus.SENT
    )
    with database.write() as transaction:
        for recipient_id in transaction.execute(sent.limit(number)).scalars().all():
            values = {"rank": 2, "at": 9.0, "failure": "", "reply": "", "status": ""}
            values |= {"recipient_id": recipient_id, "campaign_id": campaign_id, **fields}
            statement = sa.insert(deliveries)
            transaction.execute(statement.values(connection="new", mailbox_provider="", **values))


@pytest.mark.parametrize(
    ("fields", "cap"),
    [
        ({"state": "delivered", "deferred_at": 5.0, "delivered_at": 9.0}, 100),
        ({"state": "bounced", "failure": "block", "bounced_at": 9.0}, 100),
        ({"state": "delivered", "delivered_at": 9.0}, 150),
    ],
)
def test_trouble_behind_a_relay_is_what_its_events_report(
    database: AtNoon, launches: Launches, fields: dict[str, Any], cap: int
) -> None:
    first, _ = launches("first", 100)
    launches.send(first)
    report_events(database, first, 11, **fields)
    database.today += DAY
    _, placement = launches("second", 400)
    assert placement.warmings[0].days[0] == (MONDAY + DAY, cap)


@pytest.mark.parametrize(
    ("complaints", "cap", "warning"),
    [
        (1, 150, None),
        (2, 150, "new: on 2026-01-05 2 recipients of 100 messages reported spam, more than 0.1 %;"
            " above 0.3 % its cap does not grow"),
        (4, 100, "new is held back, its cap does not grow: on 2026-01-05 4 recipients of 100"
            " messages reported spam, more than 0.3 %"),
    ],
)  # fmt: skip
def test_complaints_warn_and_then_hold_the_cap_back(
    database: AtNoon, launches: Launches, complaints: int, cap: int, warning: str | None
) -> None:
    """A day with less than 1,000 messages counts as one with 1,000."""
    first, _ = launches("first", 100)
    launches.send(first)
    with database.read() as reader:
        mine = recipients.c.campaign_id == first
        ids = reader.execute(sa.select(recipients.c.id).where(mine)).scalars().all()
    Bounces(database).record(
        [
            Bounce(
                key=f"{recipient_id}",
                email=f"{recipient_id}@example.com",
                kind=BounceKind.COMPLAINT,
                status="",
                detail="",
                source="events of new",
                at=9.0,
                connection="new",
                campaign_id=first,
                recipient_id=recipient_id,
            )
            for recipient_id in ids[:complaints]
        ]
    )
    database.today += DAY
    for number in range(2):  # counted at first, then as stored
        _, placement = launches(f"launch {number}", 10)
        assert placement.warmings[0].caps[MONDAY + DAY] == cap
        assert placement.warmings[0].warnings() == ([] if warning is None else [warning])


def test_the_limit_while_sending_is_the_cap_of_the_launches(
    database: AtNoon, launches: Launches
) -> None:
    """A running campaign reads the cap every few seconds, without counting outcomes."""
    new = Connection("new", "127.0.0.1", 25, warm_up=launches.warm_ups["new"])

    def caps(campaign_id: int) -> list[int]:
        rules = RuleBook(database, campaign_id, Throttle()).rules(new).connection["connection new"]
        return [cap.count for cap in rules.caps]

    first, _ = launches("first", 100)
    assert caps(first) == [100, 150]  # today's and tomorrow's
    launches.send(first, deferred=11)
    database.today += DAY
    assert caps(first) == [100, 150, 225]
    launches("second", 400)
    assert caps(first) == [100, 100, 150]  # yesterday's trouble holds it back


def test_a_day_below_the_threshold_is_no_trouble(database: AtNoon, launches: Launches) -> None:
    first, _ = launches("first", 100)
    launches.send(first, deferred=10)
    database.today += DAY
    _, placement = launches("second", 400)
    assert placement.warmings[0].days[0] == (MONDAY + DAY, 150)
    assert len(placement.warmings[0].sentences()) == 1


def test_after_trouble_a_week_ago_the_cap_is_that_of_the_day(
    database: AtNoon, launches: Launches
) -> None:
    """The cap does not catch up for days without mail."""
    first, _ = launches("first", 100)
    launches.send(first, deferred=50)
    database.today += 7 * DAY
    _, placement = launches("second", 400)
    assert placement.warmings[0].days[0] == (MONDAY + 7 * DAY, 100)
    assert placement.warmings[0].held_back_days == 7


def test_a_decision_without_a_launch_agrees_and_writes_nothing(
    database: AtNoon, launches: Launches
) -> None:
    launches("first", 130)
    document = launches.document("second", 300)
    before = planned(database)
    _, digest = launches.decide(document)
    assert planned(database) == before
    launches("second", 300)
    assert Campaigns(database).get("second").assignment_digest == digest
    assert launches.decide(document)[1] == digest  # its own plan is not in its way


def test_a_connection_in_warm_up_takes_over_no_recipients(database: AtNoon, tmp_path: Path) -> None:
    sender = Sender(database, tmp_path, warm_ups={"new": WarmUp(**RAMP)})
    document = campaign(
        tmp_path, people(30), ("old", "new", "other"), on_connection_down="reassign"
    )
    run = sender.prepare(document)
    try:
        assert gives_up(run, "old") == {"other"}
    finally:
        asyncio.run(run.close())


def test_the_plan_of_a_campaign_can_be_read(database: AtNoon, launches: Launches) -> None:
    campaign_id, _ = launches("spring", 120)
    found = WarmUps(database).of_campaign(campaign_id)
    assert [(day.connection, day.day, day.planned, day.cap) for day in found] == [
        ("new", MONDAY, 100, 100),
        ("new", MONDAY + DAY, 20, 150),
    ]
