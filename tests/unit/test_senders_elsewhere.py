"""What senders in other processes are told of moves between connections."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import cast

import pytest

from mailsluice.delivery import RouteResult
from mailsluice.delivery.elsewhere import SendersElsewhere
from mailsluice.delivery.handovers import Handovers
from mailsluice.delivery.own_fault import own_fault
from mailsluice.reports.progress import Binding, Cause, Standing, Tally
from mailsluice.store.handovers import HandoverRecords
from tests.eventually import eventually_async


class Records:
    """Keeps what was published."""

    def __init__(self) -> None:
        self.published: list[set[str]] = []

    def publish(self, takers: Iterable[str]) -> None:
        self.published.append(set(takers))


class World:
    """A run whose senders are elsewhere."""

    def __init__(self) -> None:
        names = ("red", "green", "blue")
        self.records = Records()
        self.handovers = Handovers(names, names)
        self.told = 0
        self.elsewhere = SendersElsewhere(
            cast("HandoverRecords", self.records), self.handovers, names, self._tell, ["blue"]
        )

    def _tell(self) -> None:
        self.told += 1

    def see(self, results: dict[str, RouteResult] | None = None, **causes: Cause) -> None:
        standings = {
            name: Standing(name, Tally(), Binding(cause)) for name, cause in causes.items()
        }
        self.elsewhere.see(standings, results or {})


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    running = asyncio.ensure_future(world.elsewhere.run())
    yield world
    running.cancel()


async def test_a_connection_that_has_finished_is_kept_while_another_one_sends(
    world: World,
) -> None:
    """The standby has no sender yet, and gives nobody away."""
    assert world.elsewhere.takers() == {"red", "green", "blue"}
    world.see(red=Cause.FREE, green=Cause.DONE)
    await eventually_async(lambda: world.told == 1)
    assert world.records.published == [{"green", "blue"}]
    world.see(red=Cause.DONE, green=Cause.DONE)
    await eventually_async(lambda: world.told == 2)
    assert world.records.published[1:] == [set()]


async def test_a_connection_that_is_down_gives_its_recipients_away_before_all_end(
    world: World,
) -> None:
    """The others are kept until that is done."""
    world.see({"red": RouteResult("red", 1.0, 5, "gone")}, green=Cause.DONE)
    assert world.handovers.leaving() == {"red"}
    assert world.handovers.conditions()["red"].down == "gone"
    assert world.elsewhere.takers() >= {"green", "blue"}
    world.handovers.close("red")
    await eventually_async(lambda: world.records.published[-1:] == [set()])


async def test_a_connection_that_has_received_recipients_may_give_them_away(world: World) -> None:
    """Its senders have not told yet that they have work again."""
    world.see(red=Cause.DONE, green=Cause.DONE)
    await eventually_async(lambda: world.records.published == [set()])
    world.handovers.receive(["green"])
    await eventually_async(lambda: world.records.published[1:] == [{"red", "blue"}])


async def test_since_when_a_connection_rests_is_noted(world: World) -> None:
    """It hands its recipients over after some minutes, if the campaign says so."""
    world.see(red=Cause.RESTING)
    since = world.handovers.conditions()["red"].rests_since
    assert since is not None
    world.see(red=Cause.RESTING)
    assert world.handovers.conditions()["red"].rests_since == since
    world.see(red=Cause.FREE)
    assert world.handovers.conditions()["red"].rests_since is None


async def test_a_connection_whose_senders_were_killed_may_take_over_until_it_has_ended(
    world: World,
) -> None:
    """Other senders follow them a moment later, and find the recipients."""
    world.see({"green": RouteResult("green", 1.0, 5, None)})
    assert not world.handovers.conditions()["green"].is_over
    world.handovers.end("green")
    assert world.handovers.conditions()["green"].is_over


async def test_nobody_waits_for_the_recipients_of_a_connection_with_a_fault_of_ours(
    world: World,
) -> None:
    fault = RouteResult("red", 1.0, 5, own_fault(ValueError("what"), []))
    world.see({"red": fault}, red=Cause.QUARANTINED, green=Cause.DONE, blue=Cause.DONE)
    assert world.handovers.leaving() == set()
    assert world.elsewhere.takers() == set()
