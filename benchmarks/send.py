"""Measure messages a second of a campaign through the real flow, and of comparable senders.

Everybody sends to the same kind of servers, which count: from the first message accepted to the
last. One after the other, and all again as often as told (A B C A B C ...); the median counts.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from statistics import median
from typing import Any

from benchmarks import results
from benchmarks.delay_proxy import delayed, round_trip
from benchmarks.document import recipients_file
from benchmarks.peers.install import PeerMissingError
from benchmarks.processes import BenchmarkError
from benchmarks.senders import (
    AIOSMTPLIB_RAW,
    MAILSLUICE,
    NODEMAILER,
    NODEMAILER_RAW,
    SENDERS,
    SMTP_SOURCE,
    Sender,
    Task,
)
from benchmarks.sinks import certificates, default_kind, rate, rate_of_first, sinks, wait_for
from deployments.server import free_port, prefect_server

_MOST_MESSAGES = 500_000
_COUNTED_SHARE = 0.9
"""Of the recipients of a mixed server: the last ones wait for their next attempt."""


@dataclass(frozen=True, slots=True)
class Point:
    """One set of conditions, and the senders that are measured in it."""

    title: str
    senders: tuple[str, ...]
    sessions: int = 20
    size: int = 2_000
    round_trip: float = 0.0
    """The round trip, in seconds."""
    tls: bool = False
    in_flight: int = 1
    """Messages in flight in each session, for senders that use CHUNKING."""
    is_newsletter: bool = False
    sink: str = "smtp-sink"
    slower: float = 1.0
    """About how much slower than with 20 sessions and 2 kB, so that fewer messages are measured."""
    longer: float = 1.0
    """How many times longer a measurement takes, since distant connections start slowly."""

    def messages(self, sender: Sender, seconds: float) -> int:
        """How many messages make a measurement of about so many seconds."""
        per_second = sender.per_second / self.slower
        if self.round_trip:
            ahead = self.in_flight if sender.name == MAILSLUICE else 1
            seconds_each = self.round_trip * sender.round_trips / ahead + 0.002
            per_second = min(per_second, self.sessions / seconds_each)
        most = min(_MOST_MESSAGES, int(per_second * seconds * self.longer))
        return max(2 * self.sessions, most - most % (2 * self.sessions))


MIXED = "mixed"
"""The kind of server that does not accept everything."""
_EVERYBODY = tuple(sender.name for sender in SENDERS)
_FAST = (MAILSLUICE, NODEMAILER_RAW, AIOSMTPLIB_RAW, SMTP_SOURCE)
_PYTHON_SINK = (MAILSLUICE, NODEMAILER_RAW, AIOSMTPLIB_RAW)

LOOPBACK = Point("loopback", _EVERYBODY)
FAR = Point(
    "50 ms", (MAILSLUICE, NODEMAILER, AIOSMTPLIB_RAW, SMTP_SOURCE), round_trip=0.05, longer=3.0
)
POINTS = (
    LOOPBACK,
    replace(LOOPBACK, title="loopback, 1 session", senders=_FAST, sessions=1, slower=4.0),
    replace(LOOPBACK, title="loopback, 100 sessions", senders=_FAST, sessions=100),
    replace(LOOPBACK, title="loopback, 50 kB", senders=_FAST, size=50_000, slower=5.0),
    replace(
        LOOPBACK,
        title="loopback, newsletter of 50 kB",
        senders=_FAST,
        size=50_000,
        is_newsletter=True,
        slower=5.0,
    ),
    replace(
        LOOPBACK,
        title="loopback, server in Python",
        senders=_PYTHON_SINK,
        sink="python",
        slower=2.0,
    ),
    replace(
        LOOPBACK,
        title="loopback, server in Python, TLS",
        senders=_PYTHON_SINK,
        sink="python",
        tls=True,
        slower=3.0,
    ),
    replace(
        LOOPBACK,
        title="loopback, server that refuses, defers and throttles",
        senders=(MAILSLUICE, NODEMAILER_RAW, AIOSMTPLIB_RAW),
        sink=MIXED,
        slower=2.0,
        longer=2.0,
    ),
    FAR,
    replace(
        FAR,
        title="50 ms, CHUNKING",
        senders=(MAILSLUICE, NODEMAILER, NODEMAILER_RAW),
        in_flight=20,
        sink="python",
    ),
)
HEADLINE = tuple(
    one
    for one in POINTS
    if one in (LOOPBACK, FAR) or one.is_newsletter or one.sink == MIXED or one.in_flight > 1
)
"""The points of the targets and of the plot."""
_HEADLINE_TITLES = {one.title for one in HEADLINE}
MORE_POINTS = (
    replace(FAR, title="50 ms, 1 session", sessions=1),
    replace(FAR, title="50 ms, 100 sessions", sessions=100),
    replace(FAR, title="50 ms, 50 kB", size=50_000),
)


@dataclass(frozen=True, slots=True)
class Measurement:
    """One run of one sender."""

    messages: int
    per_second: float
    """The rate at all servers together, from the first message to the last."""
    round_trips: float | None
    """Round trips for a message in a session, from each server's first message to its last."""
    cpu_us: float | None
    """Microseconds of the sender's processor time for each message, without its start."""
    states: dict[str, int] | None
    """The outcomes of the recipients, at a server that does not accept everything."""
    told: dict[str, Any]
    """The sender's own figures."""


def measure(
    point: Point, sender: Sender, messages: int, per_second: int | None = None
) -> Measurement:
    """Run one sender once; only a campaign may have a throttle."""
    servers = min(sender.servers, point.sessions)
    ca_file, certificate = certificates() if point.tls else (None, None)
    if sender.name == MAILSLUICE:
        recipients_file(messages)
    with (
        sinks(servers, point.sink, certificate) as there,
        delayed([sink.port for sink in there], point.round_trip) as ports,
    ):
        task = Task(
            ports,
            point.sessions,
            messages,
            point.size,
            ca_file,
            point.in_flight,
            per_second,
            point.is_newsletter,
            point.sink == MIXED,
        )
        told = dict(sender.send(task))
        cpu_us = told["cpu_seconds"] * 1e6 / messages if "cpu_seconds" in told else None
        if point.sink == MIXED:
            counted = rate_of_first(there, int(_COUNTED_SHARE * messages))
            states = dict(sum((Counter(sink.state()) for sink in there), Counter()))
            states["left"] = messages - states.get("accepted", 0) - states.get("refused", 0)
            return Measurement(messages, counted, None, cpu_us, states, told)
        wait_for(there, messages)
        each = sum(sink.per_second for sink in there)
        trips = point.sessions / (each * point.round_trip) if point.round_trip else None
        return Measurement(messages, rate(there), trips, cpu_us, None, told)


@contextmanager
def a_prefect_server() -> Iterator[None]:
    """Run an empty Prefect server on a free port, which child processes find."""
    api_url = f"http://127.0.0.1:{free_port()}/api"
    with tempfile.TemporaryDirectory(prefix="mailsluice-bench-") as home:
        os.environ |= {"PREFECT_API_URL": api_url, "PREFECT_HOME": home}
        with prefect_server(api_url):
            yield


def run_point(
    point: Point, repeat: int, seconds: float, messages: int | None, names: Sequence[str] | None
) -> dict[str, Any]:
    """Measure a point's senders in turn, `repeat` times; failures are listed with the reason."""
    measured: dict[str, list[Measurement]] = {}
    missing: dict[str, str] = {}
    senders = [
        one for one in SENDERS if one.name in point.senders and one.name in (names or _EVERYBODY)
    ]
    far = _measured_round_trip(point)
    for turn in range(repeat):
        for sender in senders:
            if sender.name in missing:
                continue
            number = messages or _number(point, sender, seconds, measured.get(sender.name))
            try:
                done = measure(point, sender, number)
            except (PeerMissingError, BenchmarkError) as error:
                missing[sender.name] = str(error)
                print(f"  {turn + 1}/{repeat} {sender.name}: {error}", flush=True)
            else:
                measured.setdefault(sender.name, []).append(done)
                print(f"  {turn + 1}/{repeat} {sender.name}: {done.per_second:,.0f}/s", flush=True)
    return {
        **{
            name: value
            for name, value in asdict(point).items()
            if name not in ("senders", "slower", "longer")
        },
        "measured_round_trip": far,
        "measured": {name: [asdict(one) for one in runs] for name, runs in measured.items()},
        "missing": missing,
    }


def _number(
    point: Point, sender: Sender, seconds: float, before: Sequence[Measurement] | None
) -> int:
    """How many messages to send: fewer where the first measurement was slower than expected."""
    number = point.messages(sender, seconds)
    if before:
        number = min(number, int(before[0].per_second * seconds * point.longer))
    return max(2 * point.sessions, number - number % (2 * point.sessions))


def _measured_round_trip(point: Point) -> float | None:
    if not point.round_trip:
        return None
    with sinks(1, point.sink) as (sink,), delayed([sink.port], point.round_trip) as (port,):
        return round_trip(port)


def summary(point: dict[str, Any]) -> dict[str, dict[str, float]]:
    """The saved medians of a point, by sender."""
    return {
        name: {
            "per_second": median(one["per_second"] for one in runs),
            "least": min(one["per_second"] for one in runs),
            "most": max(one["per_second"] for one in runs),
            "messages": runs[0]["messages"],
            "round_trips": median(one["round_trips"] or 0 for one in runs),
            "cpu_us": median(one.get("cpu_us") or 0 for one in runs),
            "told": median(one["told"].get("engine_per_second", 0) for one in runs),
        }
        for name, runs in point["measured"].items()
    }


def tables(section: dict[str, Any]) -> str:
    """Format all points as markdown tables."""
    return "\n\n".join(_table(point) for point in section["points"])


_STATES = ["accepted", "twice", "refused", "left"]


def _table(point: dict[str, Any]) -> str:
    medians = summary(point)
    ours = medians.get(MAILSLUICE, {}).get("per_second")
    far = bool(point["round_trip"])
    head = [
        point["title"],
        "messages",
        "messages/s",
        "lowest",
        "highest",
        "us each",
        "Mailsluice is",
    ]
    head += ["round trips"] if far else []
    is_mixed = point["sink"] == MIXED
    head += _STATES if is_mixed else []
    rows = []
    for name, one in medians.items():
        ratio = f"{ours / one['per_second']:.2f} x" if ours and name != MAILSLUICE else ""
        counts = [f"{one[key]:,.0f}" for key in ("messages", "per_second", "least", "most")]
        row = [name, *counts, f"{one['cpu_us']:,.0f}" if one["cpu_us"] else "", ratio]
        row += [f"{one['round_trips']:.2f}"] if far else []
        if is_mixed:
            states = point["measured"][name][0]["states"]
            row += [f"{states.get(state, 0):,}" for state in _STATES]
        rows.append(row)
    text = results.table(head, rows)
    notes = [f"- {name}: not measured. {reason}" for name, reason in point["missing"].items()]
    if MAILSLUICE in medians:
        notes.append(f"- By its own report Mailsluice sent {medians[MAILSLUICE]['told']:,.0f}/s.")
    if far:
        notes.append(
            f"- A NOOP through the proxy took {point['measured_round_trip'] * 1e3:.1f} ms."
        )
    if is_mixed:
        notes.append("- The rate counts until nine tenths of the recipients are accepted.")
    ahead = f", {point['in_flight']} messages in flight" if point.get("in_flight", 1) > 1 else ""
    circumstances = (
        f"{point['size'] / 1000:g} kB, {point['sessions']} sessions{ahead}, sink {point['sink']}:"
    )
    return "\n\n".join(part for part in (circumstances, text, "\n".join(notes)) if part)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.send", description=__doc__)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.5, help="a measurement's, about")
    parser.add_argument("--messages", type=int, help="a measurement's, instead of --seconds")
    parser.add_argument("--sessions", type=int, help="instead of each point's own")
    parser.add_argument("--point", action="append", help="only these, by their titles")
    parser.add_argument("--sender", action="append", help="only these, by their full names")
    parser.add_argument("--large", action="store_true", help="more points at 50 ms")
    arguments = parser.parse_args()
    run(**vars(arguments))


def run(
    *,
    repeat: int = 3,
    seconds: float = 2.5,
    messages: int | None = None,
    sessions: int | None = None,
    point: Sequence[str] | None = None,
    sender: Sequence[str] | None = None,
    large: bool = False,
    quick: bool = False,
) -> None:
    """Measure, print and save.

    Without `point`, only the points of the headline are repeated; `quick` leaves the others out.
    """
    before = results.machine()
    chosen = [
        replace(one, sessions=sessions or one.sessions, sink=_there(one.sink))
        for one in (*POINTS, *(MORE_POINTS if large else ()))
        if (point is None or one.title in point) and (one in HEADLINE or not quick)
    ]
    measured = []
    with a_prefect_server():
        for one in chosen:
            print(f"{one.title}:", flush=True)
            turns = repeat if point or one.title in _HEADLINE_TITLES else 1
            measured.append(run_point(one, turns, seconds, messages, sender))
            print(f"\n{_table(measured[-1])}\n", flush=True)
    results.save("send", before, points=measured)


def _there(kind: str) -> str:
    return default_kind() if kind == "smtp-sink" else kind


if __name__ == "__main__":
    main()
