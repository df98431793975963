"""The pace to a mailbox provider that asks for less mail, and to all others, in simulated time."""

from __future__ import annotations

import random
from collections import deque
from pathlib import Path

import pytest

from benchmarks.simulated_time import run
from mailsluice.core.outcome import Attempt, Phase
from mailsluice.core.status import RecipientStatus
from tests.unit.lane_world import TAKEN, LaneWorld, Reply, sender_in

GOOGLE, HOSTER = 1, 2
NAMES = ("google", "hoster.example")
SESSIONS = 20
REST_SECONDS = 1_800
SLOWER = Attempt(Phase.RCPT, 450, "4.7.28 an unusual rate of mail from 192.0.2.1 - gsmtp")
BLOCKED = Attempt(Phase.RCPT, 550, "5.7.1 messages from [192.0.2.1] weren't sent (S3150).")


def world(recipients: int = 4_000, google: float = 0.3) -> LaneWorld:
    chance = random.Random(2)
    made = LaneWorld(random.Random(1), 0.02)
    made.fill(chance.choices((GOOGLE, HOSTER), (google, 1 - google), k=recipients))
    return made


def send(world: LaneWorld, folder: Path, reply: Reply = lambda *_: TAKEN) -> float:
    """Send to everybody; returns when the last of the others had its mail."""

    async def sending() -> None:
        await sender_in(world, folder, NAMES, None, sessions=SESSIONS, reply=reply).run()

    run(sending())
    return max(world.by_provider[HOSTER])


class Limited:
    """Accepts so many of Google's messages in any second, and defers the others."""

    def __init__(self, per_second: int) -> None:
        self._per_second = per_second
        self._accepted: deque[float] = deque()
        self.deferred = 0

    def __call__(self, provider: int, now: float) -> Attempt:
        if provider != GOOGLE:
            return TAKEN
        while self._accepted and self._accepted[0] <= now - 1:
            self._accepted.popleft()
        if len(self._accepted) >= self._per_second:
            self.deferred += 1
            return SLOWER
        self._accepted.append(now)
        return TAKEN


def test_a_provider_that_asks_for_less_mail_delays_nobody_else(tmp_path: Path) -> None:
    free = send(world(), tmp_path)
    slowed, google = world(), Limited(per_second=40)
    assert send(slowed, tmp_path, google) <= free / 0.98
    assert slowed.count(RecipientStatus.SENT) == 4_000
    assert google.deferred < 0.4 * slowed.count(RecipientStatus.SENT, GOOGLE)


def test_a_provider_that_blocks_the_sender_rests_until_it_takes_mail(tmp_path: Path) -> None:
    """Those on their way are refused, then one message for each rest, and nobody fails."""
    free = send(world(), tmp_path)
    resting = world()
    refused: list[float] = []

    def reply(provider: int, now: float) -> Attempt:
        if provider != GOOGLE or now > 4 * REST_SECONDS:
            return TAKEN
        refused.append(now)
        return BLOCKED

    assert send(resting, tmp_path, reply) <= free / 0.98
    assert resting.count(RecipientStatus.SENT) == 4_000
    burst = [at for at in refused if at < REST_SECONDS]
    assert len(burst) <= SESSIONS + 2
    assert len(refused) - len(burst) == 3


def test_a_filter_that_refuses_a_few_messages_does_not_stop_the_others(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    some = random.Random(3)
    filtered = world()
    send(filtered, tmp_path, lambda *_: BLOCKED if some.random() < 0.02 else TAKEN)
    assert filtered.count(RecipientStatus.SENT) == 4_000
    assert "takes no mail" not in caplog.text
    assert "is down" not in caplog.text
