"""The events of a campaign: each thing that happens is told once."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from flows.support.events import Milestone
from flows.support.progress.event_emitter import EventEmitter
from mailsluice.reports.progress import Binding, Cause, Finish, Progress
from tests.unit.progress_feed import DONE, DOWN, FREE, LONG, NOW, RESTING, SHORT, Feed, standing
from tests.unit.progress_feed import feed as feed


async def told_of(feed: Feed, *looks: Progress) -> list[str]:
    """The events of a run that finds its connection like this, one look after the other."""
    teller = EventEmitter("spring")
    teller.begin(standing(FREE), is_new=False)
    for look in looks:
        await teller.update(look, NOW)
    return feed.names


async def test_a_campaign_starts_once(feed: Feed) -> None:
    EventEmitter("spring").begin(standing(FREE), is_new=True)
    EventEmitter("spring").begin(standing(FREE), is_new=False)
    payload = {"accepted": 100, "connections": "red 100"}
    assert feed.told == [(Milestone.CAMPAIGN_STARTED, None, payload)]


async def test_a_connection_is_quarantined_once(feed: Feed) -> None:
    await told_of(feed, standing(FREE), standing(DOWN), standing(DOWN))
    assert feed.told == [(Milestone.CONNECTION_QUARANTINED, "red", {"reason": "login: 535 no"})]


async def test_a_connection_that_rested_recovers_when_it_sends(feed: Feed) -> None:
    await told_of(feed, standing(RESTING, 5), standing(FREE, 5))
    assert feed.names == []
    await told_of(feed, standing(RESTING, 5), standing(FREE, 6), standing(FREE, 7))
    assert feed.told == [(Milestone.CONNECTION_RECOVERED, "red", {})]


async def test_a_connection_quarantined_in_an_earlier_run_recovers_when_it_sends(
    feed: Feed,
) -> None:
    feed.quarantined = {"red", "green"}
    assert await told_of(feed, standing(FREE), standing(DONE, 3)) == [
        Milestone.CONNECTION_RECOVERED
    ]


async def test_a_connection_that_is_quarantined_again_has_not_recovered(feed: Feed) -> None:
    feed.quarantined = {"red"}
    assert await told_of(feed, standing(DOWN, 3)) == [Milestone.CONNECTION_QUARANTINED]


@pytest.mark.parametrize(
    ("bindings", "times"),
    [
        ([SHORT, SHORT], 0),  # a pace
        ([LONG, LONG, SHORT, LONG], 1),  # one episode
        ([LONG, FREE, LONG], 2),
        ([LONG, Binding(Cause.LIMIT, "red per_day 9", LONG.until)], 2),  # another limit
    ],
)
async def test_a_limit_is_reported_once_for_as_long_as_it_binds(
    feed: Feed, bindings: list[Binding], times: int
) -> None:
    await told_of(feed, *map(standing, bindings))
    assert feed.names == [Milestone.LIMIT_REACHED] * times
    for _, _, payload in feed.told:
        assert LONG.until is not None
        assert payload["until"] == LONG.until.isoformat()


async def test_a_campaign_that_becomes_late_is_told_once_each_time(feed: Feed) -> None:
    def ending(at: datetime) -> Progress:
        return replace(standing(FREE), finish=Finish(NOW, {"red": at}))

    late = NOW + timedelta(hours=1)
    await told_of(feed, ending(NOW), ending(late), ending(late), ending(NOW), ending(late))
    assert feed.names == [Milestone.FINISH_LATE] * 2
    assert feed.told[0][2] == {
        "finish_by": NOW.isoformat(),
        "expected": late.isoformat(),
        "connections": "red",
    }


async def test_a_feed_that_is_away_is_asked_again(feed: Feed) -> None:
    feed.quarantined, feed.is_away = {"red"}, True
    teller = EventEmitter("spring")
    teller.begin(standing(FREE), is_new=True)
    await teller.update(standing(DOWN), NOW)
    feed.is_away = False
    await teller.update(standing(FREE, 1), NOW)
    assert feed.names == [Milestone.CONNECTION_RECOVERED]
