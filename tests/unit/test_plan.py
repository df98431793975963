"""Plans: the binding limit of each connection, estimated ends, and warnings."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from mailsluice.assignment.assignment import assign
from mailsluice.assignment.day_outcome import DayOutcome
from mailsluice.assignment.placement import Hosts, place
from mailsluice.campaign import Campaign
from mailsluice.campaign.sending_window import SendingWindow
from mailsluice.campaign.warm_up import WarmUp
from mailsluice.limits import QuotaUse
from mailsluice.operations.plan import Plan, plan
from mailsluice.operations.plan.providers import hosted
from mailsluice.smtp.connection import Connection
from tests.unit.test_assignment import audience, campaign
from tests.unit.test_warm_up import state as warm_up_state

MONDAY = date(2026, 1, 5)
NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
OFFICE = SendingWindow(days="Mon-Fri", start="09:00", end="18:00")


def planned(
    document: Campaign,
    connections: list[Connection],
    size: int = 10_000,
    starts_at: datetime = NOON,
    outcomes: dict[date, DayOutcome] | None = None,
    hosts: dict[str, int] | None = None,
    quotas: dict[str, list[QuotaUse]] | None = None,
) -> Plan:
    """Plan a campaign of so many recipients; `hosts` are the recipients of each provider."""
    states = {
        known.name: warm_up_state(
            known.warm_up, starts_at.date(), outcomes=outcomes, providers=[*(hosts or ())]
        )
        for known in connections
        if known.warm_up.start
    }
    addresses, domains = audience(size, 20)
    each = np.arange(1, len(hosts or ()) + 1, dtype=np.int16)
    numbers = np.repeat(each, [*hosts.values()]) if hosts else None
    assignment = assign(addresses, domains, document, starts_at.date(), numbers)
    of_hosts = None if numbers is None else Hosts(numbers, tuple(hosts or ()))
    placement = place(document, assignment, starts_at.date(), states, of_hosts)
    return plan(
        document,
        placement,
        {known.name: known for known in connections},
        read_rows=size + 5,
        rejected={"duplicate": 3, "invalid": 2},
        held_back={"bounced": 2},
        digest=placement.digest(addresses),
        starts_at=starts_at,
        mail=None
        if numbers is None
        else hosted(placement.moves()[0], placement, numbers, [*(hosts or ())]),
        quotas=quotas or {},
    )


def connection(name: str, **fields: Any) -> Connection:
    return Connection(name, "smtp.example.com", 587, **fields)


def two(**fields: Any) -> Campaign:
    """A campaign over the connections a and b, 70/30."""
    routes = [{"connection": "a", "percent": 70}, {"connection": "b", "percent": 30}]
    return campaign(**{"strategy": "percentage", "routes": routes, **fields})


def test_a_campaign_throttle_is_shared_out_and_the_lowest_limit_binds() -> None:
    found = planned(
        two(throttle={"per_hour": 6_000}), [connection("a", per_hour=2_000), connection("b")]
    )
    a, b = found.connections
    assert (a.count, a.binding) == (7_000, "2,000 an hour (its own)")
    assert (b.count, b.binding) == (3_000, "1,800 an hour (its share of the campaign's)")
    assert a.ends_at == NOON + 3.5 * HOUR
    assert found.ends_at == a.ends_at
    assert found.warnings == []
    assert found.summary() == (
        "10,000 of 10,005 rows would be sent to, done about 2026-01-05 15:30 UTC"
    )


def test_without_limits_the_plan_assumes_a_speed_and_says_so() -> None:
    found = planned(two(), [connection("a", max_sessions=20), connection("b")])
    assert [each.binding for each in found.connections] == [
        "200 a second (assumed)",
        "40 a second (assumed)",
    ]
    assert "10 a second and session where there is no limit" in found.markdown()


def test_the_page_tells_how_many_processes_send() -> None:
    plan = planned(two(), [connection("a"), connection("b")])
    assert "processes of the run" not in plan.markdown()
    several = replace(plan, processes=3)
    assert "3 processes of the run send at the same time." in several.markdown()


def test_even_a_high_limit_is_named() -> None:
    found = planned(two(throttle={"per_second": 1_000}), [connection("a"), connection("b")])
    assert [each.binding for each in found.connections] == [
        "700 a second (its share of the campaign's)",
        "300 a second (its share of the campaign's)",
    ]


@pytest.mark.parametrize(
    ("limit", "lasts"),
    [
        ({"per_second": 1_000}, "10.0 seconds"),
        ({"per_minute": 1_000}, "10.0 minutes"),
        ({"per_hour": 1_000}, "10.0 hours"),
        ({"per_day": 1_000}, "10.0 days"),
    ],
)
def test_the_duration_is_shown_in_a_fitting_unit(limit: dict[str, int], lasts: str) -> None:
    single = campaign(routes=[{"connection": "a"}])
    assert planned(single, [connection("a", **limit)]).connections[0].lasts == lasts


def test_a_daily_limit_that_takes_nine_days_is_a_warning() -> None:
    found = planned(two(), [connection("a"), connection("b", per_day=333)])
    assert found.warnings == [
        "b takes 9.0 days for its 3,000 recipients: it is bound by 333 a day (its own)"
    ]
    assert "- b takes 9.0 days" in found.markdown()


def test_a_campaign_that_takes_years_is_a_warning() -> None:
    found = planned(two(), [connection("a"), connection("b", per_day=1)])
    assert found.ends_at is None
    assert "b takes more than 3 years" in found.warnings[0]
    assert found.summary().endswith("not done within years; 1 warning")


def test_a_closed_window_is_a_warning() -> None:
    evening = NOON + 8 * HOUR
    found = planned(
        two(sending_window=OFFICE.model_dump()),
        [connection("a"), connection("b")],
        starts_at=evening,
    )
    assert found.warnings == ["the sending window is closed: it opens at 2026-01-06 09:00 UTC"]
    assert {each.binding for each in found.connections} == {"sending window"}


def test_the_page_describes_the_warm_up() -> None:
    ramp = WarmUp(start=MONDAY, daily_caps=(1_000, 1_500, 2_000))
    found = planned(two(), [connection("a"), connection("b", warm_up=ramp)])
    assert found.warm_ups == [
        "b warms up, at most 1,000 today (2026-01-05): 1,000 of 3,000 go today,"
        " 1,500 on 2026-01-06, 500 on 2026-01-07"
    ]
    b = found.connections[1]
    assert b.binding == "warm-up"
    assert b.ends_at == datetime(2026, 1, 7, 0, 0, 12, 500_000, tzinfo=UTC)  # 40 a second
    assert found.warnings[0].startswith("b takes 1.5 days for its 3,000 recipients")


def test_a_warm_up_held_back_by_trouble_is_a_warning() -> None:
    ramp = WarmUp(start=MONDAY - DAY, daily_caps=(5_000, 6_000))
    outcomes = {MONDAY - DAY: DayOutcome(100, 50)}
    found = planned(two(), [connection("a"), connection("b", warm_up=ramp)], outcomes=outcomes)
    assert found.warnings == [
        "b is held back, its cap does not grow: on 2026-01-04 50 of 100 messages (50.0 %) were"
        " deferred or failed, more than 10 %"
    ]


def test_a_connection_that_takes_recipients_over_is_listed() -> None:
    ramp = WarmUp(start=MONDAY, daily_caps=(1_000,), over_cap="spill", spill_to="c")
    found = planned(
        two(throttle={"per_hour": 6_000}),
        [connection("a"), connection("b", warm_up=ramp), connection("c")],
    )
    assert [(each.connection, each.assigned, each.count) for each in found.connections] == [
        ("a", 7_000, 7_000),
        ("b", 3_000, 1_000),
        ("c", 0, 2_000),
    ]
    assert [each.binding for each in found.connections] == [
        "4,200 an hour (its share of the campaign's)",
        "600 an hour (its share of the campaign's)",
        "1,200 an hour (its share of the campaign's)",
    ]


def test_an_audience_too_small_for_a_share_is_a_warning() -> None:
    found = planned(two(), [connection("a"), connection("b")], size=1)
    assert found.warnings == ["b gets no recipient: the audience is too small for its share"]


def test_the_numbers_on_the_page_add_up() -> None:
    page = planned(two(throttle={"per_hour": 6_000}), [connection("a"), connection("b")]).markdown()
    assert "| a | 70 % | 7,000 | 7,000 | 4,200 an hour (its share of the campaign's) |" in page
    assert "| 10,005 | 10,000 | 3 | 2 |" in page
    assert "@" not in page


def test_the_plan_says_what_a_canary_delays() -> None:
    limits = {"bounce_percent": 5}
    careful = two(canary={"percent": 1, "approve": "operator"}, stop_loss=limits)
    page = planned(careful, [connection("a"), connection("b")]).markdown()
    assert (
        "The canary goes first, 1 % of each mailbox provider on each connection. The rest follows"
        " after 30 minutes and an operator's approval, which the times leave out."
    ) in page
    assert "canary" not in planned(two(), [connection("a"), connection("b")]).markdown()


def test_the_plan_says_who_takes_over() -> None:
    known = [connection("a"), connection("b")]
    page = planned(two(on_connection_down="reassign"), known).markdown()
    said = "When a connection is down, its recipients that were not tried yet go to "
    assert f"{said}the others." in page
    assert said not in planned(two(), known).markdown()
    spare = campaign(
        strategy="single",
        routes=[{"connection": "a"}, *({"connection": name, "standby": True} for name in "bc")],
        on_connection_down="reassign",
        reassign_after_minutes=10,
    )
    page = planned(spare, [*known, connection("c")]).markdown()
    assert (
        "When a connection is down or has rested for 10 minutes, its recipients that were not tried"
        " yet go to b, or where that is down as well to c."
    ) in page
    idle = "| standby, used only when another connection is down | 0 | 0 |  |  |  |"
    assert page.count(idle) == 2


def test_a_standby_without_recipients_is_no_warning() -> None:
    spare = two(
        routes=[
            {"connection": "a", "percent": 60},
            {"connection": "b", "percent": 40},
            {"connection": "c", "standby": True},
        ],
        on_connection_down="reassign",
    )
    assert not planned(spare, [connection(name) for name in "abc"]).warnings


@pytest.mark.parametrize(
    ("minutes", "said"),
    [
        (0, "is down or rests after failures, its"),
        (1, "is down or has rested for a minute, its"),
        (1_440, "is down or has rested for 1,440 minutes, its"),
    ],
)
def test_the_plan_says_after_which_rest_recipients_move(minutes: int, said: str) -> None:
    found = two(on_connection_down="reassign", reassign_after_minutes=minutes)
    assert said in planned(found, [connection("a"), connection("b")]).markdown()


def test_the_plan_says_what_lending_may_move_at_most() -> None:
    known = [connection("a"), connection("b")]
    page = planned(two(lend=True, max_shift_percent=5), known).markdown()
    assert (
        "When a or b has room, recipients of connections that would end later may go there: at"
        " most 350 of a's, 150 of b's (5 %). The times leave that out."
    ) in page
    assert "has room" not in planned(two(), known).markdown()


def test_the_plan_of_a_pool_expects_recipients_where_other_plans_assign_them() -> None:
    found = planned(two(), [connection("a"), connection("b")])
    computed = replace(found.connections[0], percent=Decimal("66.666667"))
    page = replace(found, connections=[computed], pooling="From a pool").markdown()
    assert "| connection | computed share | expected |" in page
    assert "| a | 66.67 % | 7,000 |" in page
