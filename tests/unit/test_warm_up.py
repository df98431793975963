"""Warm-up: the caps, the days of recipients, and the effect of trouble."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from mailsluice.assignment.assignment import assign
from mailsluice.assignment.day_outcome import DayOutcome, held_back_days
from mailsluice.assignment.placement import Hosts, Placement, place
from mailsluice.assignment.warm_up_days import warming
from mailsluice.assignment.warming import WarmUpState
from mailsluice.campaign.warm_up import WarmUp
from mailsluice.limits import Cap
from tests.unit.test_assignment import audience, split

MONDAY = date(2026, 1, 5)
DAY = timedelta(days=1)
GOOGLE = {"provider": "google", "first_day": 20}
RAMP: dict[str, Any] = {"start": MONDAY, "first_day": 50, "growth": 1.3, "until": MONDAY + 30 * DAY}


def state(
    warm_up: WarmUp,
    today: date = MONDAY,
    taken: dict[date, int] | None = None,
    outcomes: dict[date, DayOutcome] | None = None,
    providers: Sequence[str] = (),
) -> WarmUpState:
    """Return the state of a warm-up on a day, where no campaign has planned for providers."""
    own = warm_up.of_providers(providers)
    parts = {name: WarmUpState(caps, today, {}, {}) for name, caps in own.items()}
    return WarmUpState(warm_up, today, taken or {}, outcomes or {}, parts)


class TestCaps:
    def test_an_empty_warm_up_has_no_caps(self) -> None:
        assert WarmUp().cap_on(MONDAY) is None

    def test_caps_grow_from_the_first_day_to_the_last(self) -> None:
        ramp = WarmUp(**RAMP)
        days = [MONDAY + i * DAY for i in (-1, 0, 1, 2, 3, 30, 31)]
        assert [ramp.cap_on(day) for day in days] == [None, 50, 65, 84, 109, 130_999, None]

    def test_growth_is_exact(self) -> None:
        """In floats 1.1 ** 3 * 1000 is 1331.0000000000002, and 1.15 * 100 is 114.99999999999999."""
        ramp = WarmUp(**{**RAMP, "first_day": 100, "growth": 1.15})
        assert ramp.cap_on(MONDAY + DAY) == 115

    def test_caps_can_be_listed(self) -> None:
        listed = WarmUp(start=MONDAY, daily_caps=(50, 100, 500))
        assert [listed.cap_on(MONDAY + i * DAY) for i in range(4)] == [50, 100, 500, None]

    def test_the_last_listed_cap_holds_until_the_end(self) -> None:
        listed = WarmUp(start=MONDAY, daily_caps=(50, 100), until=MONDAY + 3 * DAY)
        assert [listed.cap_on(MONDAY + i * DAY) for i in range(5)] == [50, 100, 100, 100, None]

    def test_days_held_back_delay_the_rest_of_the_plan(self) -> None:
        listed = WarmUp(start=MONDAY, daily_caps=(50, 100, 500))
        assert [listed.cap_on(MONDAY + i * DAY, 2) for i in range(6)] == [
            50,
            50,
            50,
            100,
            500,
            None,
        ]

    def test_caps_never_exceed_the_integers_of_a_database(self) -> None:
        steep = WarmUp(**{**RAMP, "growth": 10, "until": MONDAY + 999 * DAY})
        assert steep.cap_on(MONDAY + 999 * DAY) == 10**12

    def test_days_begin_in_the_time_zone_of_the_warm_up(self) -> None:
        tokyo = WarmUp(**RAMP, timezone="Asia/Tokyo")
        evening = datetime(2026, 1, 5, 20, tzinfo=UTC)
        assert tokyo.today(evening) == MONDAY + DAY
        midnight = datetime(2026, 1, 5, 15, tzinfo=UTC).timestamp()
        assert tokyo.begins(MONDAY + DAY) == midnight
        assert tokyo.caps_around(MONDAY + DAY) == (
            Cap(midnight - 86_400, midnight, 50),
            Cap(midnight, midnight + 86_400, 65),
            Cap(midnight + 86_400, midnight + 2 * 86_400, 84),
        )

    def test_a_day_with_a_clock_change_has_another_length(self) -> None:
        berlin = WarmUp(**{**RAMP, "until": date(2026, 3, 29)}, timezone="Europe/Berlin")
        caps = berlin.caps_around(date(2026, 3, 29))
        assert [(cap.end - cap.start) / 3600 for cap in caps] == [
            24,
            23,
        ]  # the warm-up ends on that day


@pytest.mark.parametrize(
    ("fields", "advice"),
    [
        ({"first_day": 50}, "add start"),
        ({"until": MONDAY}, "add start"),
        ({"start": MONDAY}, "either first_day (with growth) or daily_caps"),
        ({**RAMP, "daily_caps": [1]}, "either first_day (with growth) or daily_caps"),
        ({"start": MONDAY, "first_day": 50}, "add until"),
        ({**RAMP, "until": MONDAY - DAY}, "ends on 2026-01-04, before it starts"),
        ({**RAMP, "until": date(2036, 1, 1)}, "at most 1,000 days"),
        ({**RAMP, "growth": 0.9}, "greater than or equal to 1"),
        ({"start": MONDAY, "daily_caps": [0]}, "greater than or equal to 1"),
        ({**RAMP, "over_cap": "spill"}, "name another connection in spill_to"),
        ({**RAMP, "spill_to": "other"}, "leave it empty for hold"),
        ({**RAMP, "timezone": "CEST+1"}, "unknown time zone"),
        ({"per_provider": [{"provider": "google", "first_day": 5}]}, "add start"),
        ({**RAMP, "per_provider": [{"provider": "gogle", "first_day": 5}]}, "did you mean google"),
        ({**RAMP, "per_provider": [GOOGLE, GOOGLE]}, "'google' is listed twice"),
        ({**RAMP, "per_provider": [{"provider": "google"}]}, "google: there is no cap: add first"),
        (
            {**RAMP, "per_provider": [{**GOOGLE, "daily_caps": [5]}]},
            "google: give either first_day (with growth) or daily_caps",
        ),
        (
            {**RAMP, "per_provider": [{**GOOGLE, "until": MONDAY - DAY}]},
            "google: the warm-up ends on 2026-01-04, before it starts",
        ),
        (
            {"start": MONDAY, "daily_caps": [5], "per_provider": [{"provider": "*", "growth": 2}]},
            "*: growth needs first_day",
        ),
    ],
)
def test_an_invalid_warm_up_is_refused_with_advice(fields: dict[str, Any], advice: str) -> None:
    with pytest.raises(ValidationError) as caught:
        WarmUp(**fields)
    assert advice in str(caught.value)


def test_empty_fields_of_the_form_count_as_left_out() -> None:
    assert WarmUp(start="", until="", timezone="", spill_to="", daily_caps=[]) == WarmUp()


class TestDays:
    def test_messages_planned_by_other_campaigns_count(self) -> None:
        part = warming("new", 100, state(WarmUp(**RAMP), taken={MONDAY: 40, MONDAY + DAY: 70}))
        assert part.days == ((MONDAY, 10), (MONDAY + 2 * DAY, 84), (MONDAY + 3 * DAY, 6))
        assert part.caps == {MONDAY: 50, MONDAY + 2 * DAY: 84, MONDAY + 3 * DAY: 109}

    def test_after_the_warm_up_there_is_no_cap(self) -> None:
        part = warming("new", 10_000, state(WarmUp(start=MONDAY, daily_caps=(50, 100))))
        assert part.days == ((MONDAY, 50), (MONDAY + DAY, 100), (MONDAY + 2 * DAY, 9_850))

    def test_a_long_wait_is_described_briefly(self) -> None:
        part = warming("new", 1_000, state(WarmUp(**RAMP)))
        assert part.sentences() == [
            "new warms up, at most 50 today (2026-01-05): 50 of 1,000 go today, 65 on 2026-01-06,"
            " 84 on 2026-01-07, 109 on 2026-01-08, and so on until 2026-01-12"
        ]

    def test_a_campaign_below_the_cap_is_sent_today(self) -> None:
        part = warming("new", 30, state(WarmUp(**RAMP)))
        assert part.sentences() == ["new warms up, at most 50 today (2026-01-05)"]

    @given(
        st.integers(0, 5_000),
        st.dictionaries(st.integers(0, 12), st.integers(0, 400)),
        st.integers(0, 40),
        st.booleans(),
    )
    def test_no_cap_is_exceeded_and_no_recipient_is_lost(
        self, count: int, taken: dict[int, int], days: int, spills: bool
    ) -> None:
        fields = {"over_cap": "spill", "spill_to": "old"} if spills else {}
        today = MONDAY + days * DAY
        planned = {today + day * DAY: number for day, number in taken.items()}
        part = warming("new", count, state(WarmUp(**RAMP, **fields), today, planned))
        assert sum(number for _, number in part.days) + part.spilled == count
        assert spills or not part.spilled
        for day, number in part.days:
            cap = part.caps[day]
            assert number == 0 or cap is None or planned.get(day, 0) + number <= cap
        assert [day for day, _ in part.days] == sorted(day for day, _ in part.days)


class TestProviders:
    """Mailbox providers with caps of their own, beside those of the connection."""

    @pytest.mark.parametrize(
        ("entry", "caps"),
        [
            ({"first_day": 20}, [20, 26, 33, None]),  # growth and end are those of all mail
            ({"first_day": 20, "growth": 2}, [20, 40, 80, None]),
            ({"growth": 2}, [50, 100, 200, None]),
            ({"daily_caps": (5, 6)}, [5, 6, 6, None]),
            ({"first_day": 20, "until": MONDAY}, [20, None, None, None]),
            ({"first_day": 20, "until": MONDAY + 3 * DAY}, [20, 26, 33, 43]),
        ],
    )
    def test_an_entry_overrides_what_it_gives(
        self, entry: dict[str, Any], caps: list[int | None]
    ) -> None:
        ramp = WarmUp(
            **{**RAMP, "until": MONDAY + 2 * DAY}, per_provider=[{"provider": "google", **entry}]
        )
        google = ramp.of_providers(["google"])["google"]
        assert [google.cap_on(MONDAY + i * DAY) for i in range(4)] == caps

    def test_every_other_provider_has_the_caps_by_itself(self) -> None:
        every = {"provider": "*", "first_day": 10}
        ramp = WarmUp(**RAMP, per_provider=[GOOGLE, every])
        found = ramp.of_providers(["google", "yahoo", "example.net", "unresolved"])
        assert {name: caps.cap_on(MONDAY) for name, caps in found.items()} == {
            "google": 20,
            "yahoo": 10,
            "example.net": 10,
        }

    def test_both_caps_hold(self) -> None:
        """The connection may send 50, and 65 on the second day, of these 20 and 26 to Google."""
        known = state(WarmUp(**RAMP, per_provider=[GOOGLE]), providers=["google"])
        part = warming("new", 150, known, {"google": 100})
        assert part.days[:3] == ((MONDAY, 50), (MONDAY + DAY, 46), (MONDAY + 2 * DAY, 33))
        assert part.providers[0].days[:3] == (
            (MONDAY, 20),
            (MONDAY + DAY, 26),
            (MONDAY + 2 * DAY, 33),
        )

    def test_a_provider_may_warm_up_longer_than_the_connection(self) -> None:
        google = {**GOOGLE, "until": MONDAY + 60 * DAY}
        known = state(
            WarmUp(**RAMP, per_provider=[google]), MONDAY + 40 * DAY, providers=["google"]
        )
        assert known.cap_on(known.today) is None
        assert known.has_cap

    def test_trouble_at_a_provider_holds_back_that_provider_alone(self) -> None:
        tuesday, wednesday = MONDAY + DAY, MONDAY + 2 * DAY
        ramp = WarmUp(**RAMP, per_provider=[GOOGLE, {**GOOGLE, "provider": "yahoo"}])
        known = state(ramp, tuesday, providers=["google", "yahoo"])
        bad = replace(known.providers["yahoo"], outcomes={MONDAY: DayOutcome(20, 12)})
        known = replace(known, providers={**known.providers, "yahoo": bad})
        part = warming("new", 200, known, {"google": 100, "yahoo": 100})
        google, yahoo = part.providers
        assert [google.caps[day] for day in (tuesday, wednesday)] == [26, 33]
        assert [yahoo.caps[day] for day in (tuesday, wednesday)] == [20, 26]
        assert part.caps[tuesday] == 65
        assert part.warnings() == [
            "new to Yahoo and AOL is held back, its cap does not grow: on 2026-01-05 12 of 20"
            " messages (60.0 %) were deferred or failed, more than 10 %"
        ]

    def test_the_days_of_providers_are_described(self) -> None:
        known = state(WarmUp(**RAMP, per_provider=[GOOGLE]), providers=["google"])
        assert warming("new", 100, known, {"google": 30}).sentences() == [
            "new warms up, at most 50 today (2026-01-05): 50 of 100 go today, 50 on 2026-01-06",
            "new to Google warms up, at most 20 today (2026-01-05): 15 of 30 go today,"
            " 15 on 2026-01-06",
        ]

    def test_of_many_providers_the_largest_are_described(self) -> None:
        names = [f"host{i}.net" for i in range(8)]
        ramp = WarmUp(**RAMP, per_provider=[{"provider": "*", "first_day": 1}])
        counts = {name: 10 + i for i, name in enumerate(names)}
        said = warming("new", 200, state(ramp, providers=names), counts).sentences()
        assert [text.split()[2] for text in said[1:6]] == names[:2:-1]
        assert said[6:] == ["new: 3 more providers have more than their cap"]

    @given(
        st.lists(st.integers(0, 300), max_size=6),
        st.integers(0, 300),
        st.dictionaries(st.tuples(st.integers(-1, 5), st.integers(0, 9)), st.integers(0, 90)),
        st.booleans(),
    )
    def test_no_cap_is_exceeded_and_no_recipient_is_lost(
        self, counts: list[int], others: int, taken: dict[tuple[int, int], int], spills: bool
    ) -> None:
        names = [f"host{i}.net" for i in range(len(counts))]
        fields = {"over_cap": "spill", "spill_to": "old"} if spills else {}
        ramp = WarmUp(**RAMP, **fields, per_provider=[{"provider": "*", "first_day": 9}])
        planned: dict[str, dict[date, int]] = {}
        for (number, day), messages in taken.items():
            if number < len(names):
                name = names[number] if number >= 0 else ""
                planned.setdefault(name, {})[MONDAY + day * DAY] = messages
        known = state(ramp, taken=planned.get("", {}), providers=names)
        known = replace(
            known,
            providers={
                name: replace(part, taken=planned.get(name, {}))
                for name, part in known.providers.items()
            },
        )
        part = warming("new", sum(counts) + others, known, dict(zip(names, counts, strict=True)))
        assert part.recipients == sum(counts) + others
        assert [own.recipients for own in part.providers] == counts
        assert spills or not part.spilled
        for row in part.plan():
            others_planned = planned.get(row.provider, {}).get(row.day, 0)
            is_within = row.cap is None or others_planned + row.planned <= row.cap
            assert row.planned == 0 or is_within
        for on_day, number in part.days:
            assert sum(dict(own.days).get(on_day, 0) for own in part.providers) <= number


class TestTrouble:
    GOOD, BAD = DayOutcome(100, 10), DayOutcome(100, 11)

    @pytest.mark.parametrize(
        ("outcomes", "today", "held_back"),
        [
            ({}, 5, 0),
            ({4: GOOD}, 5, 0),
            ({4: BAD}, 5, 1),
            ({0: BAD}, 7, 7),  # without mail since, the cap is that of the day in trouble
            ({0: BAD, 1: GOOD}, 7, 1),
            ({0: BAD, 1: BAD, 3: GOOD}, 4, 3),
            ({4: DayOutcome(0, 0)}, 5, 0),  # nothing was sent
        ],
    )
    def test_the_cap_does_not_grow(
        self, outcomes: dict[int, DayOutcome], today: int, held_back: int
    ) -> None:
        days = {MONDAY + day * DAY: outcome for day, outcome in outcomes.items()}
        assert held_back_days(days, MONDAY + today * DAY, 10) == held_back

    @given(st.dictionaries(st.integers(0, 20), st.booleans()), st.integers(1, 20))
    def test_a_warm_up_is_held_back_for_at_most_its_own_days(
        self, troubled: dict[int, bool], today: int
    ) -> None:
        outcomes = {
            MONDAY + day * DAY: self.BAD if bad else self.GOOD for day, bad in troubled.items()
        }
        held_back = held_back_days(outcomes, MONDAY + today * DAY, 10)
        assert 0 <= held_back <= today


def placed(today: date, taken: dict[date, int], size: int, **fields: Any) -> tuple[Placement, Any]:
    """Place a campaign with 30/70 on c0, which warms up, and c1."""
    plan = split("30", "70", name=f"weekly {today}")
    addresses, domains = audience(size, 20)
    assignment = assign(addresses, domains, plan, today)
    warm_ups = {"c0": state(WarmUp(**RAMP, **fields), today, taken)}
    return place(plan, assignment, today, warm_ups), addresses


class TestPlacement:
    def test_the_last_recipients_in_send_order_wait(self) -> None:
        placement, _ = placed(MONDAY, {}, 1_000)
        routes, due = placement.moves()
        assert np.array_equal(routes, placement.assignment.route)
        waiting = ~np.isnan(due[routes == 0])
        assert waiting.tolist() == [False] * 50 + [True] * 250
        assert np.all(np.diff(due[routes == 0][waiting]) >= 0)
        assert np.isnan(due[routes == 1]).all()

    def test_spilled_recipients_are_mixed_with_those_of_the_other_connection(self) -> None:
        placement, _ = placed(MONDAY, {}, 10_000, over_cap="spill", spill_to="c1")
        routes, due = placement.moves()
        assert placement.counts == {"c0": 50, "c1": 9_950}
        assert np.isnan(due).all()
        spilled = np.flatnonzero(routes != placement.assignment.route)
        assert len(spilled) == 2_950
        last = spilled[spilled >= 5_000]
        assert 0.28 < len(last) / 5_000 < 0.32  # their share of the mail of that time, as before

    def test_the_first_recipients_of_each_provider_in_send_order_go_first(self) -> None:
        """The most engaged ones, where the campaign has an order."""
        addresses, domains = audience(2_000, 20)
        numbers = (domains % 3 + 1).astype(np.int16)
        values = np.random.default_rng(1).random(2_000)
        plan = split("30", "70").model_copy(update={"order_by": "score"})
        assignment = assign(addresses, domains, plan, MONDAY, numbers, values)
        ramp = WarmUp(**RAMP, per_provider=[GOOGLE, {"provider": "*", "first_day": 10}])
        names = ("google", "example.net", "unresolved")
        hosts = Hosts(numbers, names)
        states = {"c0": state(ramp, providers=names)}
        placement = place(plan, assignment, MONDAY, states, hosts)
        routes, due = placement.moves()
        warming = placement.warmings[0]
        assert np.array_equal(routes, assignment.route)
        assert sum(count for _, count in warming.days) == 600
        for number, name in enumerate(names, start=1):
            mine = (routes == 0) & (numbers[assignment.order] == number)
            moments = np.nan_to_num(due[mine])  # 0 stands for today
            assert np.all(np.diff(values[assignment.order][mine]) <= 0)
            assert np.all(np.diff(moments[moments > 0]) > 0)  # so that claims keep the order
            assert np.all(np.diff(moments) >= 0)
            of_day = dict(next((own.days for own in warming.providers if own.provider == name), ()))
            for day, count in of_day.items():
                begins = 0 if day == MONDAY else ramp.begins(day)
                assert np.sum((moments >= begins) & (moments < begins + 60)) == count

    def test_only_recipients_over_a_cap_of_their_provider_or_connection_spill(self) -> None:
        addresses, domains = audience(1_000, 20)
        numbers = (domains % 2 + 1).astype(np.int16)
        plan = split("30", "70")
        assignment = assign(addresses, domains, plan, MONDAY, numbers)
        ramp = WarmUp(**RAMP, over_cap="spill", spill_to="c1", per_provider=[GOOGLE])
        hosts = Hosts(numbers, ("google", "unresolved"))
        states = {"c0": state(ramp, providers=hosts.names)}
        placement = place(plan, assignment, MONDAY, states, hosts)
        routes, due = placement.moves()
        assert np.isnan(due).all()
        assert placement.counts == {"c0": 50, "c1": 950}
        kept = numbers[assignment.order[routes == 0]]
        assert 20 >= np.sum(kept == 1) == dict(placement.warmings[0].providers[0].days)[MONDAY] > 0

    def test_the_digest_depends_on_the_days_of_providers(self) -> None:
        addresses, domains = audience(1_000, 20)
        numbers = (domains % 2 + 1).astype(np.int16)
        plan = split("30", "70")
        assignment = assign(addresses, domains, plan, MONDAY, numbers)
        hosts = Hosts(numbers, ("google", "yahoo"))
        digests = set()
        for entries in ((), (GOOGLE,), ({**GOOGLE, "first_day": 10},)):
            states = {"c0": state(WarmUp(**RAMP, per_provider=entries), providers=hosts.names)}
            digests.add(place(plan, assignment, MONDAY, states, hosts).digest(addresses))
        assert len(digests) == 3

    def test_the_digest_depends_on_the_days(self) -> None:
        digests = set()
        for taken in ({}, {MONDAY: 10}):
            for fields in ({}, {"over_cap": "spill", "spill_to": "c1"}):
                placement, addresses = placed(MONDAY, taken, 1_000, **fields)
                digests.add(placement.digest(addresses))
        assert len(digests) == 4

    def test_below_the_cap_the_digest_is_that_of_the_assignment(self) -> None:
        placement, addresses = placed(MONDAY, {}, 100)
        assert placement.digest(addresses) == placement.assignment.digest(addresses)


@pytest.mark.parametrize(
    ("attempted", "troubled", "expected"),
    [
        (10, 5, True),
        (10, 4, False),  # so few messages say more about the recipients
        (1, 1, False),
        (50, 5, False),  # 10 % is not more than 10 %
        (49, 5, True),
        (0, 0, False),
    ],
)
def test_trouble_needs_a_share_and_a_number(attempted: int, troubled: int, expected: bool) -> None:
    assert DayOutcome(attempted, troubled).is_trouble(10) is expected
