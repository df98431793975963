"""Showing and telling how a campaign gets on, without a Prefect server."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, cast
from uuid import UUID, uuid4

import httpx
import pytest

from flows.support.events import Milestone
from flows.support.progress import artifacts, event_emitter, reporter
from flows.support.progress.artifacts import Bar, ProgressArtifacts
from flows.support.progress.event_emitter import EventEmitter
from flows.support.progress.late_counter import LateCounter
from flows.support.progress.reporter import ProgressReporter
from flows.support.stopping import StopReason
from mailsluice.campaign.sending_window import SendingWindow
from mailsluice.core.status import RecipientStatus
from mailsluice.delivery import CampaignRun
from mailsluice.reports.campaign import Report, RouteReport
from mailsluice.reports.progress import Binding, Cause, Finish, Progress, Standing, Tally
from mailsluice.reports.providers.counts import ProviderCounts, ProviderTally
from mailsluice.reports.zones.counts import ZoneCounts
from mailsluice.store import Counts

NOW = datetime.now(UTC)
FREE, DONE = Binding(Cause.FREE), Binding(Cause.DONE)
DOWN = Binding(Cause.QUARANTINED, "login: 535 no")
RESTING = Binding(Cause.RESTING, "connect: refused", NOW + timedelta(seconds=30))
LONG = Binding(Cause.LIMIT, "red per_hour 100", NOW + timedelta(seconds=61))
SHORT = Binding(Cause.LIMIT, "red per_hour 100", NOW + timedelta(seconds=59))


def standing(binding: Binding, sent: int = 0) -> Progress:
    return Progress("spring", (Standing("red", Tally(100, sent), binding),))


class Feed:
    """The event feed: emitted events, and connections that it knows as quarantined."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str | None, dict[str, Any]]] = []
        self.quarantined: set[str] = set()
        self.is_away = False

    def emit(self, milestone: str, campaign: str, connection: str | None, **more: Any) -> None:
        if self.is_away:
            raise RuntimeError("no events")
        assert campaign == "spring"
        more.pop("threshold")
        self.told.append((milestone, connection, more))

    async def last_words(self, connections: Collection[str]) -> set[str]:
        if self.is_away:
            raise httpx.ConnectError("away")
        return self.quarantined & set(connections)

    @property
    def names(self) -> list[str]:
        return [name for name, _, _ in self.told]


@pytest.fixture
def feed(monkeypatch: pytest.MonkeyPatch) -> Feed:
    feed = Feed()
    monkeypatch.setattr(event_emitter, "emit", feed.emit)
    monkeypatch.setattr(event_emitter, "_quarantined", feed.last_words)
    return feed


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


class Server:
    """The part of Prefect's API that has artifacts."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.stored: dict[UUID, Any] = {}
        self.refuses = False

    async def __aenter__(self) -> Server:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def read_artifacts(self, **_: object) -> list[Any]:
        self.calls.append("read")
        return list(self.stored.values())

    async def create_artifact(self, artifact: Any) -> Any:
        self._call(f"create {artifact.key}")
        artifact_id = uuid4()
        self.stored[artifact_id] = _Stored(artifact_id, artifact.key)
        return self.stored[artifact_id]

    async def update_artifact(self, artifact_id: UUID, artifact: Any) -> None:
        self._call(f"update {self.stored[artifact_id].key} {artifact.data:g}")

    def _call(self, call: str) -> None:
        if self.refuses:
            raise httpx.ConnectError("away")
        self.calls.append(call)


class _Stored:
    def __init__(self, artifact_id: UUID, key: str) -> None:
        self.id, self.key = artifact_id, key


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    server = Server()
    monkeypatch.setattr(artifacts, "get_client", lambda: server)
    return server


BARS: dict[str | None, Bar] = {None: Bar(5.0, "5 of 100"), "Röd 1": Bar(5.0, "5 of 100")}


@pytest.mark.filterwarnings("ignore:Artifact creation outside")
async def test_artifacts_are_created_once_in_a_run_and_then_updated(server: Server) -> None:
    run_id = uuid4()
    mine = ProgressArtifacts(run_id, "Spring sale")
    await mine.show(BARS)
    await mine.show(BARS)  # nothing new: no call
    await mine.show({**BARS, None: Bar(6.0, "6 of 100")})
    await ProgressArtifacts(run_id, "Spring sale").show(
        BARS
    )  # the same run continues in another process
    assert server.calls == [
        "read",
        "create progress-spring-sale",
        "create progress-spring-sale--rod-1",
        "update progress-spring-sale 6",
        "read",
        "update progress-spring-sale 5",
        "update progress-spring-sale--rod-1 5",
    ]


@pytest.mark.filterwarnings("ignore:Artifact creation outside")
async def test_an_update_that_the_server_did_not_take_is_repeated(server: Server) -> None:
    mine = ProgressArtifacts(uuid4(), "spring")
    server.refuses = True
    with pytest.raises(httpx.ConnectError):
        await mine.show(BARS)
    server.refuses = False
    await mine.show(BARS)
    assert server.calls[-2:] == ["create progress-spring", "create progress-spring--rod-1"]
