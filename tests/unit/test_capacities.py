"""The computed shares of a campaign whose connections claim from a pool."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from mailsluice.assignment.capacities import Capacity, computed_shares
from mailsluice.campaign import Campaign
from mailsluice.campaign.sending_window import SendingWindow
from mailsluice.campaign.warm_up import WarmUp
from mailsluice.limits import CalendarLimit, QuotaUse, Unit
from mailsluice.operations.pooling import computed_percents
from mailsluice.smtp.connection import Connection

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
DAILY = QuotaUse(
    CalendarLimit(500, Unit.DAY, "UTC", 0), 100, (NOON + timedelta(hours=12)).timestamp()
)
WARM = WarmUp(start=date(2026, 1, 5), daily_caps=(100, 200, 400))


@pytest.mark.parametrize(
    ("capacities", "recipients", "window", "limit", "shares"),
    [
        # in proportion to the paces
        ({"a": Capacity(3.0), "b": Capacity(1.0)}, 1_000, SendingWindow(), math.inf, [0.75, 0.25]),
        # a limit of the campaign changes the end, not the shares
        ({"a": Capacity(3.0), "b": Capacity(1.0)}, 1_000, SendingWindow(), 0.5, [0.75, 0.25]),
        # 12 hours today and 24 tomorrow; the cap is used up on both days
        (
            {"a": Capacity(0.01), "b": Capacity(100.0, WARM)},
            432 + 864 + 300,
            SendingWindow(),
            math.inf,
            [1296 / 1596, 300 / 1596],
        ),
        # two hours are open today; the cap holds once a day
        (
            {"a": Capacity(0.01), "b": Capacity(100.0, WARM)},
            172,
            SendingWindow(start="10:00", end="14:00", days="Mon-Sun"),
            math.inf,
            [72 / 172, 100 / 172],
        ),
        # 12 hours until the reset at midnight, and 500 recipients for each day
        (
            {"a": Capacity(0.01), "b": Capacity(100.0, quotas=[DAILY])},
            432 + 400 + 864 + 500,
            SendingWindow(),
            math.inf,
            [1296 / 2196, 900 / 2196],
        ),
    ],
    ids=["limits", "limit of the campaign", "warm-up over days", "sending window", "quota"],
)
def test_all_connections_are_busy_until_the_end(
    capacities: dict[str, Capacity],
    recipients: int,
    window: SendingWindow,
    limit: float,
    shares: list[float],
) -> None:
    computed = computed_shares(capacities, recipients, NOON, window, limit)
    assert [float(share) for share in computed.values()] == pytest.approx(shares, abs=1e-6)


def test_a_campaign_that_takes_too_long_has_the_shares_of_its_first_years() -> None:
    capacities = {"a": Capacity(1e-6), "b": Capacity(3e-6)}
    computed = computed_shares(capacities, 10**9, NOON, SendingWindow(), math.inf)
    assert float(computed["b"]) == pytest.approx(0.75)


def test_percents_add_up_and_assume_a_pace_where_there_is_no_limit() -> None:
    campaign = Campaign.model_validate(
        {
            "name": "n",
            "recipients": {"path": "r.csv"},
            "message": {"sender": "n@example.com", "subject": "s", "text": "t"},
            "strategy": "throughput",
            "routes": [{"connection": name} for name in "abc"],
        }
    )
    known = [
        Connection("a", "127.0.0.1", 25, per_minute=1_200),  # 20 a second
        Connection("b", "127.0.0.1", 25, max_sessions=4),  # assumed: 40 a second
        Connection("c", "127.0.0.1", 25, per_second=30, per_hour=3_600),  # 1 a second
    ]
    percents = computed_percents(campaign, {one.name: one for one in known}, 61_000, NOON)
    assert percents == {
        "a": Decimal("32.786885"),
        "b": Decimal("65.573771"),
        "c": Decimal("1.639344"),
    }
    assert sum(percents.values()) == 100
    assert computed_percents(campaign, {}, 10, NOON)["a"] == Decimal("33.333334")
