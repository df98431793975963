"""Campaigns with a finish time, in simulated time: hours and days pass in seconds."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from benchmarks.simulated_time import run
from benchmarks.throttle_simulation import EPOCH
from mailsluice.campaign.finish import Span
from mailsluice.campaign.sending_window import SendingWindow
from mailsluice.core.outcome import Attempt, Phase
from mailsluice.core.status import RecipientStatus
from mailsluice.delivery.opening_hours import OpeningHours
from mailsluice.delivery.rule_book import ConnectionRules
from mailsluice.limits import Rules, Usage
from mailsluice.operations.finish.pacing import look_in_seconds, spread
from tests.thorough import examples
from tests.unit.lane_world import TAKEN, LaneWorld, Reply, rules, sender_in

LATER = Attempt(Phase.RCPT, 451, "4.7.1 try again later")
PACE = "pace 1 red"
OFFICE = SendingWindow(days="Mon-Fri", start="09:00", end="17:00", timezone="Europe/Berlin")
WINTER = datetime(2026, 11, 27, 8, 0, tzinfo=UTC)  # a Friday, 09:00 in Berlin
SPRING = datetime(2026, 3, 28, 20, 0, tzinfo=UTC)  # five hours before the clocks go forward
AUTUMN = datetime(2026, 10, 24, 20, 0, tzinfo=UTC)  # five hours before they go back


@dataclass
class Campaign:
    """A campaign over one connection that is to be finished after so many hours."""

    recipients: int
    hours: float
    begins: datetime = WINTER
    window: SendingWindow = field(default_factory=SendingWindow)
    under: ConnectionRules | None = None
    reply: Reply = lambda _provider, _now: TAKEN
    away: tuple[float, float] = (0.0, 0.0)
    """From when to when no process sends, in hours."""

    def send(self, folder: Path) -> LaneWorld:
        """Send to everybody; returns the world with the arrivals."""
        world = LaneWorld(random.Random(1), 0.02)
        world.fill([1] * self.recipients)
        run(self._sending(world, folder))
        return world

    def moment(self, now: float) -> datetime:
        return self.begins + timedelta(seconds=now)

    @property
    def span(self) -> Span:
        opens_at = self.window.opens_at(self.begins)
        return Span(self.window, opens_at, self.begins + timedelta(hours=self.hours))

    async def _sending(self, world: LaneWorld, folder: Path) -> None:
        span, (killed_at, resumed_at) = self.span, self.away
        self._look(world, span)
        looking = asyncio.ensure_future(self._looking(world, span))
        if resumed_at:
            first = asyncio.ensure_future(self._run(world, folder))
            await asyncio.sleep(3_600 * killed_at)
            first.cancel()
            await asyncio.gather(first, return_exceptions=True)
            looking.cancel()
            for one in world.left.values():  # as the journal of the dead process shows
                one.status = RecipientStatus.PENDING
            await asyncio.sleep(3_600 * (resumed_at - killed_at))
            self._look(world, span)
            looking = asyncio.ensure_future(self._looking(world, span))
        await self._run(world, folder)
        looking.cancel()

    async def _run(self, world: LaneWorld, folder: Path) -> None:
        hours = OpeningHours(self.window, lambda: self.moment(world.now))
        limits, providers = self.under or rules()
        under = ConnectionRules({**limits, PACE: Rules(is_paced=True)}, providers)
        await sender_in(
            world,
            folder,
            ["google"],
            under,
            sessions=3,
            reply=self.reply,
            opens_at=hours.opens_at,
        ).run()

    async def _looking(self, world: LaneWorld, span: Span) -> None:
        while True:
            left = (span.until - self.moment(world.now)).total_seconds()
            await asyncio.sleep(look_in_seconds(left, 0.01))
            self._look(world, span)

    def _look(self, world: LaneWorld, span: Span) -> None:
        end = (span.until - self.begins).total_seconds()
        due = sum(one.due_at <= end for one in world.left.values())
        wanted = spread(span, self.moment(world.now), due)
        shift = EPOCH - self.begins.timestamp()
        now = EPOCH + world.now
        since, until = max(now, wanted.since + shift), wanted.until + shift
        usage = world.usages.setdefault(PACE, Usage())
        usage.expire(now, Rules(is_paced=True))
        usage.spread(wanted._replace(since=since, until=until))


def finished(campaign: Campaign, world: LaneWorld) -> float:
    """When the last message arrived, in parts of the span."""
    assert not world.left
    return max(world.arrivals["all"]) / (3_600 * campaign.hours)


def unevenness(arrivals: list[float], parts: int, is_open: Callable[[float], float]) -> float:
    """The largest part that a count in one of equal parts of the open time is off the mean."""
    total = is_open(math.inf)
    counts = [0] * parts
    for at in arrivals:
        counts[min(parts - 1, int(parts * is_open(at) / total))] += 1
    mean = len(arrivals) / parts
    return max(abs(count - mean) for count in counts) / mean


CASES = {
    "ten hours": Campaign(examples(1_000), 10.0),
    "few recipients": Campaign(12, 24.0),
    "two recipients": Campaign(2, 1.0),
    "a night in which the clocks go forward": Campaign(examples(1_500), 12.0, SPRING),
    "a night in which the clocks go back": Campaign(examples(1_500), 12.0, AUTUMN),
    "office hours over a change of the clocks": Campaign(
        500, 72.0, datetime(2026, 3, 27, 8, 0, tzinfo=UTC), OFFICE
    ),
    "a limit that is higher than the pace": Campaign(1_000, 5.0, under=rules({"per_hour": 250})),
}


@pytest.mark.thorough
@pytest.mark.parametrize("campaign", CASES.values(), ids=CASES)
def test_a_campaign_is_finished_within_a_hundredth_of_its_span(
    campaign: Campaign, tmp_path: Path
) -> None:
    world = campaign.send(tmp_path)
    assert finished(campaign, world) == pytest.approx(0.995, abs=0.005)


@pytest.mark.parametrize(("recipients", "seconds"), [(600, 20.0), (100, 20.0), (600, 60.0)])
def test_a_campaign_of_seconds_is_finished_within_a_hundredth_too(
    recipients: int, seconds: float, tmp_path: Path
) -> None:
    campaign = Campaign(recipients, seconds / 3_600)
    assert finished(campaign, campaign.send(tmp_path)) == pytest.approx(1.0, abs=0.01)


def test_mail_is_spread_evenly_over_the_open_hours(tmp_path: Path) -> None:
    campaign = Campaign(1_000, 104.0, WINTER, OFFICE)  # four days, with a weekend
    world, span = campaign.send(tmp_path), campaign.span

    def is_open(at: float) -> float:
        until = span.until if at == math.inf else campaign.moment(at)
        return span.open_seconds(span.since, until)

    assert finished(campaign, world) == pytest.approx(0.995, abs=0.005)
    assert unevenness(world.arrivals["all"], 20, is_open) < 0.11  # a tenth of the last part is free
    moments = [campaign.moment(at) for at in world.arrivals["all"]]
    second = timedelta(seconds=1)
    assert all(OFFICE.is_open(moment) or OFFICE.is_open(moment - second) for moment in moments)


def test_messages_of_an_even_pace_are_not_bursts(tmp_path: Path) -> None:
    campaign = Campaign(600, 1.0)
    world = campaign.send(tmp_path)
    assert finished(campaign, world) == pytest.approx(0.995, abs=0.005)
    gaps = [later - earlier for earlier, later in pairwise(sorted(world.arrivals["all"]))]
    assert min(gaps) > 4.5
    assert max(gaps) < 7.5


def test_after_a_crash_and_an_hour_without_a_run_the_pace_is_higher_and_even(
    tmp_path: Path,
) -> None:
    campaign = Campaign(1_000, 10.0, away=(3.0, 4.0))
    world = campaign.send(tmp_path)
    assert finished(campaign, world) == pytest.approx(0.995, abs=0.005)
    arrivals = world.arrivals["all"]
    by_hour = [sum(hour <= at / 3_600 < hour + 1 for at in arrivals) for hour in range(10)]
    assert by_hour[:4] == [pytest.approx(100, abs=3)] * 3 + [0]
    assert by_hour[4:] == [pytest.approx(700 / 6, abs=7)] * 6


def test_retries_are_in_the_pace_and_only_those_that_come_due_later_are_late(
    tmp_path: Path,
) -> None:
    chance = random.Random(3)
    campaign = Campaign(1_000, 10.0, reply=lambda *_: LATER if chance.random() < 0.1 else TAKEN)
    arrivals = campaign.send(tmp_path).arrivals["all"]
    in_time = [at for at in arrivals if at <= 36_000]
    assert 1_080 < len(arrivals) < 1_140
    assert len(arrivals) - len(in_time) < 10
    assert max(in_time) == pytest.approx(0.995 * 36_000, rel=0.01)


def test_a_limit_that_is_lower_binds_and_the_mail_is_late(tmp_path: Path) -> None:
    campaign = Campaign(600, 1.0, under=rules({"per_hour": 300}))
    world = campaign.send(tmp_path)
    assert not world.left
    assert max(world.arrivals["all"]) > 1.9 * 3_600
    arrivals = sorted(world.arrivals["all"])
    assert all(
        later - first >= 3_600 for first, later in zip(arrivals, arrivals[300:], strict=False)
    )
