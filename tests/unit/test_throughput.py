"""The strategy `throughput` in simulated time: the end against arithmetic, and who sends what."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from benchmarks import windows
from mailsluice.core.outcome import Attempt, Phase
from mailsluice.core.status import RecipientStatus
from mailsluice.delivery.connection_sender import ConnectionSender
from mailsluice.delivery.pool import Turns
from tests.unit.lane_world import TAKEN
from tests.unit.pool_world import PoolWorld, Server, send

MINUTE = 60.0
LATE = 1.03
"""The end is within 3 % of the optimum."""
GREYLISTED = Attempt(Phase.RCPT, 450, "4.7.1 greylisted")
SENT = RecipientStatus.SENT


@pytest.fixture
def world() -> PoolWorld:
    return PoolWorld(random.Random(1), 0.0)


@pytest.mark.parametrize(
    ("servers", "recipients", "optimum_seconds", "shares"),
    [
        # ten sessions of 50 ms are 200 a second, ten of 200 ms are 50
        ([Server("red", 0.05), Server("green", 0.2)], 10_000, 40.0, (0.8, 0.2)),
        (
            [
                Server("red", limits={"per_minute": 60}),
                Server("green", limits={"per_minute": 20}),
            ],
            800,
            600.0,
            (0.75, 0.25),
        ),
        # one connection is bound by its limit, the other one by its sessions
        (
            [Server("red", limits={"per_minute": 60}), Server("green", 0.5, 4)],
            900,
            100.0,
            (1 / 9, 8 / 9),
        ),
        # so slow that each recipient that is claimed ahead delays the end; the first message
        # begins after the log-in, which takes as long as two messages
        ([Server("red", 3.0, 1), Server("green", 2.0, 1)], 200, 245.0, (0.4, 0.6)),
        ([Server("red", 0.05)], 10_000, 50.0, (1.0, 0.0)),
    ],
    ids=["sessions", "limits", "limit and sessions", "slow", "one connection"],
)
def test_a_campaign_ends_as_early_as_arithmetic_allows(
    world: PoolWorld,
    tmp_path: Path,
    servers: list[Server],
    recipients: int,
    optimum_seconds: float,
    shares: tuple[float, float],
) -> None:
    world.fill([1] * recipients)
    ended = send(world, tmp_path, servers)
    assert world.states() == {SENT: recipients}
    assert world.end <= LATE * optimum_seconds
    assert ended - world.end < 1.0  # nobody waits for recipients that cannot come
    for server, share in zip(servers, shares, strict=False):
        assert world.shares()[server.name] == pytest.approx(share, abs=0.01)


def test_each_provider_is_split_as_by_lot(world: PoolWorld, tmp_path: Path) -> None:
    """Who claims looks at no recipient, so that a provider's split is a random sample."""
    sizes = {1: 0.5, 2: 0.3, 3: 0.15, 4: 0.05}
    chance = random.Random(3)
    world.fill(chance.choices([*sizes], [*sizes.values()], k=10_000))
    send(world, tmp_path, [Server("red", 0.05), Server("green", 0.2)], ["a", "b", "c", "d"])
    red = world.shares()["red"]
    of = Counter((world.recipients[n].provider, name) for n, name in world.of.items())
    for provider in sizes:
        number = of[provider, "red"] + of[provider, "green"]
        deviation = (number * red * (1 - red)) ** 0.5
        assert abs(of[provider, "red"] - number * red) < 4 * deviation


@pytest.mark.parametrize(
    ("seconds", "red"),
    [((0.05, 0.05), 2 / 3), ((0.05, 4.0), 0.8)],
    ids=["both can", "one asks for less than its share"],
)
def test_the_limit_of_the_campaign_is_used_up_and_never_exceeded(
    world: PoolWorld, tmp_path: Path, seconds: tuple[float, float], red: float
) -> None:
    """One a second. A connection that cannot use its share leaves it to the other one."""
    world.fill([1] * 600)
    world.turns = Turns({"red": 2 / 3, "green": 1 / 3})
    servers = [Server("red", seconds[0]), Server("green", seconds[1], 1)]
    send(world, tmp_path, servers, campaign={"per_minute": 60})
    assert windows.most(sorted(world.arrivals["all"]), MINUTE) <= 60
    assert world.end <= LATE * 600
    assert world.shares()["red"] == pytest.approx(red, abs=0.02)


def test_what_one_connection_may_not_send_to_a_provider_goes_over_the_other_one(
    world: PoolWorld, tmp_path: Path
) -> None:
    google = ({"provider": "google", "per_hour": 6},)
    world.fill(random.Random(2).choices([1, 2], k=8_000))
    names = ["google", "others"]
    ended = send(world, tmp_path, [Server("red", providers=google), Server("green")], names)
    assert ended < 60.0
    assert world.states() == {SENT: 8_000}
    assert world.end <= LATE * 20.0  # as without that limit: 400 a second
    of = Counter((world.recipients[n].provider, name) for n, name in world.of.items())
    assert of[1, "red"] == 1
    assert of[1, "green"] > 3_900


def test_a_connection_that_goes_down_delays_nobody(world: PoolWorld, tmp_path: Path) -> None:
    """What it has claimed and not attempted returns to the pool, also where the pool was empty."""

    def refuse(_: int, now: float) -> Attempt:
        return TAKEN if now < 3.0 else Attempt(Phase.LOGIN, 535, "5.7.8 wrong password")

    world.fill([1] * 4_000)
    send(world, tmp_path, [Server("red", reply=refuse), Server("green")])
    assert world.states() == {SENT: 4_000}
    assert world.end <= LATE * (3.0 + (4_000 - 3.0 * 400) / 200)


def test_a_connection_without_recipients_waits_for_those_of_the_others(
    world: PoolWorld, tmp_path: Path
) -> None:
    """The only session of `red` holds its message for a minute, and then the connection is down."""

    def refuse(_: int, __: float) -> Attempt:
        return Attempt(Phase.LOGIN, 535, "5.7.8 wrong password")

    world.fill([1] * 100)
    send(world, tmp_path, [Server("red", 60.0, 1, reply=refuse), Server("green")])
    assert world.end > 60.0
    assert world.states() == {SENT: 100}
    assert set(world.of.values()) == {"green"}


def test_a_connection_that_has_to_wait_gives_back_what_it_has_claimed(
    world: PoolWorld, tmp_path: Path
) -> None:
    """Its window closes for an hour when the pool is empty, and the other connection is idle."""
    is_closed = False

    def opens_at(now: float) -> float:
        nonlocal is_closed
        is_closed = is_closed or len(world.of) == len(world.recipients)
        return 3_600.0 if is_closed else now

    world.fill([1] * 600)
    ended = send(world, tmp_path, [Server("red", 0.2, opens_at=opens_at), Server("green")])
    assert world.states() == {SENT: 600}
    assert world.returned
    assert ended < 60.0


def test_a_recipient_stays_with_the_connection_that_attempted_it(
    world: PoolWorld, tmp_path: Path
) -> None:
    def defer(_: int, now: float) -> Attempt:
        return GREYLISTED if now < 5.0 else TAKEN

    claimed: dict[int, str] = {}

    def note(loop: asyncio.AbstractEventLoop, _: dict[str, ConnectionSender]) -> None:
        loop.call_later(5.0, lambda: claimed.update(world.of))

    world.fill([1] * 1_000)
    send(world, tmp_path, [Server("red", reply=defer, sessions=2), Server("green")], during=note)
    assert world.states() == {SENT: 1_000}
    deferred = {n for n, one in world.recipients.items() if one.attempts > 1}
    assert len(deferred) > 10
    assert {world.of[n] for n in deferred} == {"red"} == {claimed[n] for n in deferred}


def test_a_connection_that_waits_for_a_limit_ends_with_the_others(
    world: PoolWorld, tmp_path: Path
) -> None:
    """It ends with the others, although its next message may go in five minutes only."""
    world.fill([1] * 1_000)
    ended = send(
        world,
        tmp_path,
        [Server("red", limits={"per_day": 300}), Server("green")],
    )
    assert world.states() == {SENT: 1_000}
    assert ended < 60.0


def test_a_connection_in_warm_up_takes_its_cap_and_the_others_the_rest(
    world: PoolWorld, tmp_path: Path
) -> None:
    world.fill([1] * 2_000)
    ended = send(world, tmp_path, [Server("red", cap=100), Server("green")])
    assert world.states() == {SENT: 2_000}
    assert Counter(world.of.values())["red"] == 100
    assert ended <= LATE * 2_000 / 200 + 1.0  # red uses its cap up in half a second


def test_a_stop_returns_everybody_who_was_not_attempted(world: PoolWorld, tmp_path: Path) -> None:
    def stop(loop: asyncio.AbstractEventLoop, senders: dict[str, Any]) -> None:
        for sender in senders.values():
            loop.call_later(1.5, sender.stop)

    world.fill([1] * 4_000)
    send(world, tmp_path, [Server("red"), Server("green")], during=stop)
    assert set(world.states()) == {SENT, RecipientStatus.PENDING}
    assert {n for n in world.recipients if n in world.of} == {
        n for n, one in world.recipients.items() if one.status is SENT
    }


def test_turns_follow_the_shares_and_skip_nobody() -> None:
    turns, given = Turns({"red": 0.75, "green": 0.25}), Counter[str]()
    for _ in range(1_000):
        names = ["green", "red", "other"]
        first = names[turns.order(names)[0]]
        turns.given(first, 1)
        given[first] += 1
    assert abs(given["red"] - 750) <= 1
    assert not given["other"]
    assert turns.order(["other"]) == [0]
