"""The text beside a progress bar."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from mailsluice.campaign.sending_window import SendingWindow
from mailsluice.core.moves import Move, MoveReason
from mailsluice.core.status import RecipientStatus
from mailsluice.reports.progress import (
    Binding,
    Cause,
    Finish,
    Page,
    Progress,
    RecentPace,
    Standing,
    Tally,
)
from mailsluice.reports.zones.counts import ZoneCounts

MOMENT = datetime(2026, 11, 24, 13, 50, tzinfo=UTC)
RED = Standing(
    "red",
    Tally(700, 400, failed=3, uncertain=2, deferrals=14),
    Binding(Cause.LIMIT, "red per_hour 6,000"),
)
GREEN = Standing("green", Tally(300, 300), Binding(Cause.DONE))


def page(*standings: Standing, window: SendingWindow | None = None, **rates: float | None) -> Page:
    return Page(Progress("spring", standings), rates, MOMENT, window or SendingWindow())


def test_a_connection_is_described_in_words() -> None:
    assert page(RED, red=0.5).connection(RED) == (
        "**held by red per_hour 6,000**: 400 of 700 sent, 3 failed, 2 uncertain, 295 left,"
        " 14 deferrals, 0.5 a second, done about 13:59 UTC at this pace"
    )


def test_unknown_numbers_are_left_out() -> None:
    waiting = Standing("red", Tally(10), Binding(Cause.STARTING))
    assert page(waiting).connection(waiting) == "**starts**: 0 of 10 sent, 10 left"
    assert page(waiting, red=0.0).connection(waiting) == "**starts**: 0 of 10 sent, 10 left"


def test_a_canary_has_no_pace_to_tell_the_end_by() -> None:
    judged = Standing("red", Tally(700, 7), Binding(Cause.CANARY))
    assert "done about" not in page(judged, red=0.5).campaign()


def test_a_campaign_with_a_finish_time_tells_it_and_who_is_late() -> None:
    paced = Standing("red", Tally(700, 400), Binding(Cause.PACED, "300 an hour"))
    by = MOMENT + timedelta(hours=1)
    before = page(paced, GREEN, red=0.08, green=0.0)
    in_time = replace(before, progress=replace(before.progress, finish=Finish(by, {"red": by})))
    assert in_time.connection(paced) == (
        "**spread evenly, 300 an hour**: 400 of 700 sent, 300 left, 0.1 a second,"
        " to be finished by 14:50 UTC"
    )
    assert "to be finished by 14:50 UTC" in in_time.line()
    late_by = {"red": by + timedelta(minutes=30)}
    late = replace(before, progress=replace(before.progress, finish=Finish(by, late_by)))
    words = "300 left, 0.1 a second, done about 15:20 UTC, later than its finish time, 14:50 UTC"
    assert words in late.connection(paced)
    assert words in late.campaign().split("\n\n")[0]
    years = replace(before, progress=replace(before.progress, finish=Finish(by, {"red": None})))
    assert "not done within years, later than its finish time" in years.line()
    over = replace(late, is_over=True)
    assert "finish" not in over.connection(paced)


def test_the_estimated_end_is_within_the_hours_of_each_time_zone() -> None:
    """Without counts by zone, no end is estimated."""
    window = SendingWindow(days="Mon-Sun", start="09:00", end="15:00", zone_column="zone")
    assert "done about" not in page(RED, window=window, red=0.5).campaign()
    left = RED.tally.left
    tokyo = [ZoneCounts("Asia/Tokyo", left, 0, {"red": left}, None, None)]
    text = replace(page(RED, window=window, red=0.5), zones=tokyo).campaign()
    assert "done about Wed 00:09 UTC" in text


def test_the_estimated_end_is_within_the_sending_window() -> None:
    window = SendingWindow(days="Mon-Fri", start="09:00", end="15:00", timezone="Europe/Berlin")
    slow = page(RED, window=window, red=295 / (11 * 60))
    assert "done about Wed 09:01 Europe/Berlin at this pace" in slow.connection(RED)


def test_the_campaign_has_a_paragraph_for_each_connection() -> None:
    shown = page(RED, GREEN, red=0.5, green=0.0)
    lines = shown.campaign().split("\n\n")
    assert lines[0].startswith("700 of 1,000 sent, 3 failed, 2 uncertain, 295 left")
    assert lines[0].endswith("done about 13:59 UTC at this pace")
    assert lines[1:3] == [f"red, {shown.connection(RED)}", "green, **done**: 300 of 300 sent"]
    assert "does not refresh this page" in lines[3]
    assert not lines[4:]


def test_a_line_of_the_log_says_the_same() -> None:
    stuck = Standing("blue", Tally(5), Binding(Cause.QUARANTINED, "535 a\nb"))
    assert page(RED, stuck, red=0.5, blue=0.0).line() == (
        "400 of 705 sent, 3 failed, 2 uncertain, 300 left, 14 deferrals, 0.5 a"
        " second; red 400 of 700, held by red per_hour 6,000; blue 0 of 5, quarantined: 535 a b"
    )
    many = page(*(Standing(f"c{i}", Tally(5), Binding(Cause.FREE)) for i in range(100)))
    assert many.line().endswith("; c5 0 of 5, sends as fast as it can; 94 more connections")


def test_moves_between_connections_are_listed() -> None:
    moves = (Move("blue", "red", MoveReason.WARM_UP, 200, 300),)
    shown = Page(Progress("spring", (RED,), moves), {}, MOMENT, SendingWindow())
    moved = "200 recipients went from blue to red: over the cap of blue's warm-up."
    assert moved in shown.campaign().split("\n\n")
    assert shown.line().endswith("; 200 moved to another connection")


def test_a_campaign_with_an_idle_connection_has_no_estimated_end() -> None:
    stuck = Standing("green", Tally(300), Binding(Cause.QUARANTINED, "login: 535 a\nb"))
    text = page(RED, stuck, red=0.5, green=0.0).campaign()
    assert "done about" not in text.split("\n\n")[0]
    assert "green, **quarantined: login: 535 a b**: 0 of 300 sent, 300 left" in text


def test_a_finished_run_has_no_estimated_end() -> None:
    over = Page(Progress("spring", (RED,)), {"red": 0.5}, MOMENT, SendingWindow(), is_over=True)
    assert "done about" not in over.connection(RED) + over.campaign()
    assert "refresh" not in over.campaign()


@given(sent=st.integers(0, 10**7), left=st.integers(0, 10**7))
def test_only_all_recipients_are_100_percent(sent: int, left: int) -> None:
    tally = Tally(sent + left, sent)
    assert 0 <= tally.percent <= 100
    assert (tally.percent == 100) == (left == 0)


@given(st.dictionaries(st.sampled_from(RecipientStatus), st.integers(0, 1_000)))
def test_recipients_left_are_those_waiting_in_the_database(
    counts: dict[RecipientStatus, int],
) -> None:
    waiting = (RecipientStatus.PENDING, RecipientStatus.SENDING, RecipientStatus.DEFERRED)
    assert Tally.of(counts).left == sum(counts.get(status, 0) for status in waiting)


def test_the_pace_is_that_of_the_last_minute() -> None:
    pace = RecentPace()
    assert pace.per_second is None
    for second in range(0, 121, 5):  # 10 a second, and none for the last half minute
        pace.see(second, min(second, 90) * 10)
    assert pace.per_second == 5.0


def test_a_pace_needs_two_observations() -> None:
    pace = RecentPace()
    pace.see(10.0, 0)
    pace.see(10.1, 500)
    assert pace.per_second is None
