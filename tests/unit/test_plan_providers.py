"""Plans by mailbox provider: limits, warm-ups of their own, and warnings."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from mailsluice.campaign import ProviderThrottle
from mailsluice.campaign.warm_up import WarmUp
from tests.unit.test_assignment import campaign
from tests.unit.test_plan import HOUR, MONDAY, NOON, connection, planned, two

HOSTS = {"google": 6_000, "yahoo": 3_000, "unresolved": 1_000}


def test_each_connection_is_planned_by_provider_with_the_limit_that_binds() -> None:
    """Google is slow over a by a's own limit; the campaign's limit for Yahoo binds nowhere."""
    document = two(
        throttle={"per_hour": 10_000},
        per_provider=[{"provider": "yahoo", "per_hour": 5_000}],
    )
    slow = [{"provider": "google", "per_hour": 420}]
    found = planned(
        document,
        [connection("a", per_provider=throttles(slow)), connection("b")],
        hosts=HOSTS,
    )
    shares = ["7,000 an hour (its share of the campaign's)", "3,000 an hour (its share"]
    assert [(one.provider, one.connection, one.count) for one in found.providers] == [
        ("google", "a", 4_200),
        ("yahoo", "a", 2_100),
        ("unresolved", "a", 700),
        ("google", "b", 1_800),
        ("yahoo", "b", 900),
        ("unresolved", "b", 300),
    ]
    google = found.providers[0]
    assert google.binding == "420 an hour (its own, for Google)"
    assert google.ends_at == NOON + 10 * HOUR
    others = found.providers[1:]
    assert {one.ends_at for one in others} == {NOON + HOUR}
    assert all(one.binding.startswith(tuple(shares)) for one in others)
    a, b = found.connections
    assert (a.binding, a.ends_at) == (google.binding, google.ends_at)
    assert b.ends_at == NOON + HOUR
    page = found.markdown()
    assert (
        "| Google | a | 4,200 | 420 an hour (its own, for Google) | 2026-01-05 22:00 UTC |"
    ) in page
    assert "| other domains | b | 300 |" in page


def test_the_campaigns_limit_for_a_provider_is_shared_out() -> None:
    document = two(per_provider=[{"provider": "google", "per_hour": 600}])
    found = planned(document, [connection("a"), connection("b")], hosts=HOSTS)
    for one, per_hour in ((found.providers[0], 420), (found.providers[3], 180)):
        assert one.binding == f"{per_hour} an hour (its share of the campaign's, for Google)"
        assert one.ends_at == NOON + 10 * HOUR


def test_a_limit_for_every_other_provider_holds_for_each_by_itself() -> None:
    hosts = {f"p{i}.example": 1_000 - i for i in range(20)}
    each = [{"provider": "*", "per_hour": 100}, {"provider": "p19.example", "per_hour": 10}]
    found = planned(
        campaign(routes=[{"connection": "a"}], per_provider=each),
        [connection("a")],
        size=sum(hosts.values()),
        hosts=hosts,
    )
    *shown, smaller = found.providers
    assert [one.provider for one in shown] == [f"p{i}.example" for i in range(12)]
    assert {one.binding for one in shown if one.provider} == {
        f"100 an hour (its share of the campaign's, for p{i}.example)" for i in range(12)
    }
    assert (smaller.provider, smaller.count) == (None, sum(1_000 - i for i in range(12, 20)))
    assert smaller.binding == "10 an hour (its share of the campaign's, for p19.example)"
    assert found.ends_at == smaller.ends_at == NOON + 98.1 * HOUR
    assert "| smaller providers | a | 7,876 | 10 an hour" in found.markdown()


def test_a_provider_that_is_not_looked_up_needs_an_entry_of_its_own() -> None:
    every = campaign(
        routes=[{"connection": "a"}], per_provider=[{"provider": "*", "per_hour": 1_000}]
    )
    found = planned(every, [connection("a")], hosts={"unresolved": 9_999, "google": 1})
    assert [one.binding for one in found.providers] == ["40 a second (assumed)"] * 2
    assert found.ends_at == NOON + timedelta(seconds=250)


def test_a_provider_that_warms_up_by_itself_is_done_later_than_the_others() -> None:
    ramp = WarmUp(
        start=MONDAY,
        daily_caps=(5_000, 5_000),
        per_provider=[{"provider": "google", "daily_caps": (1_000, 1_000)}],
    )
    found = planned(
        two(per_provider=[{"provider": "yahoo", "per_hour": 100}]),
        [connection("a"), connection("b", warm_up=ramp)],
        hosts=HOSTS,
    )
    google, yahoo, others = found.providers[3:]
    assert [one.count for one in found.providers[3:]] == [1_800, 900, 300]
    assert google.binding == "warm-up"
    assert google.ends_at == NOON + HOUR * 12 + timedelta(seconds=800 / 40)
    assert yahoo.binding == "30 an hour (its share of the campaign's, for Yahoo and AOL)"
    assert yahoo.ends_at == NOON + 30 * HOUR
    assert others.binding == "40 a second (assumed)"
    assert others.ends_at == NOON + timedelta(seconds=2_200 / 40)
    assert found.connections[1].ends_at == yahoo.ends_at


def test_the_table_has_room_for_the_largest_connections() -> None:
    names = [f"c{i}" for i in range(12)]
    document = campaign(
        strategy="round_robin", batch_size=1, routes=[{"connection": name} for name in names]
    )
    hosts = {"google": 9_000, "yahoo": 1_000}
    found = planned(document, [connection(name) for name in names], hosts=hosts)
    table = found.markdown().partition("## Mailbox providers")[2].partition("\n## ")[0]
    rows = [line for line in table.splitlines() if line.startswith("| ")][2:]
    assert len(rows) == 2 * 9
    assert "| Google | 4 others | 3," in rows[8]
    assert sum(int(row.split(" | ")[2].replace(",", "")) for row in rows) == 10_000


def test_a_provider_with_caps_of_its_own_in_a_warm_up_has_its_own_days() -> None:
    google = {"provider": "google", "daily_caps": [1_000]}
    ramp = WarmUp(
        start=NOON.date(), daily_caps=[9_000], until=date(2026, 2, 1), per_provider=[google]
    )
    document = campaign(routes=[{"connection": "a"}])
    found = planned(document, [connection("a", warm_up=ramp)], hosts=HOSTS)
    of_google = found.providers[0]
    assert (of_google.binding, of_google.count) == ("warm-up", 6_000)
    days = [(day.day.day, day.planned) for day in found.warm_up_days if day.provider]
    assert days == [(5 + i, 1_000) for i in range(6)]
    assert of_google.ends_at
    assert of_google.ends_at.date() == date(2026, 1, 10)
    assert "| a | 2026-01-05 | Google | 1,000 | 1,000 |" in found.markdown()


def test_limits_for_providers_that_need_look_ups_are_warned_about() -> None:
    limits = [{"provider": name, "per_hour": 9} for name in ("google", "*", "unresolved", "ovh")]
    ramp = WarmUp(
        start=NOON.date(),
        daily_caps=[9_000],
        per_provider=[{"provider": "microsoft-business", "first_day": 5}],
    )
    known = [connection("a", warm_up=ramp, per_provider=throttles(limits))]
    routes = [{"connection": "a"}]
    warned = planned(campaign(routes=routes), known).warnings
    assert [text.partition(":")[0] for text in warned if "look-ups" in text] == [
        "the limits of a for OVHcloud apply to no mail",
        "the limits of the warm-up of a for Microsoft 365 apply to no mail",
    ]
    looked_up = planned(campaign(routes=routes, resolve="mx"), known).warnings
    assert not [text for text in looked_up if "look-ups" in text]


def test_one_provider_alone_needs_no_table() -> None:
    found = planned(two(), [connection("a"), connection("b")], hosts={"unresolved": 10_000})
    assert found.providers == []
    assert "Mailbox providers" not in found.markdown()


def throttles(entries: list[dict[str, Any]]) -> tuple[ProviderThrottle, ...]:
    return tuple(ProviderThrottle.model_validate(entry) for entry in entries)
