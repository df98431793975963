"""How long the default schedule bears a server that puts a recipient off."""

from __future__ import annotations

import random
from functools import cache

import pytest

from mailsluice.campaign import Retry
from mailsluice.campaign.retry import decide

RECIPIENTS = 2_000
HOUR = 3_600.0


def attempts(seed: int) -> list[float]:
    """When a recipient that is always put off is tried, in seconds after the first attempt."""
    chance, retry = random.Random(seed), Retry()
    moments = [0.0]
    while again := decide(len(moments), moments[-1], retry, chance.random()):
        moments.append(moments[-1] + again.delay_seconds)
    return moments


@cache
def schedules() -> list[list[float]]:
    """Return the attempts of all recipients; made once, by the process that runs these tests."""
    return [attempts(seed) for seed in range(RECIPIENTS)]


@pytest.mark.parametrize(
    "seconds",
    [
        300,  # the greylist of nearly all: Postgrey, Rspamd, milter-greylist
        600,
        900,
        HOUR,
        4 * HOUR,
        24 * HOUR,  # a limit a day
        4 * 24 * HOUR,  # a server that is repaired after a long weekend
    ],
)
def test_nobody_is_lost_to_a_server_that_takes_mail_after_a_while(seconds: float) -> None:
    lost = sum(moments[-1] < seconds for moments in schedules())
    assert lost == 0


def test_the_end_is_after_five_days() -> None:
    last = [moments[-1] for moments in schedules()]
    assert min(last) > 119 * HOUR
    assert max(last) <= 120 * HOUR


def test_a_greylist_of_five_minutes_costs_little_time() -> None:
    """Half of the recipients have their mail within a quarter of an hour, all within two hours."""
    when = sorted(next(at for at in moments if at >= 300) for moments in schedules())
    assert when[len(when) // 2] <= 900
    assert when[-1] <= 2 * HOUR


def test_a_server_is_not_asked_more_often_than_needed() -> None:
    numbers = sorted(map(len, schedules()))
    assert numbers[0] >= 50
    assert numbers[-1] <= 90
    assert max(sum(at < HOUR for at in moments) for moments in schedules()) <= 12
