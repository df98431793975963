"""Thirty simulated days of a new connection with a campaign a week."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import pytest
import sqlalchemy as sa

from mailsluice.campaign.warm_up import WarmUp
from mailsluice.operations import accounts
from mailsluice.store import Campaigns, Outbox
from mailsluice.store.schema import recipients
from tests.integration.test_warm_up import DAY, MONDAY, AtNoon, Launches

AUDIENCE = 4_000
CONNECTIONS = ("new", "old", "older")
GROWTH = {"grows_to": 50, "grows_from": MONDAY, "grows_over_days": 28}
ROUTES = [
    {"connection": "new", "percent": 10, **GROWTH},
    {"connection": "old", "percent": 60},
    {"connection": "older", "percent": 30},
]


@pytest.fixture
def database(tmp_path: Path, new_sqlite: Callable[[Path], str]) -> Iterator[AtNoon]:
    with AtNoon(new_sqlite(tmp_path / "outbox.db")) as opened:
        yield opened


def connections(database: AtNoon) -> dict[tuple[int, str], str]:
    """The connection of each recipient, by campaign and address."""
    kept = recipients.c
    with database.read() as reader:
        rows = reader.execute(sa.select(kept.campaign_id, kept.email, kept.connection))
        return {(row[0], row[1]): row[2] for row in rows}


def test_four_weekly_campaigns_over_a_month(database: AtNoon, tmp_path: Path) -> None:
    launches = Launches(database, tmp_path, first_day=100, growth=1.15)
    ramp = launches.warm_ups["new"]
    campaigns: list[int] = []
    sent: dict[date, Counter[str]] = {}
    launched: dict[tuple[int, str], str] = {}
    for day in (MONDAY + i * DAY for i in range(30)):
        database.today = day
        if (day - MONDAY).days % 7 == 0 and len(campaigns) < 4:
            campaign_id, _ = launches(
                f"weekly {day}", AUDIENCE, CONNECTIONS, strategy="percentage", routes=ROUTES
            )
            campaigns.append(campaign_id)
            launched = connections(database)
        sent[day] = Counter(
            {
                name: sum(launches.send(campaign, name) for campaign in campaigns)
                for name in CONNECTIONS
            }
        )
        assert connections(database) == launched  # whatever the day, nobody changes connection

    _caps_hold_and_are_used(ramp, sent)
    _shares_are_exact(database, campaigns)
    for week in range(4):
        assert accounts.verify(
            accounts.tally(database, f"weekly {MONDAY + 7 * week * DAY}")
        ).is_conserved
        assert not Outbox(database, campaigns[week]).counts().open


def _caps_hold_and_are_used(ramp: WarmUp, sent: dict[date, Counter[str]]) -> None:
    over_new = {day: counts["new"] for day, counts in sent.items()}
    for day, number in over_new.items():
        cap = ramp.cap_on(day)
        assert cap is not None
        assert number <= cap
    first_week = [over_new[MONDAY + i * DAY] for i in range(7)]
    assert first_week == [100, 115, 132, 53, 0, 0, 0]  # 10 % of 4,000
    assert sum(over_new.values()) == 400 + 800 + 1_200 + 1_600


def _shares_are_exact(database: AtNoon, campaigns: list[int]) -> None:
    found = [
        [(route.percent, route.assigned) for route in Campaigns(database).routes(campaign_id)]
        for campaign_id in campaigns
    ]
    assert found == [
        [("10", 400), ("60", 2_400), ("30", 1_200)],
        [("20", 800), ("53.333333", 2_133), ("26.666667", 1_067)],
        [("30", 1_200), ("46.666667", 1_867), ("23.333333", 933)],
        [("40", 1_600), ("40", 1_600), ("20", 800)],
    ]


def test_trouble_in_the_first_week_holds_the_second_back(database: AtNoon, tmp_path: Path) -> None:
    launches = Launches(database, tmp_path, first_day=100, growth=1.15, until=MONDAY + 60 * DAY)
    first, _ = launches("first", 100)
    launches.send(first, deferred=60)
    caps = []
    for week in (1, 2, 3):
        database.today = MONDAY + 7 * week * DAY
        campaign_id, placement = launches(f"week {week}", 500)
        caps.append(placement.warmings[0].caps[database.today])
        launches.send(campaign_id)
    assert caps == [100, 266, 707]  # 100 * 1.15 ** 0, 7, 14: a week behind the plan
