"""Showing and telling how a campaign gets on, without a Prefect server."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from itertools import pairwise
from typing import cast

import httpx
import pytest

from flows.support.events import Milestone
from flows.support.progress import reporter
from flows.support.progress.artifacts import Bar, ProgressArtifacts
from flows.support.progress.event_emitter import EventEmitter
from flows.support.progress.late_counter import LateCounter
from flows.support.progress.reporter import ProgressReporter
from flows.support.stopping import StopReason
from mailsluice.campaign.sending_window import SendingWindow
from mailsluice.core.status import RecipientStatus
from mailsluice.delivery import CampaignRun
from mailsluice.reports.campaign import Report, RouteReport
from mailsluice.reports.progress import Binding, Cause, Progress
from mailsluice.reports.providers.counts import ProviderCounts, ProviderTally
from mailsluice.reports.zones.counts import ZoneCounts
from mailsluice.store import Counts
from tests.unit.progress_feed import DONE, DOWN, FREE, LONG, SHORT, Feed, standing
from tests.unit.progress_feed import feed as feed


class Run:
    """A campaign run with the progress that a test sets."""

    def __init__(self) -> None:
        self.seen = standing(FREE)
        self.outbox = self.summary = self
        self.summaries: list[tuple[int, float | None, bool]] = []
        self.counted = self.counted_providers = 0

    def counts(self) -> Counts:
        self.counted += 1
        stored = {RecipientStatus.SENT: 90, RecipientStatus.SUPPRESSED: 10}
        return Counts(100, {"red": stored})

    def count(self) -> None:
        pass

    def progressed(self, accepted: int, per_second: float | None, end: float | None) -> None:
        self.summaries.append((accepted, per_second, end is not None))

    def counted_by_zone(self) -> list[ZoneCounts]:
        return []

    def sent_by_provider(self) -> ProviderCounts:
        self.counted_providers += 1
        return ProviderCounts(
            {
                ("google", "red"): ProviderTally(60, 50, 41, refused=2),
                (None, "red"): ProviderTally(9),
            }
        )

    async def progress(self) -> Progress:
        return self.seen


class Shown:
    """Artifacts that keep what they are shown."""

    def __init__(self) -> None:
        self.bars: dict[str | None, Bar] = {}
        self.is_away = False

    async def show(self, bars: dict[str | None, Bar]) -> None:
        if self.is_away:
            raise httpx.ConnectError("away")
        self.bars = bars


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


async def no_list() -> None:
    pass


async def begun(
    run: Run, shown: Shown, clock: Clock, publish_list: Callable[[], Awaitable[None]] = no_list
) -> ProgressReporter:
    window = SendingWindow()
    made = ProgressReporter(
        cast("CampaignRun", run),
        window,
        cast("ProgressArtifacts", shown),
        EventEmitter("spring"),
        clock,
        publish_list=publish_list,
    )
    await made.begin(is_new=True)
    return made


def report(sent: int, pending: int) -> Report:
    counts = {RecipientStatus.SENT: sent, RecipientStatus.PENDING: pending}
    route = RouteReport("red", 100, counts, seconds=10.0, sent_now=sent, down=None)
    return Report("spring", 100, 100, {}, [route])


async def test_progress_is_shown_with_its_pace(feed: Feed) -> None:
    run, shown, clock = Run(), Shown(), Clock()
    made = await begun(run, shown, clock)
    clock.now, run.seen = 10.0, standing(SHORT, 50)
    await made.update()
    assert {name: bar.percent for name, bar in shown.bars.items()} == {None: 50.0, "red": 50.0}
    words = shown.bars["red"].text
    assert words.startswith("**held by red per_hour 100 until ")
    assert "**: 50 of 100 sent, 50 left, 5.0 a second, done about " in words


async def test_a_tally_of_more_than_all_is_replaced_by_what_is_stored(feed: Feed) -> None:
    """Senders that outlived an earlier run were counted twice for some seconds."""
    run, shown, clock = Run(), Shown(), Clock()
    made = await begun(run, shown, clock)
    clock.now, run.seen = 10.0, standing(FREE, 101)
    await made.update()
    assert shown.bars["red"].percent == 90.0
    assert "90 of 100 sent" in shown.bars["red"].text


async def test_the_list_of_campaigns_gets_the_numbers_and_is_published_now_and_then(
    feed: Feed,
) -> None:
    run, clock, published = Run(), Clock(), []

    async def publish() -> None:
        published.append(clock.now)

    made = await begun(run, Shown(), clock, publish)
    for second, binding in ((10.0, FREE), (20.0, SHORT), (299.0, FREE), (310.0, SHORT)):
        clock.now, run.seen = second, standing(binding, int(second) // 5)
        await made.update()
    assert run.summaries[:2] == [(2, 0.2, True), (4, 0.2, True)]
    assert [accepted for accepted, _, _ in run.summaries] == [2, 4, 59, 62]
    assert published == [10.0, 310.0]


async def test_what_each_mailbox_provider_got_is_counted_now_and_then(feed: Feed) -> None:
    """Not in the first minute, and at most once a minute: a count reads all recipients."""
    run, shown, clock = Run(), Shown(), Clock()
    made = await begun(run, shown, clock)
    shows = []
    for second, binding in ((30.0, FREE), (61.0, SHORT), (119.0, FREE), (122.0, SHORT)):
        clock.now, run.seen = second, standing(binding, 50)
        await made.update()
        shows.append(("By mailbox provider" in shown.bars[None].text, run.counted_providers))
    assert shows == [(False, 0), (True, 1), (True, 1), (True, 2)]
    assert (
        "By mailbox provider, counted lately: Google 41 of 60 sent, 2 failed; smaller providers 0"
        " of 9 sent"
    ) in shown.bars[None].text


async def test_a_slow_count_of_providers_is_repeated_rarely() -> None:
    clock, counted = Clock(), []

    def slow() -> ProviderCounts:
        counted.append(clock.now)
        clock.now += 5.0
        return ProviderCounts()

    counter = LateCounter(slow, clock, ProviderCounts())
    for second in (61.0, 500.0, 565.0, 567.0):
        clock.now = second
        await counter.counts()
    assert counted == [61.0, 567.0]


async def test_the_log_gets_a_line_of_what_changed_every_half_a_minute_at_most(feed: Feed) -> None:
    run, shown, clock = Run(), Shown(), Clock()
    lines: list[str] = []
    window, story_ = SendingWindow(), EventEmitter("spring")
    made = ProgressReporter(
        cast("CampaignRun", run),
        window,
        cast("ProgressArtifacts", shown),
        story_,
        clock,
        log=lines.append,
    )
    await made.begin(is_new=True)
    for second, sent in ((5, 10), (30, 40), (35, 50), (59, 50), (90, 50), (600, 50), (1200, 50)):
        clock.now, run.seen = float(second), standing(DOWN, sent)
        await made.update()
    assert [line.split(",")[0] for line in lines] == [
        "40 of 100 sent",
        "50 of 100 sent",
        "50 of 100 sent",  # without a pace any more; then nothing is new
    ]
    assert lines[-1] == ("50 of 100 sent, 50 left; red 50 of 100, quarantined: login: 535 no")


async def test_artifacts_change_more_rarely_in_a_long_run(feed: Feed) -> None:
    """When the time so far has doubled, or after two percent; another cause shows at once."""
    run, shown, clock = Run(), Shown(), Clock()
    made = await begun(run, shown, clock)
    updates = []
    for second in range(0, 36_000, 5):
        clock.now, run.seen = float(second), standing(SHORT, second // 400)
        shown.bars.clear()
        await made.update()
        if shown.bars:
            updates.append(second)
    assert updates[:6] == [0, 5, 10, 20, 40, 80]
    assert max(later - earlier for earlier, later in pairwise(updates)) == 800
    assert len(updates) < 65
    clock.now, run.seen = 36_005.0, standing(DOWN, 90)
    shown.bars.clear()
    await made.update()
    assert shown.bars["red"].text.startswith("**quarantined")


async def test_a_connection_that_is_done_has_no_recipient_left(feed: Feed) -> None:
    """Ten were put on the suppression list meanwhile; the database is asked once."""
    run, shown = Run(), Shown()
    made = await begun(run, shown, Clock())
    for _ in range(3):
        run.seen = standing(DONE, 90)
        await made.update()
        assert shown.bars["red"].text == "**done**: 90 of 100 sent, 10 suppressed or cancelled"
    assert run.counted == 1
    run.seen = standing(SHORT, 91)  # it goes on, with recipients of another one
    await made.update()
    assert ": 91 of 100 sent, 9 left" in shown.bars["red"].text


@pytest.mark.parametrize("away", ["the artifacts", "the engine", "the feed"])
async def test_the_campaign_goes_on_whatever_is_away(
    feed: Feed, away: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, shown, clock = Run(), Shown(), Clock()
    made = await begun(run, shown, clock)
    if away == "the artifacts":
        shown.is_away = True
    elif away == "the feed":
        feed.is_away = True
    else:
        monkeypatch.delattr(Run, "progress")
    await made.update()
    await made.conclude(report(100, 0), None)


@pytest.mark.parametrize("turns", range(6))
async def test_a_cancellation_that_comes_with_the_end_of_an_update_is_not_lost(turns: int) -> None:
    answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def update() -> None:
        await answer

    updating = asyncio.ensure_future(reporter._quietly(update()))
    for _ in range(5):
        await asyncio.sleep(0)
    answer.set_result(None)
    for _ in range(turns):
        await asyncio.sleep(0)
    is_cancelled = updating.cancel()
    await asyncio.wait([updating])
    assert updating.cancelled() is is_cancelled


async def test_a_server_that_does_not_answer_delays_nothing(
    feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Hanging(Shown):
        async def show(self, bars: dict[str | None, Bar]) -> None:
            await asyncio.Event().wait()

    monkeypatch.setattr(reporter, "_PATIENCE_SECONDS", 0.01)
    made = await begun(Run(), Hanging(), Clock())
    await made.conclude(report(100, 0), None)
    assert feed.names == [Milestone.CAMPAIGN_STARTED, Milestone.CAMPAIGN_COMPLETED]


@pytest.mark.parametrize(
    ("reason", "left", "words"),
    [
        (None, 0, "stopped"),
        (StopReason.SUSPENDED, 40, "stopped"),
        (
            StopReason.WAITING,
            40,
            "held by red per_hour 100 until ",
        ),  # so the page says what the run waits for
    ],
)
async def test_the_end_shows_the_numbers_of_the_report(
    feed: Feed, reason: StopReason | None, left: int, words: str
) -> None:
    run, shown = Run(), Shown()
    made = await begun(run, shown, Clock())
    run.seen = standing(LONG, 10)
    await made.update()
    run.seen = standing(Binding(Cause.STOPPED), 10)
    await made.conclude(report(100 - left, left), reason)
    assert shown.bars["red"].percent == 100 - left
    assert f"**{words}" in shown.bars["red"].text
    assert "done about" not in shown.bars["red"].text


@pytest.mark.parametrize(
    ("reason", "left", "is_told"),
    [(None, 0, True), (None, 3, False), (StopReason.CANCELLED, 0, False)],
)
async def test_only_a_campaign_without_open_recipients_is_completed(
    feed: Feed, reason: StopReason | None, left: int, is_told: bool
) -> None:
    made = await begun(Run(), Shown(), Clock())
    await made.conclude(report(100 - left, left), reason)
    assert (Milestone.CAMPAIGN_COMPLETED in feed.names) is is_told
