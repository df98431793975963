"""Lanes: what is held waits alone, within exact windows, in simulated time."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from benchmarks import windows
from benchmarks.simulated_time import run
from mailsluice.core.status import RecipientStatus
from mailsluice.delivery.rule_book import ConnectionRules
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
