"""Warm-up by mailbox provider at the launch: campaigns share its caps, and trouble is its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from mailsluice.assignment.placement import Placement
from mailsluice.assignment.warming import Warming
from mailsluice.bounces import Bounce, BounceKind
from mailsluice.campaign import Throttle
from mailsluice.campaign.warm_up import WarmUp
from mailsluice.core.status import CampaignStatus, RecipientStatus
from mailsluice.delivery.rule_book import RuleBook
from mailsluice.operations import launch
from mailsluice.reports.campaign.stored import stored_report
from mailsluice.reports.comparison.queries import connections_warming_up
from mailsluice.smtp.connection import Connection
from mailsluice.store import Bounces, Campaigns, History, Outbox, Settled, WarmUps, campaign_tables
from mailsluice.store.schema import recipients, warm_up_plans
from tests.databases import no_database
from tests.integration.campaign_fixtures import campaign, people
from tests.integration.old_schema import old_schema
from tests.integration.test_warm_up import DAY, MONDAY, RAMP, AtNoon, Launches

pytestmark = pytest.mark.takes_turns

GMAIL, YAHOO, OTHER = "gmail.com", "yahoo.com", "example.com"
TUESDAY, WEDNESDAY = MONDAY + DAY, MONDAY + 2 * DAY
ENTRIES = [{"provider": "google", "first_day": 50}, {"provider": "*", "first_day": 20}]


@pytest.fixture
def database(database_url: str) -> Iterator[AtNoon]:
    """An empty database; its clock is set by `database.today`."""
    with AtNoon(database_url) as opened:
        yield opened


class Mixed(Launches):
    """Launches campaigns to people at several providers over `new`, which warms up."""

    def mixed(self, name: str, **fields: Any) -> tuple[int, Placement]:
        """Launch a campaign to 100 people at Gmail, 60 at Yahoo and 40 elsewhere."""
        emails = [*people(100, GMAIL), *people(60, YAHOO), *people(40, OTHER)]
        document = campaign(self.folder, emails, ("new",), name=name, **fields)
        record = Campaigns(self.database).register(name, launch.content(document))
        with launch.resolve_audience(document, self.database, no_database) as audience:
            placement = launch.store_audience(
                self.database, record.id, document, audience, self.occasion()
            )
        return record.id, placement

    def fail(self, campaign_id: int, domain: str, number: int) -> None:
        """Send what is due; of a domain, this many are deferred first."""
        outbox = Outbox(self.database, campaign_id)
        history = History("new", "rcpt", "deferred")
        with self.database.write() as transaction:
            claimed = outbox.claim(transaction, "new", 10_000)
            refused = [row.id for row in claimed if row.email.endswith(domain)][:number]
            outbox.settle(
                transaction,
                [
                    Settled(row.id, RecipientStatus.DEFERRED, 1, 450, "later", 86_400, history)
                    if row.id in refused
                    else Settled(row.id, RecipientStatus.SENT, 1, 250, "ok")
                    for row in claimed
                ],
            )


@pytest.fixture
def launches(database: AtNoon, tmp_path: Path) -> Mixed:
    return Mixed(database, tmp_path, per_provider=ENTRIES)


def by_day(database: AtNoon, campaign_id: int) -> Counter[tuple[str, date]]:
    """Recipients by domain and day, as stored."""
    kept = recipients.c
    query = sa.select(kept.email, kept.next_attempt_at).where(kept.campaign_id == campaign_id)
    with database.read() as reader:
        return Counter(
            (
                email.partition("@")[2],
                datetime.fromtimestamp(due, UTC).date() if due else database.today,
            )
            for email, due in reader.execute(query)
        )


def caps(warming: Warming, day: date) -> dict[str, int | None]:
    """The caps of providers on a day."""
    return {part.provider: part.caps[day] for part in warming.providers if day in part.caps}


def test_both_caps_hold_on_each_day(database: AtNoon, launches: Mixed) -> None:
    """100, 150 and 225 in all; 50, 75 and 112 at Google, 20, 30 and 45 at Yahoo."""
    campaign_id, placement = launches.mixed("spring")
    assert by_day(database, campaign_id) == {
        (GMAIL, MONDAY): 50,
        (YAHOO, MONDAY): 20,
        (OTHER, MONDAY): 30,
        (GMAIL, TUESDAY): 50,
        (YAHOO, TUESDAY): 30,
        (OTHER, TUESDAY): 10,
        (YAHOO, WEDNESDAY): 10,
    }
    assert placement.warmings[0].sentences()[1] == (
        "new to Google warms up, at most 50 today (2026-01-05): 50 of 100 go today,"
        " 50 on 2026-01-06"
    )
    assert Outbox(database, campaign_id).counts().is_conserved


def test_campaigns_share_the_caps_of_a_provider(database: AtNoon, launches: Mixed) -> None:
    first, _ = launches.mixed("first")
    second, _ = launches.mixed("second")
    planned = by_day(database, first) + by_day(database, second)
    assert planned[GMAIL, MONDAY] == 50
    assert planned[GMAIL, TUESDAY] == 75
    assert planned[YAHOO, MONDAY] == 20
    assert planned[YAHOO, TUESDAY] == 30
    assert planned[YAHOO, WEDNESDAY] == 45
    assert sum(n for (_, day), n in planned.items() if day == MONDAY) == 100
    Campaigns(database).set_status(second, CampaignStatus.CANCELLED)
    third, _ = launches.mixed("third")
    assert by_day(database, third)[YAHOO, WEDNESDAY] == 35  # the first one has 10 of the 45


@pytest.mark.parametrize("own_tables_from", [1, 1_000])
def test_trouble_at_a_provider_does_not_hold_back_the_others(
    database: AtNoon, launches: Mixed, monkeypatch: pytest.MonkeyPatch, own_tables_from: int
) -> None:
    monkeypatch.setattr(campaign_tables, "FROM_RECIPIENTS", own_tables_from)
    first, _ = launches.mixed("first")
    launches.fail(first, YAHOO, 20)  # all of the day, and 20 % of the connection's mail
    database.today += DAY
    _, placement = launches.mixed("second")
    warming = placement.warmings[0]
    assert caps(warming, WEDNESDAY) == {"google": 112, "yahoo": 30}
    assert warming.caps[WEDNESDAY] == 225
    assert warming.warnings() == [
        "new to Yahoo and AOL is held back, its cap does not grow: on 2026-01-05 20 of 20 messages"
        " (100.0 %) were deferred or failed, more than 10 %"
    ]
    assert launches.mixed("third")[1].warmings[0].warnings() == warming.warnings()  # as stored


def test_the_limit_while_sending_is_the_cap_of_the_launches(
    database: AtNoon, launches: Mixed
) -> None:
    """Retries count towards a day's cap too, so a provider's caps hold while mail is sent."""
    connection = Connection("new", "127.0.0.1", 25, warm_up=launches.warm_ups["new"])

    def caps_of(campaign_id: int, provider: str) -> list[list[int]]:
        rules = RuleBook(database, campaign_id, Throttle()).rules(connection).providers
        return [[cap.count for cap in rule.caps] for rule in rules.of(provider).values()]

    first, _ = launches.mixed("first")
    assert caps_of(first, "google") == [[50, 75]]  # today's and tomorrow's
    assert caps_of(first, "example.net") == [[20, 30]]
    assert caps_of(first, "unresolved") == []
    launches.fail(first, YAHOO, 20)
    database.today += DAY
    launches.mixed("second")
    assert caps_of(first, "google") == [[50, 75, 112]]
    assert caps_of(first, "yahoo") == [[20, 20, 30]]  # yesterday's trouble holds it back
    rules = RuleBook(database, first, Throttle()).rules
    assert rules(connection) == rules(connection)  # so that a run need not follow them again


def test_trouble_at_providers_without_caps_holds_back_the_connection(
    database: AtNoon, launches: Mixed
) -> None:
    first, _ = launches.mixed("first")
    launches.fail(first, OTHER, 5)  # of 30 to such providers
    database.today += DAY
    _, placement = launches.mixed("second")
    warming = placement.warmings[0]
    assert warming.caps[WEDNESDAY] == 150
    assert caps(warming, WEDNESDAY) == {"google": 112, "yahoo": 45}


def test_complaints_count_at_their_provider(database: AtNoon, launches: Mixed) -> None:
    first, _ = launches.mixed("first")
    launches.fail(first, YAHOO, 0)
    of_yahoo = sa.select(recipients.c.id).where(recipients.c.email.like(f"%{YAHOO}"))
    with database.read() as reader:
        ids = reader.execute(of_yahoo.order_by(recipients.c.id).limit(4)).scalars().all()
    same: dict[str, Any] = {"status": "", "detail": "", "source": "", "at": 9.0}
    same |= {"kind": BounceKind.COMPLAINT, "connection": "new", "campaign_id": first}
    Bounces(database).record(
        [Bounce(key=f"{one}", email=f"{one}@{YAHOO}", recipient_id=one, **same) for one in ids]
    )
    database.today += DAY
    _, placement = launches.mixed("second")
    assert caps(placement.warmings[0], WEDNESDAY) == {"google": 112, "yahoo": 30}


def test_recipients_over_a_providers_cap_can_spill(database: AtNoon, tmp_path: Path) -> None:
    launches = Mixed(
        database, tmp_path, over_cap="spill", spill_to="old", first_day=1_000, per_provider=ENTRIES
    )
    campaign_id, placement = launches.mixed("spring")
    assert placement.counts == {"new": 50 + 20 + 40, "old": 90}
    kept = recipients.c
    query = sa.select(kept.email).where(kept.campaign_id == campaign_id, kept.connection == "old")
    with database.read() as reader:
        moved = Counter(email.partition("@")[2] for email in reader.execute(query).scalars())
    assert moved == {GMAIL: 50, YAHOO: 40}


def test_the_recipients_of_a_later_day_are_claimed_in_send_order(
    database: AtNoon, launches: Mixed
) -> None:
    """The most engaged first, also where the planner sorts."""
    campaign_id, _ = launches.mixed("spring")
    with database.write() as transaction:
        Outbox(database, campaign_id).claim(transaction, "new", 1_000)
        database.today += DAY
        claimed = Outbox(database, campaign_id).claim(transaction, "new", 1_000)
        ids = [row.id for row in claimed]
    assert len(ids) == 90
    assert ids == sorted(ids)


def test_an_interrupted_launch_and_plans_without_providers(
    database: AtNoon, launches: Mixed
) -> None:
    """A plan of an earlier version counts towards the connection's cap alone."""
    old = Campaigns(database).register("old", {}).id
    values = {"campaign_id": old, "connection": "new", "day": MONDAY, "planned": 40}
    with database.write() as transaction:
        transaction.execute(sa.insert(warm_up_plans).values(**values))
    campaign_id, _ = launches.mixed("spring")
    Campaigns(database).set_status(campaign_id, CampaignStatus.RESOLVING)
    launches.mixed("spring")
    planned = sa.select(warm_up_plans.c.provider, warm_up_plans.c.planned).where(
        warm_up_plans.c.day == MONDAY, warm_up_plans.c.campaign_id == campaign_id
    )
    with database.read() as reader:
        found = {row.provider: row.planned for row in reader.execute(planned)}
    assert found == {"": 60, "google": 30, "yahoo": 18}


def test_the_report_names_providers(database: AtNoon, launches: Mixed) -> None:
    campaign_id, _ = launches.mixed("spring")
    days = [(day.provider, day.day, day.planned, day.cap) for day in
            WarmUps(database).of_campaign(campaign_id)]  # fmt: skip
    assert days[:4] == [
        ("", MONDAY, 100, 100),
        ("google", MONDAY, 50, 50),
        ("yahoo", MONDAY, 20, 20),
        ("", TUESDAY, 90, 150),
    ]
    assert stored_report(database, "spring").warm_ups[1].provider == "google"
    assert connections_warming_up(database, [campaign_id]) == {campaign_id: ["new"]}


def test_a_provider_in_warm_up_alone_does_not_delay_the_others(
    database: AtNoon, tmp_path: Path
) -> None:
    """After the connection's last day, its plan has one day, and the providers' plans have more."""
    entries = [{"provider": "yahoo", "daily_caps": [20], "until": MONDAY + 30 * DAY}]
    launches = Mixed(database, tmp_path)
    launches.warm_ups["new"] = WarmUp(start=MONDAY - DAY, daily_caps=[1], per_provider=entries)
    campaign_id, placement = launches.mixed("spring")
    assert placement.warmings[0].days == ((MONDAY, 160), (TUESDAY, 20), (WEDNESDAY, 20))
    assert by_day(database, campaign_id)[GMAIL, MONDAY] == 100


def test_warm_ups_of_earlier_versions_go_on(empty_database_url: str) -> None:
    """What they planned counts towards the connection's cap, and its day in trouble holds back."""
    with old_schema(empty_database_url, "0016") as transaction:
        for statement in (
            "INSERT INTO campaigns (id, name, status, content, created_at)"
            " VALUES (1, 'spring', 'sending', '{}', 0)",
            "INSERT INTO warm_up_plans (campaign_id, connection, day, planned)"
            " VALUES (1, 'new', '2026-01-05', 100), (1, 'new', '2026-01-06', 30)",
            "INSERT INTO warm_up_days"
            " (connection, day, cap, held_back_days, attempted, troubled, complained)"
            " VALUES ('new', '2026-01-05', 100, 0, 100, 40, 0), ('new', '2026-01-06', 150, 0, NULL,"
            " NULL, NULL)",
        ):
            transaction.execute(sa.text(statement))
    warm_up = WarmUp(**RAMP, per_provider=ENTRIES)
    with AtNoon(empty_database_url) as database, database.read() as reader:
        database.today += DAY
        moment = database.moment()
        states = WarmUps(database).states(reader, None, {"new": warm_up}, moment, ["google"])
        assert states["new"].taken == {TUESDAY: 30}
        assert states["new"].cap_on(TUESDAY) == 100
        assert states["new"].providers["google"].taken == {}
        assert states["new"].providers["google"].cap_on(TUESDAY) == 75
        assert [day.provider for day in WarmUps(database).of_campaign(1)] == ["", ""]
