"""Metrics: numbers that add up, files that count each process once, and the text that is read."""

from __future__ import annotations

import json
import math
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics import parser
from prometheus_client.parser import text_string_to_metric_families as prometheus

from mailsluice.bounces.matching import SentTo
from mailsluice.core.errors import OutboxError
from mailsluice.events.event import DeliveryState, ProviderEvent
from mailsluice.metrics import catalogue as names
from mailsluice.metrics.catalogue import CATALOGUE, Kind
from mailsluice.metrics.event_meter import EventMeter
from mailsluice.metrics.exposition import exposed
from mailsluice.metrics.folder import MetricsFolder, Snapshot
from mailsluice.metrics.keeper import Keeper
from mailsluice.metrics.numbers import Numbers
from mailsluice.metrics.outlets import (
    PUSH_URL,
    TEXT_FILE,
    Gateway,
    MetricsSettingError,
    Outlets,
    text_file,
)
from mailsluice.metrics.run_numbers import RunNumbers
from mailsluice.metrics.state import StateMetrics
from mailsluice.reports.progress import Binding, Cause, Finish, Progress, Standing, Tally
from mailsluice.stop_loss import Figures, Unit
from mailsluice.store.deliveries import Received

NOW = datetime(2026, 11, 27, 9, 0, tzinfo=UTC)


def sent(number: float, connection: str = "red") -> Numbers:
    numbers = Numbers()
    numbers.add(names.SETTLED, connection, "sent", amount=number)
    numbers.add(names.SESSIONS, "spring", connection, amount=2)
    return numbers


def value(numbers: Numbers, metric: names.Metric, *labels: str) -> float | None:
    found = numbers.of(metric).get(labels)
    return found[0] if found else None


@st.composite
def some_numbers(draw: st.DrawFn) -> Numbers:
    numbers = Numbers()
    metrics = [metric for metric in CATALOGUE.values() if metric is not names.BUILD]
    for metric in draw(st.lists(st.sampled_from(metrics), max_size=5)):
        labels = [draw(st.sampled_from(["a", 'b"\\\n', ""])) for _ in metric.labels]
        amount = draw(st.integers(0, 1_000_000))
        if metric.kind is Kind.HISTOGRAM:
            numbers.observe(metric, *labels, value=amount)
        else:
            numbers.add(metric, *labels, amount=amount)
    return numbers


@given(some_numbers(), some_numbers(), some_numbers())
def test_numbers_add_up_in_any_order(one: Numbers, two: Numbers, three: Numbers) -> None:
    left, right = Numbers(), Numbers()
    for numbers in (one, two, three):
        left += numbers
    for numbers in (three, one, two):
        right += numbers
    assert {m.name: m and left.of(m) for m in left} == {m.name: right.of(m) for m in right}


@given(some_numbers())
def test_numbers_are_read_as_they_were_written(numbers: Numbers) -> None:
    read = Numbers.loaded(json.loads(json.dumps(numbers.dumped())))
    assert read.dumped() == numbers.dumped()


@given(some_numbers())
def test_both_formats_say_the_same_and_escape_labels(numbers: Numbers) -> None:
    plain, plain_type = exposed(numbers)
    modern, modern_type = exposed(numbers, "application/openmetrics-text; version=1.0.0")
    assert plain_type.startswith("text/plain")
    assert modern_type.startswith("application/openmetrics-text")
    assert modern.endswith(b"# EOF\n")
    read: Any = parser.text_string_to_metric_families  # which has no types
    samples = [
        {
            (sample.name, *sorted(sample.labels.items()), sample.value)
            for family in families
            for sample in family.samples
        }
        for families in (prometheus(plain.decode()), read(modern.decode()))
    ]
    assert samples[0] == samples[1]
    known = {name for metric in CATALOGUE.values() for name in metric.sample_names}
    assert {name for name, *_ in samples[0]} <= known


def test_a_histogram_counts_each_value_in_its_bucket_and_those_above() -> None:
    numbers = Numbers()
    for seconds in (0.0, 1.0, 1.5, 1e9):  # a bound belongs to its bucket
        numbers.observe(names.EVENT_LAG, "red", value=seconds)
    text = exposed(numbers)[0].decode()
    assert 'mailsluice_event_lag_seconds_bucket{connection="red",le="1.0"} 2.0' in text
    assert 'mailsluice_event_lag_seconds_bucket{connection="red",le="5.0"} 3.0' in text
    assert 'mailsluice_event_lag_seconds_bucket{connection="red",le="+Inf"} 4.0' in text
    assert 'mailsluice_event_lag_seconds_count{connection="red"} 4.0' in text


def test_metrics_of_another_version_are_left_out() -> None:
    dumped = sent(3).dumped() | {
        "mailsluice_gone": [[["red"], [1.0]]],
        names.MESSAGES.name: [[["red"], [1.0]]],  # without two of its labels
        names.EVENT_LAG.name: [[["red"], [1.0]]],  # with other buckets
    }
    assert Numbers.loaded(dumped).dumped() == sent(3).dumped()


def test_processes_at_work_and_those_that_have_ended_add_up(tmp_path: Path) -> None:
    folder = MetricsFolder(tmp_path / "metrics")
    assert not [*folder.read()]
    one, two = folder.begin(), folder.begin()
    one.write(sent(3))
    two.write(sent(4))
    assert value(folder.read(), names.SETTLED, "red", "sent") == 7
    assert value(folder.read(), names.SESSIONS, "spring", "red") == 4
    one.end(sent(5))
    assert value(folder.read(), names.SETTLED, "red", "sent") == 9
    assert value(folder.read(), names.SESSIONS, "spring", "red") == 2
    two.end(sent(6))
    assert value(folder.read(), names.SETTLED, "red", "sent") == 11
    assert value(folder.read(), names.SESSIONS, "spring", "red") is None
    assert {path.name for path in (tmp_path / "metrics").iterdir()} == {
        "folder.lock",
        "totals.json",
    }


def die(process: Snapshot) -> None:
    """End as a killed process does: its locks are gone."""
    process._alive.close()


def test_a_dead_process_is_counted_once_and_its_gauges_go(tmp_path: Path) -> None:
    folder = MetricsFolder(tmp_path)
    process, silent = folder.begin(), folder.begin()
    process.write(sent(3))
    die(process)
    die(silent)  # before it wrote anything
    for _ in range(2):
        numbers = folder.read()
        assert value(numbers, names.SETTLED, "red", "sent") == 3
        assert value(numbers, names.SESSIONS, "spring", "red") is None
    assert {path.name for path in tmp_path.iterdir()} == {"folder.lock", "totals.json"}


def test_a_crash_before_the_file_of_a_dead_process_is_deleted_counts_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = MetricsFolder(tmp_path)
    dead, other = folder.begin(), folder.begin()
    dead.write(sent(3))
    die(dead)
    with monkeypatch.context() as patch:
        patch.setattr("mailsluice.metrics.folder._remove", lambda path: None)
        folder.read()
    assert len([*tmp_path.glob("*.numbers")]) == 1
    other.end(sent(4))  # the totals are written again before anybody deletes the file
    for _ in range(2):
        assert value(folder.read(), names.SETTLED, "red", "sent") == 7
    assert not [*tmp_path.glob("*.numbers")]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"metrics": [1]}', b'{"metrics": {}}'])
def test_damaged_totals_begin_again(tmp_path: Path, content: bytes) -> None:
    folder = MetricsFolder(tmp_path)
    folder.begin().end(sent(3))
    (tmp_path / "totals.json").write_bytes(content)
    assert not [*folder.read()]
    folder.begin().end(sent(4))
    assert value(folder.read(), names.SETTLED, "red", "sent") == 4


def test_many_processes_begin_and_end_side_by_side(tmp_path: Path) -> None:
    folder = MetricsFolder(tmp_path)

    def work() -> None:
        for number in range(5):
            process = folder.begin()
            process.write(sent(number))
            folder.read()
            process.end(sent(10))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert value(folder.read(), names.SETTLED, "red", "sent") == 200


BEGUN = Progress("spring", (Standing("red", Tally(100, 10, 1), Binding(Cause.STARTING)),))


def test_the_numbers_of_a_run_leave_out_what_earlier_runs_did() -> None:
    run = RunNumbers(BEGUN, {1: "google", 2: "example.net"}, {"red": 5.0, "blue": math.inf})
    finish = Finish(NOW + timedelta(hours=1), {"red": NOW + timedelta(hours=2)})
    standing = Standing(
        "red", Tally(100, 40, 3, 1), Binding(Cause.LIMIT, "5 a second"), (), sessions=2, in_flight=1
    )
    figures = {
        Unit("red", 1): Figures(sent=20, refused=2, blocked=1, deferred=4),
        Unit("red", 2): Figures(sent=7),
        Unit("red", 0): Figures(sent=3),
    }
    run.now(BEGUN, {}, 0.0, NOW)
    numbers = run.now(
        Progress("spring", (standing,), finish=finish, pool=Tally(50)), figures, 10.0, NOW
    )
    settled = {labels[1]: found for labels, (found,) in numbers.of(names.SETTLED).items()}
    assert settled == {"sent": 30, "failed": 2, "uncertain": 1}
    messages = {labels[1:]: found for labels, (found,) in numbers.of(names.MESSAGES).items()}
    assert messages == {
        ("Google", "accepted"): 20,
        ("Google", "refused"): 2,
        ("Google", "deferred"): 4,
        ("other", "accepted"): 10,  # a provider without a rule, and unknown ones
        ("other", "refused"): 0,
        ("other", "deferred"): 0,
    }
    assert value(numbers, names.BLOCKED, "red", "Google") == 1
    assert value(numbers, names.PACE, "spring", "red") == 3
    assert value(numbers, names.LIMIT, "spring", "red") == 5
    assert value(numbers, names.WAITING, "spring", "red") == 56
    assert value(numbers, names.WAITING, "spring", "") == 50
    assert [*numbers.of(names.BINDING)] == [("spring", "red", "limit")]
    assert value(numbers, names.SESSIONS, "spring", "red") == 2
    assert value(numbers, names.FINISH_BY, "spring") == (NOW + timedelta(hours=1)).timestamp()
    expected = (NOW + timedelta(hours=2)).timestamp()
    assert value(numbers, names.FINISH_EXPECTED, "spring") == expected


def test_a_connection_that_a_run_gives_up_counts_once() -> None:
    run = RunNumbers(BEGUN, {}, {})
    down = Progress("spring", (Standing("red", Tally(100), Binding(Cause.QUARANTINED, "535")),))
    counts = [
        value(run.now(progress, {}, 0.0, NOW), names.QUARANTINES, "red")
        for progress in (BEGUN, down, down, BEGUN)
    ]
    assert counts == [0, 1, 1, 1]


class Kept(Keeper):
    """Keeps what it is given in memory."""

    def __init__(self) -> None:
        self.numbers: list[Numbers] = []
        self.has_ended = False

    def write(self, numbers: Numbers) -> None:
        self.numbers.append(numbers)

    def end(self, numbers: Numbers) -> None:
        self.has_ended = True


def event(state: DeliveryState, at: float, to: SentTo | None = None) -> Received:
    return Received(ProviderEvent("k", state, at, "ann@example.com"), to, "token")


def test_events_are_counted_with_their_lag_and_the_time_to_delivery() -> None:
    to = SentTo(1, "ann@example.com", "red", 1, "spring", None, "example.com", 1_000.0, "google")
    kept = Kept()
    meter = EventMeter(kept, now=lambda: 1_100.0)
    meter.see(
        "red",
        [
            event(DeliveryState.DELIVERED, 1_004.0, to),
            event(DeliveryState.DELIVERED, 999.0, to),  # the provider's clock is behind
            event(DeliveryState.BOUNCED, 1_200.0, to),  # and here it is ahead
            event(DeliveryState.DELIVERED, 1_000.0),
        ],
    )
    meter.end()
    (numbers,) = kept.numbers
    assert kept.has_ended
    assert value(numbers, names.EVENTS, "red", "delivered") == 2
    assert value(numbers, names.UNMATCHED, "red") == 1
    *lags, lag_sum = numbers.of(names.EVENT_LAG)[("red",)]
    assert (sum(lags), lag_sum) == (3, 96.0 + 101.0)
    *delays, delay_sum = numbers.of(names.DELIVERY)[("red", "Google")]
    assert (sum(delays), delay_sum) == (2, 4.0)


@pytest.mark.parametrize(
    ("url", "gateway"),
    [
        ("http://127.0.0.1:9091", Gateway("http://127.0.0.1:9091")),
        ("https://me:p%40ss@g.example/base", Gateway("https://g.example/base", "me", "p@ss")),
        ("http://[::1]:9091", Gateway("http://[::1]:9091")),
    ],
)
def test_the_address_of_a_gateway_may_have_a_login(url: str, gateway: Gateway) -> None:
    assert Gateway.parse(url) == gateway
    assert "p@ss" not in repr(gateway)


@pytest.mark.parametrize(
    "url",
    ["gateway:9091", "ftp://me:secret@g", "http://", "http://g:secret", "http://g/?secret=1"],
)
def test_a_wrong_address_of_a_gateway_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(MetricsSettingError, match=f"{PUSH_URL} is not the address") as caught:
        Gateway.parse(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("name", ["mailsluice.prom", "/nowhere/at/all/m.prom", "{}/m.txt", "{}"])
def test_a_file_that_node_exporter_would_not_read_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(MetricsSettingError, match=r"ends in \.prom"):
        text_file(name.format(tmp_path))


def test_a_wrong_setting_is_logged_and_stops_nothing(
    caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    outlets = Outlets.from_environment({PUSH_URL: "gateway", TEXT_FILE: "m.prom"})
    outlets.offer(Numbers, is_last=True)
    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING"]


def test_a_file_for_node_exporter_is_readable_for_all_and_failures_are_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    place = tmp_path / "textfile"
    place.mkdir()
    outlets = Outlets.from_environment({TEXT_FILE: str(place / "m.prom")})
    outlets.offer(lambda: sent(3))
    assert (place / "m.prom").stat().st_mode & 0o777 == 0o644
    assert 'status="sent"} 3.0' in (place / "m.prom").read_text()
    assert [*place.iterdir()] == [place / "m.prom"]
    (place / "m.prom").unlink()
    place.rmdir()
    for _ in range(3):
        outlets.offer(lambda: sent(3))
    assert len(caplog.records) == 1


def test_a_folder_that_cannot_be_written_concerns_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "metrics").write_text("a file")
    monkeypatch.setenv("MAILSLUICE_HOME", str(tmp_path))
    keeper = Keeper(Outlets())
    for _ in range(3):
        keeper.write(sent(3))
    keeper.end(sent(3))
    assert len(caplog.records) == 1


def test_a_state_database_that_is_away_is_asked_again_only_later(
    caplog: pytest.LogCaptureFixture,
) -> None:
    asked: list[float] = []
    clock = [0.0]

    def opened() -> object:
        asked.append(clock[0])
        clock[0] += 1.0  # the answer took a second
        raise OutboxError("away")

    state = StateMetrics(opened, lambda: clock[0])  # type: ignore[arg-type]
    for moment in (0.0, 5.0, 100.0, 102.0):
        clock[0] = max(clock[0], moment)
        assert value(state.read(), names.DATABASE_UP) == 0
    assert asked == [0.0, 102.0]
    assert len(caplog.records) == 1
