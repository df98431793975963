"""Which connections take recipients over, and which of them wait for that."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.simulated_time import run
from mailsluice.core.moves import Handover
from mailsluice.core.status import RecipientStatus
from mailsluice.delivery.connection_sender import ConnectionSender
from mailsluice.delivery.failover import STARTING, Condition, takers
from mailsluice.delivery.handovers import Handovers
from mailsluice.delivery.own_fault import own_fault
from mailsluice.operations.failover import FailoverWatch
from tests.eventually import eventually_async
from tests.thorough import examples
from tests.unit.lane_world import LaneWorld, rules, sender_in

DOWN, RESTING, OVER = Condition(down="gone"), Condition(rests_since=0.0), Condition(is_over=True)
SHARES = {"red": Decimal("0.5"), "green": Decimal("0.3"), "blue": Decimal("0.2"), "none": Decimal()}


def chosen(conditions: Mapping[str, Condition], *standbys: str, rest: bool = True) -> list[str]:
    """The names of those that take over the recipients of red."""
    return list(takers(conditions, SHARES, standbys, {"red"}, rest=rest))


@pytest.mark.parametrize(
    ("conditions", "standbys", "names"),
    [
        # in proportion, whether or not their sending has begun; never who has no share
        ({"green": STARTING, "blue": STARTING, "none": STARTING}, (), ["green", "blue"]),
        ({"green": DOWN, "blue": STARTING}, (), ["blue"]),
        ({"green": OVER, "blue": STARTING}, (), ["blue"]),
        ({"green": RESTING, "blue": STARTING}, (), ["blue"]),
        # those that rest, where none works
        ({"green": RESTING, "blue": DOWN}, (), ["green"]),
        ({"green": DOWN, "blue": OVER}, (), []),
        # the first standby that works takes all
        ({"green": STARTING, "s": STARTING, "t": STARTING}, ("s", "t"), ["s"]),
        ({"green": STARTING, "s": DOWN, "t": STARTING}, ("s", "t"), ["t"]),
        ({"green": STARTING, "s": RESTING, "t": DOWN}, ("s", "t"), ["green"]),
        ({"green": DOWN, "s": RESTING}, ("s",), ["s"]),
    ],
)
def test_takers(
    conditions: dict[str, Condition], standbys: tuple[str, ...], names: list[str]
) -> None:
    assert chosen({"red": DOWN, **conditions}, *standbys) == names


def test_a_connection_that_rests_hands_over_only_to_one_that_works() -> None:
    assert chosen({"red": RESTING, "green": RESTING}, rest=False) == []
    assert chosen({"red": RESTING, "green": STARTING}, rest=False) == ["green"]


CONDITIONS = st.sampled_from([STARTING, DOWN, RESTING, OVER])


@given(
    conditions=st.dictionaries(st.sampled_from([*SHARES, "s", "t"]), CONDITIONS),
    standbys=st.permutations(["s", "t"]),
    barred=st.sets(st.sampled_from([*SHARES, "s", "t"])),
    rest=st.booleans(),
)
def test_nobody_takes_over_who_cannot_send(
    conditions: dict[str, Condition], standbys: list[str], barred: set[str], rest: bool
) -> None:
    found = takers(conditions, SHARES, standbys, barred, rest=rest)
    able = {name for name, now in conditions.items() if not (now.down or now.is_over)} - barred
    assert found.keys() <= able
    assert all(share > 0 for share in found.values())
    if any(name in able for name in standbys) and rest:
        assert found  # a standby that may recover is better than none


@pytest.mark.parametrize(
    ("moved", "sentence"),
    [
        ({"ses": 1}, "sendgrid is down: 1 recipient goes to ses"),
        ({"ses": 4115}, "sendgrid is down: 4,115 recipients go to ses"),
        ({"a": 1, "b": 2}, "sendgrid is down: 3 recipients go to a (1) and b (2)"),
        ({"a": 1, "b": 2, "c": 3}, "sendgrid is down: 6 recipients go to a (1), b (2) and c (3)"),
    ],
)
def test_a_handover_in_a_sentence(moved: dict[str, int], sentence: str) -> None:
    assert Handover("sendgrid", "is down", moved).sentence() == sentence


@dataclass
class FakeSender:
    """A connection sender whose condition the test sets."""

    now: Condition = STARTING
    looks: int = 0
    received: int = 0
    gave_back: bool = False

    def condition(self) -> Condition:
        return self.now

    def look(self) -> None:
        self.looks += 1

    def receive(self) -> None:
        self.received += 1

    async def give_back(self) -> None:
        self.gave_back = True


IDLE = Condition(is_idle=True)


@dataclass
class FakeRun:
    """A run with the connections red and green, of which green takes over."""

    handovers: Handovers = field(default_factory=lambda: Handovers(["red", "green"], ["green"]))
    red: FakeSender = field(default_factory=FakeSender)
    green: FakeSender = field(default_factory=lambda: FakeSender(IDLE))
    taking: dict[str, Decimal] = field(default_factory=lambda: {"green": Decimal(1)})
    pending: int = 10
    is_stopping: bool = False
    faults: int = 0
    told: list[str] = field(default_factory=list)

    def begin(self) -> None:
        for name, sender in (("red", self.red), ("green", self.green)):
            self.handovers.begin(name, cast("ConnectionSender", sender))

    def takers(self, origin: str, _: object, *, rest: bool) -> dict[str, Decimal]:
        assert origin == "red"
        return self.taking

    def hand_over(self, origin: str, taking: Mapping[str, Decimal]) -> dict[str, int]:
        assert self.red.gave_back
        if self.faults:
            self.faults -= 1
            raise OSError("the database is away")
        moved, self.pending = self.pending, 0
        return {name: moved for name in taking if moved}

    def watch(self, after_minutes: int | None = None) -> FailoverWatch:
        def tell(handover: Handover) -> None:
            self.told.append(handover.sentence())

        return FailoverWatch(cast("Any", self), self.handovers, tell, after_minutes)

    async def until_told(self) -> list[str]:
        return await eventually_async(lambda: self.told)


async def test_a_connection_that_goes_down_hands_over_at_once_and_again_when_it_has_ended() -> None:
    fake = FakeRun()
    fake.begin()
    watching = asyncio.ensure_future(fake.watch().run())
    assert fake.handovers.may_receive("green")
    fake.red.now = DOWN
    fake.handovers.troubled()
    assert await fake.until_told() == ["red is down: 10 recipients go to green"]
    fake.told.clear()
    fake.pending = 1  # its message was on its way
    fake.red.now = replace(DOWN, is_over=True)
    fake.handovers.end("red")
    assert fake.handovers.may_receive("green")  # until the second look
    assert await fake.until_told() == ["red is down: 1 recipient goes to green"]
    assert not fake.handovers.may_receive("green")
    watching.cancel()


async def test_a_fault_of_ours_hands_nobody_over() -> None:
    """A recipient may cause the fault, and would cause it on each connection that takes over."""
    fake = FakeRun()
    fake.begin()
    watch = fake.watch()
    fake.red.now = Condition(down=own_fault(ValueError("what"), []))
    await watch._look()
    assert fake.handovers.may_receive("green")  # red's messages in flight are not settled yet
    fake.handovers.end("red")
    await watch._look()
    assert not fake.handovers.may_receive("green")
    assert fake.told == []
    assert fake.pending == 10


async def test_a_fault_of_the_database_delays_a_handover(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mailsluice.operations.failover._LOOK_SECONDS", 0.001)
    fake = FakeRun(faults=3)
    fake.begin()
    watching = asyncio.ensure_future(fake.watch().run())
    fake.red.now = DOWN
    fake.handovers.troubled()
    assert await fake.until_told() == ["red is down: 10 recipients go to green"]
    watching.cancel()


async def test_a_connection_hands_over_when_its_rest_has_lasted_long_enough(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It keeps what it has tried, and looks for that when it works again."""
    clock = [1_599.0]
    monkeypatch.setattr("mailsluice.operations.failover.steady", lambda: clock[0])
    fake = FakeRun(taking={})
    fake.begin()
    watch = fake.watch(after_minutes=10)
    fake.red.now = Condition(rests_since=1_000.0)
    assert await watch._look() == 1_600.0
    clock[0] = 1_600.0
    assert await watch._look() == 1_601.0  # nobody can take them over now
    assert (fake.told, fake.red.gave_back) == ([], False)
    fake.taking = {"green": Decimal(1)}
    assert await watch._look() == math.inf
    assert fake.told == ["red has rested for 10 minutes: 10 recipients go to green"]
    assert fake.red.received == 1
    assert await fake.watch()._look() == math.inf  # without the minutes, only when it is down


async def test_connections_wait_only_as_long_as_another_one_may_hand_over() -> None:
    handovers = Handovers(["red", "green", "blue"], ["red", "green", "blue"])
    assert handovers.may_receive("green")  # the others have not begun
    red, green = FakeSender(), FakeSender(IDLE)
    handovers.begin("red", cast("ConnectionSender", red))
    handovers.begin("green", cast("ConnectionSender", green))
    handovers.end("blue")  # Prefect could not begin its subflow
    assert green.looks == 1
    assert handovers.may_receive("green")
    assert not handovers.may_receive("red")
    red.now = IDLE
    assert not handovers.may_receive("green")


def test_a_connection_that_may_receive_recipients_waits_without_sessions_and_claims(
    tmp_path: Path,
) -> None:
    world = LaneWorld(random.Random(1), 0.02)
    world.fill([1] * 100)
    others_send = True

    async def sending() -> None:
        nonlocal others_send
        sender = sender_in(
            world, tmp_path, ("google",), None, may_receive=lambda _connection: others_send
        )
        running = asyncio.ensure_future(sender.run())
        await asyncio.sleep(60)
        assert (world.count(RecipientStatus.SENT), world.sessions) == (100, 0)
        assert sender.next_at(0.0) == math.inf  # so that the run may leave its worker
        claims = len(world.claims)
        await asyncio.sleep(3_600)
        assert len(world.claims) == claims
        world.fill([1] * 50)
        sender.receive()
        await asyncio.sleep(60)
        assert (world.count(RecipientStatus.SENT), running.done()) == (50, False)
        others_send = False
        sender.look()
        began = asyncio.get_running_loop().time()
        await running
        assert asyncio.get_running_loop().time() - began < 0.1

    run(sending())


def test_recipients_given_back_are_not_claimed_again_until_they_may_be(tmp_path: Path) -> None:
    """Neither in the main lane nor in that of a provider; messages on their way finish."""
    world = LaneWorld(random.Random(1), 0.02)
    world.fill([1, 2] * 200)
    under = rules({"per_second": 40}, {"provider": "google", "per_second": 5})

    async def sending() -> int:
        sender = sender_in(world, tmp_path, ("google", "other"), under)
        running = asyncio.ensure_future(sender.run())
        await asyncio.sleep(3)
        await sender.give_back()
        await asyncio.sleep(1)
        claims, arrived = len(world.claims), len(world.arrivals["all"])
        assert not world.count(RecipientStatus.SENDING)
        await asyncio.sleep(60)
        assert (len(world.claims), len(world.arrivals["all"])) == (claims, arrived)
        assert not running.done()
        sender.receive()
        await running
        return arrived

    assert 0 < run(sending()) < 400
    assert world.count(RecipientStatus.SENT) == 400


@settings(max_examples=examples(300), deadline=None)
@given(moments=st.lists(st.floats(0.0, 0.3), min_size=1, max_size=6), seed=st.integers(0, 99))
def test_recipients_may_be_given_back_at_any_moment(moments: list[float], seed: int) -> None:
    """In the middle of claims, of a provider's lane too, and again and again."""
    world = LaneWorld(random.Random(seed), 0.02)
    world.fill([1, 2] * 60)
    under = rules({"per_second": 200}, {"provider": "google", "per_second": 20})

    async def sending(folder: Path) -> None:
        sender = sender_in(world, folder, ("google", "other"), under)
        running = asyncio.ensure_future(sender.run())
        for moment in moments:
            await asyncio.sleep(moment)
            await sender.give_back()
            await asyncio.sleep(moment)
            sender.receive()
        await running

    with TemporaryDirectory() as folder:
        run(sending(Path(folder)))
    assert world.count(RecipientStatus.SENT) == 120
