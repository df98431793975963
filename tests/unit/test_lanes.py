"""Lanes: what is held waits alone, within exact windows, in simulated time."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks import windows
from benchmarks.simulated_time import run
from mailsluice.campaign.warm_up import ProviderWarmUp, WarmUp
from mailsluice.core.outcome import Attempt, Phase
from mailsluice.core.status import RecipientStatus
from mailsluice.delivery.provider_rules import ProviderRules
from mailsluice.delivery.rule_book import ConnectionRules
from mailsluice.delivery.store_requests import ClaimedBatch
from mailsluice.limits import Rules
from mailsluice.smtp.connection import Connection
from mailsluice.store import EVERYBODY, Ask, ClaimScope, Starts
from tests.thorough import examples
from tests.unit.lane_world import TAKEN, LaneWorld, Reply, rules, sender_in

GOOGLE, YAHOO, REST = 1, 2, 3
NAMES = ("google", "yahoo", "unresolved")
MINUTE, HOUR = 60.0, 3600.0


@pytest.fixture
def world() -> LaneWorld:
    return LaneWorld(random.Random(1), 0.02)


def mixed(recipients: int, google: float = 0.3, yahoo: float = 0.2) -> list[int]:
    chance = random.Random(2)
    numbers = (GOOGLE, YAHOO, REST)
    return chance.choices(numbers, (google, yahoo, 1 - google - yahoo), k=recipients)


def send(
    world: LaneWorld,
    folder: Path,
    under: ConnectionRules | None,
    *,
    names: Sequence[str] = NAMES,
    seconds: float | None = None,
    reply: Reply = lambda _provider, _now: TAKEN,
) -> None:
    """Send until nothing is left, or for so many seconds."""

    async def sending() -> None:
        sender = sender_in(world, folder, names, under, reply=reply)
        if seconds is not None:
            asyncio.get_running_loop().call_later(seconds, sender.stop)
        await sender.run()

    run(sending())


def test_a_fault_while_lanes_are_made_ends_the_run(
    world: LaneWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: ProviderRules, provider: str) -> dict[str, Rules]:
        raise ValueError(f"broken {provider}")

    monkeypatch.setattr(ProviderRules, "of", broken)
    world.fill(mixed(50))
    with pytest.raises(ValueError, match="broken"):
        send(world, tmp_path, rules({}, {"provider": "google", "per_hour": 10}))


class DistantOutbox(LaneWorld):
    """An outbox whose answers take as long as the claims."""

    async def claim(
        self, connection: str, limit: int, scope: ClaimScope = EVERYBODY
    ) -> ClaimedBatch:
        batch = await super().claim(connection, limit, scope)
        await asyncio.sleep(0.03)
        return batch


def test_a_provider_that_is_released_at_once_is_sent_to(tmp_path: Path) -> None:
    """The claim of its own lane comes while its recipients are in the answer to another claim."""
    world = DistantOutbox(random.Random(1), 0.02)
    world.fill([GOOGLE] * 5)

    async def sending() -> None:
        sender = sender_in(world, tmp_path, NAMES, None)
        loop = asyncio.get_running_loop()
        loop.call_later(0.01, sender.hold, GOOGLE)
        loop.call_later(0.02, sender.release, GOOGLE)
        await sender.run()

    run(sending())
    assert world.count(RecipientStatus.SENT) == 5


class SlowLimits(LaneWorld):
    """An outbox that answers at once, and limits that take a while to answer a provider."""

    async def reserve(self, ask: Ask) -> Starts:
        starts = await super().reserve(ask)
        await asyncio.sleep(60.0 * any("yahoo" in key for key in ask.rules))
        return starts


def test_the_next_mail_is_not_known_while_a_provider_waits_for_starts(tmp_path: Path) -> None:
    """Another provider has its limit of the day: nobody takes its end for the next thing to do."""
    world = SlowLimits(random.Random(1), 0.02)
    world.fill([GOOGLE, GOOGLE, YAHOO])
    seen: list[float] = []

    async def sending() -> None:
        limits = ({"provider": "google", "per_day": 1}, {"provider": "yahoo", "per_second": 20})
        sender = sender_in(world, tmp_path, NAMES, rules({}, *limits))
        task = asyncio.ensure_future(sender.run())
        for _ in range(100):
            await asyncio.sleep(1.0)
            seen.append(sender.next_at(world.now) - world.now)
        sender.stop()
        await task

    run(sending())
    assert world.count(RecipientStatus.SENT) == 1
    assert max(seen) < HOUR


def test_a_provider_that_is_held_delays_nobody_else(world: LaneWorld, tmp_path: Path) -> None:
    world.fill(mixed(3_000))
    send(world, tmp_path, None)
    free = max(world.by_provider[REST])
    limited = LaneWorld(random.Random(1), 0.02)
    limited.fill(mixed(3_000))
    send(limited, tmp_path, rules({}, {"provider": "google", "per_minute": 120}))
    assert limited.count(RecipientStatus.SENT) == 3_000
    google = limited.by_provider[GOOGLE]
    assert max(limited.by_provider[REST] + limited.by_provider[YAHOO]) <= free / 0.98
    assert windows.most(google, MINUTE) <= 120
    assert len(google) / (max(google) + MINUTE / 120) >= 0.98 * 120 / MINUTE


def test_a_slow_provider_never_collects_its_recipients(world: LaneWorld, tmp_path: Path) -> None:
    """A lost machine would leave all of them in doubt."""
    world.fill(mixed(3_000))
    send(world, tmp_path, rules({}, {"provider": "google", "per_hour": 3_600}), seconds=60.0)
    assert world.most_sending[REST] > 500
    assert world.most_sending[GOOGLE] <= 64
    assert not world.count(RecipientStatus.SENDING)  # all that waited were released
    assert world.count(RecipientStatus.SENT, GOOGLE) in range(59, 62)
    assert world.count(RecipientStatus.SENT) == 3_000 - world.count(RecipientStatus.PENDING, GOOGLE)


def test_the_limits_of_provider_and_connection_hold_together(
    world: LaneWorld, tmp_path: Path
) -> None:
    """Of a connection that is slower than its mail, no start is wasted while a provider waits."""
    world.fill(mixed(2_000))
    under = rules(
        {"per_second": 20},
        {"provider": "google", "per_second": 4},
        {"provider": "yahoo", "per_minute": 300},
    )
    send(world, tmp_path, under)
    assert world.count(RecipientStatus.SENT) == 2_000
    arrivals = sorted(world.arrivals["all"])
    google, yahoo = world.by_provider[GOOGLE], world.by_provider[YAHOO]
    assert windows.most(arrivals, 1.0) <= 20
    assert windows.most(google, 1.0) <= 4
    assert windows.most(yahoo, MINUTE) <= 300
    while_others = [at for at in arrivals if at < max(world.by_provider[REST])]
    assert len(while_others) / max(while_others) >= 0.98 * 20 / 1.04  # 40 ms each way
    assert len(google) / max(google) >= 0.98 * 4 / 1.04


def test_a_slow_connection_sends_to_a_provider_with_limits_in_its_turn(
    world: LaneWorld, tmp_path: Path
) -> None:
    """Its lane asks for a start when its turn comes, and keeps it until the next turn."""
    world.fill([GOOGLE, REST] * 200)
    under = rules({"per_minute": 20}, {"provider": "google", "per_minute": 30})
    send(world, tmp_path, under, seconds=900.0)
    sent = [world.count(RecipientStatus.SENT, provider) for provider in (GOOGLE, REST)]
    assert sum(sent) in range(295, 302)
    assert abs(sent[0] - sent[1]) <= 20


def test_every_other_provider_has_a_lane_by_itself_and_few_ask_at_once(
    world: LaneWorld, tmp_path: Path
) -> None:
    names = ("unresolved", *(f"hoster{number}.example" for number in range(400)))
    world.fill(random.Random(2).choices(range(1, 402), k=2_000))
    send(world, tmp_path, rules({}, {"provider": "*", "per_second": 1}), names=names)
    assert world.count(RecipientStatus.SENT) == 2_000
    assert all(
        windows.most(times, 1.0) <= 1 for number, times in world.by_provider.items() if number > 1
    )
    assert world.most_asking <= 128
    apart = {scope.only for scope, _ in world.claims} - {None}
    assert len(apart) < 20  # few of them need claims of their own


def test_a_held_provider_waits_until_it_is_released(world: LaneWorld, tmp_path: Path) -> None:
    world.fill(mixed(600))

    async def sending() -> None:
        sender = sender_in(world, tmp_path, NAMES, None)
        sender.hold(GOOGLE)
        work = asyncio.ensure_future(sender.run())
        await asyncio.sleep(0.2)
        sender.hold(YAHOO)
        await asyncio.sleep(0.05)  # those in flight
        yahoo = world.count(RecipientStatus.SENT, YAHOO)
        assert 0 < yahoo < world.count(RecipientStatus.SENT)
        sender.release(YAHOO)
        await work
        assert sender.down is None

    run(sending())
    assert GOOGLE not in world.by_provider
    assert world.count(RecipientStatus.PENDING) == world.count(RecipientStatus.PENDING, GOOGLE) > 99
    assert world.count(RecipientStatus.SENT) == 600 - world.count(RecipientStatus.PENDING)
    send(world, tmp_path, None)
    assert world.count(RecipientStatus.SENT) == 600


def test_what_waits_for_a_provider_is_given_back_when_it_is_held(
    world: LaneWorld, tmp_path: Path
) -> None:
    world.fill([GOOGLE] * 200)

    async def sending() -> None:
        sender = sender_in(world, tmp_path, NAMES, rules({}, {"provider": "google", "per_hour": 9}))
        work = asyncio.ensure_future(sender.run())
        await asyncio.sleep(5.0)
        assert 0 < world.count(RecipientStatus.SENDING) <= 16
        sender.hold(GOOGLE)
        assert not world.count(RecipientStatus.SENDING)
        await work  # nobody else has mail

    run(sending())
    assert world.count(RecipientStatus.PENDING) == 199


def test_deferred_recipients_of_a_slow_provider_are_claimed_again_by_its_lane(
    world: LaneWorld, tmp_path: Path
) -> None:
    world.fill(mixed(400))
    greylisted = Attempt(Phase.RCPT, 450, "4.7.1 greylisted")
    seen: Counter[float] = Counter()

    def reply(provider: int, now: float) -> Attempt:
        seen[provider] += 1
        return greylisted if provider == GOOGLE and seen[provider] % 2 else TAKEN

    send(world, tmp_path, rules({}, {"provider": "google", "per_minute": 60}), reply=reply)
    assert world.count(RecipientStatus.SENT) == 400
    assert windows.most(world.by_provider[GOOGLE], MINUTE) <= 60
    assert seen[GOOGLE] > world.count(RecipientStatus.SENT, GOOGLE)


def test_limits_of_providers_change_while_mail_is_sent(world: LaneWorld, tmp_path: Path) -> None:
    world.fill(mixed(3_000))
    slow = {"provider": "google", "per_minute": 60}

    async def sending() -> None:
        sender = sender_in(world, tmp_path, NAMES, rules({"per_second": 50}))
        red = Connection("red", "127.0.0.1", 25, max_sessions=20)
        work = asyncio.ensure_future(sender.run())
        await asyncio.sleep(10.0)
        sender.update(red, rules({"per_second": 50}, slow))
        await asyncio.sleep(30.0)
        sender.update(red, rules({"per_second": 50}))
        await work

    run(sending())
    google = sorted(world.by_provider[GOOGLE])
    limited = [at for at in google if 10.1 < at < 40.0]
    assert 29 <= len(limited) <= 31
    assert windows.most(google, 1.0) > 1
    assert len([at for at in google if at < 10]) > 100
    assert len([at for at in google if 40.1 < at < 45]) > 100  # it catches up
    assert world.count(RecipientStatus.SENT) == 3_000


def test_a_campaigns_limit_of_a_provider_holds_over_connections(tmp_path: Path) -> None:
    """Each has its share, and both together the whole."""
    under = rules(campaign=[{"provider": "google", "per_minute": 60}])
    assert {key: str(*one.limits) for key, one in under.providers.of("google").items()} == {
        "campaign 1: google": "per_minute 60",
        "campaign 1: google red": "per_minute 30",
    }
    assert under.providers.of("yahoo") == {}


def test_a_restarted_sender_keeps_the_window_of_the_one_before(
    world: LaneWorld, tmp_path: Path
) -> None:
    world.fill(mixed(1_000))
    under = rules({}, {"provider": "google", "per_minute": 60})
    send(world, tmp_path, under, seconds=20.0)
    first = len(world.by_provider[GOOGLE])
    send(world, tmp_path, under, seconds=30.0)
    assert first >= 19
    assert len(world.by_provider[GOOGLE]) <= 21 + 31


ways = st.lists(st.floats(0, 2) | st.sampled_from([0.0, 0.025, 0.4, 1.0]), min_size=1, max_size=30)
entries = st.lists(
    st.tuples(st.sampled_from(["google", "yahoo", "*", "unresolved"]), st.integers(1, 30)),
    unique_by=lambda entry: entry[0],
)


class HostileWorld(LaneWorld):
    """A network whose delays vary without a bound that the sender could learn."""

    ways: ClassVar = itertools.cycle([0.0])

    def way(self) -> float:
        return next(self.ways)


@settings(max_examples=examples(40), deadline=None)
@given(ways, entries, st.none() | st.integers(1, 30))
def test_no_window_overflows_whatever_the_network_does(
    ways: list[float], entries: list[tuple[str, int]], per_second: int | None
) -> None:
    world = HostileWorld(random.Random(1), 0.0)
    HostileWorld.ways = itertools.cycle(ways)
    world.fill(mixed(150))
    own = {"per_second": per_second} if per_second else {}
    under = rules(own, *({"provider": name, "per_minute": most} for name, most in entries))
    with TemporaryDirectory() as folder:
        send(world, Path(folder), under, seconds=200.0)
    if per_second:
        assert windows.most(sorted(world.arrivals["all"]), 1.0) <= per_second
    limits = dict(entries)
    for number, name in enumerate(NAMES, 1):
        most = limits.get(name, limits.get("*") if name != "unresolved" else None)
        assert (
            most is None or windows.most(sorted(world.by_provider.get(number, [])), MINUTE) <= most
        )
    assert not world.count(RecipientStatus.SENDING)


def test_a_provider_whose_daily_cap_is_reached_does_not_collect_its_recipients(
    world: LaneWorld, tmp_path: Path
) -> None:
    """A cap sets no pace, so that the whole day's mail may go at once."""
    world.fill(mixed(3_000))
    today = date(1970, 1, 12)  # of the simulated database
    google = ProviderWarmUp(provider="google", daily_caps=(100,))
    warm_up = WarmUp(start=today, daily_caps=(100_000,), per_provider=(google,))
    under = rules()
    capped = replace(under.providers, warm_up=warm_up, today=today)
    send(world, tmp_path, under._replace(providers=capped), seconds=60.0)
    assert len(world.by_provider[GOOGLE]) == 100
    assert world.count(RecipientStatus.SENT) == 100 + sum(
        world.count(RecipientStatus.SENT, provider) for provider in (YAHOO, REST)
    )
    assert world.claims[-1][0].without == {GOOGLE}
    assert world.most_sending[GOOGLE] < 500
