"""Recipients whose sending window closes after they were claimed, in simulated time."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

import pytest

from benchmarks.simulated_time import run
from mailsluice.core.status import RecipientStatus
from mailsluice.delivery.store_requests import ClaimedBatch
from mailsluice.store import EVERYBODY, ClaimScope
from tests.unit.lane_world import LaneWorld, rules, sender_in

CLOSES, OPENS = 7.5, 10_000.0


@dataclass(slots=True)
class Night(LaneWorld):
    """A window that is closed for hours."""

    @property
    def is_closed(self) -> bool:
        return CLOSES <= self.now < OPENS

    async def claim(
        self, connection: str, limit: int, scope: ClaimScope = EVERYBODY
    ) -> ClaimedBatch:
        if self.is_closed:
            return ClaimedBatch((), OPENS - self.now, zone="the morning")
        return await LaneWorld.claim(self, connection, limit, scope)


@pytest.mark.parametrize("google", [None, {"provider": "google", "per_second": 1}])
def test_the_last_claimed_recipients_wait_for_the_morning(
    tmp_path: Path, google: dict[str, object] | None
) -> None:
    """Nobody else is left: the connection does not end while they wait."""
    world = Night(random.Random(1), 0.02)
    world.fill([1] * 10)
    under = rules({"per_second": 1}) if google is None else rules(None, google)

    async def sending() -> None:
        sender = sender_in(
            world, tmp_path, ["google"], under, sessions=1, is_open=lambda _: not world.is_closed
        )
        await sender.run()

    run(sending())
    arrivals = world.by_provider[1]
    late = [at for at in arrivals if at >= OPENS]
    assert len(arrivals) == 10
    assert late
    assert all(at < CLOSES + 0.1 for at in arrivals if at not in late)
    assert world.count(RecipientStatus.SENT) == 10
