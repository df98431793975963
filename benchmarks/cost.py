"""Measure the processor time of each step of a message alone, and of the threads in a campaign.

The steps run in this process, one after the other, then the engine's whole send loop without any
other thread (`engine_alone.py`). The threads are those of a real campaign. What the steps do not
explain joins them: sessions, queue and claims. What the engine alone does not explain is due to the
other threads, which wait for the same interpreter, and to the caches.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import orjson
import uvloop

from benchmarks import document, engine_alone, results
from benchmarks.databases import KINDS, NO_QUERIES, database
from benchmarks.send import LOOPBACK, a_prefect_server, measure
from benchmarks.senders import MAILSLUICE, SENDERS
from benchmarks.sinks import default_kind, sinks
from mailsluice.campaign import Campaign, Retry, UncertainPolicy
from mailsluice.core.envelope import Envelope
from mailsluice.core.outcome import Attempt, Phase, classify
from mailsluice.core.status import RecipientStatus
from mailsluice.delivery.decision import settle
from mailsluice.delivery.journal import Journal
from mailsluice.message import CompiledMessage
from mailsluice.operations import launch
from mailsluice.smtp.commands import DATA, DOT, Offer, mail, rcpt, stuffed
from mailsluice.smtp.connection import Connection, Security
from mailsluice.smtp.login import open_session
from mailsluice.smtp.replies import ReplyParser
from mailsluice.store import Campaigns, Claimed, Database, Outbox, Settled

_REPLIES = (
    b"250 2.0.0 Ok\r\n250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n354 End data with <CR><LF>.<CR><LF>\r\n"
)
_CLAIM_ROWS = 1_200
_SESSIONS = 20
_OWN_THREADS = "mailsluice-"
_ENGINE = "mailsluice-engine"
_WANTED_RATIO = 1.3

Steps = dict[str, float]
"""Microseconds of processor time a message, by step."""


def engine_steps(messages: int) -> Steps:
    """Measure the engine's thread for each message, without the socket."""
    campaign = Campaign(**document.campaign("cost", 40, 2_000, ["smtp-a"]))
    compiled = launch.compiled(campaign, document.COLUMNS)
    envelope = _render(compiled, 1)
    offer, parser = Offer(pipelining=True), ReplyParser()
    row, attempt = (
        Claimed(1, "user@example.com", engine_alone.VARIABLES, 0, 0.0),
        Attempt(Phase.BODY, 250, "Ok"),
    )
    with tempfile.TemporaryDirectory() as folder:
        journal = Journal(Path(folder) / "cost.journal")
        journal.start()
        try:
            return {
                "message filled in": _each(messages, lambda i: _render(compiled, i)),
                "bytes for the wire": _each(messages, lambda _: _wire(envelope, offer)),
                "replies parsed": _each(messages, lambda _: parser.feed(_REPLIES)),
                "outcome decided": _each(messages, lambda _: _settled(row, attempt)),
                "journal": _each(messages, lambda i: _journal(journal, i)),
            }
        finally:
            journal.close()


def _each(messages: int, step: Callable[[int], object]) -> float:
    started = time.thread_time()
    for number in range(messages):
        step(number)
    return (time.thread_time() - started) * 1e6 / messages


def _render(compiled: CompiledMessage, number: int) -> Envelope:
    return compiled.render(number, "user@example.com", orjson.loads(engine_alone.VARIABLES))


def _wire(envelope: Envelope, offer: Offer) -> bytes:
    opening = mail(envelope, offer) + rcpt(envelope) + DATA
    return stuffed(envelope.content) + DOT + opening


def _settled(row: Claimed, attempt: Attempt) -> Settled:
    return settle(
        row,
        attempt,
        classify(attempt).verdict,
        connection="smtp-a",
        retries=Retry(),
        policy=UncertainPolicy.HOLD,
        chance=lambda: 0.5,
    )


def _journal(journal: Journal, number: int) -> None:
    journal.dot(number)
    journal.reply(number, 250)
    journal.forget((number,))


class Repeated:
    """A feed that repeats one ready envelope."""

    def __init__(self, envelope: Envelope, times: int) -> None:
        self._envelopes: Iterator[Envelope] = iter([envelope] * times)

    async def next(self) -> Envelope | None:
        return self.next_nowait()

    def next_nowait(self) -> Envelope | None:
        return next(self._envelopes, None)

    def dot(self, envelope: Envelope) -> None:
        """Do nothing."""

    def settled(self, envelope: Envelope, attempt: Attempt) -> None:
        """Do nothing."""


async def wire(messages: int, port: int) -> tuple[float, float]:
    """Measure the wire alone, in microseconds of this thread and in messages a second."""
    envelope = Envelope(
        1, "news@example.com", "user@example.com", document.sample(document.message(2_000))
    )
    connection = Connection("smtp-a", "127.0.0.1", port, Security.NONE)
    sessions = [await open_session(connection) for _ in range(_SESSIONS)]
    feed = Repeated(envelope, messages)
    cpu, began = time.thread_time(), time.monotonic()
    await asyncio.gather(*(session.send(feed) for session in sessions))
    seconds = time.monotonic() - began
    return (time.thread_time() - cpu) * 1e6 / messages, messages / seconds


def store_steps(messages: int, kind: str) -> Steps:
    """Measure what the store's thread does for each message, in transactions of a usual size."""
    campaign = Campaign(**document.campaign("cost", messages, 2_000, ["smtp-a"]))
    with database(kind) as url, Database(url) as opened:
        record = Campaigns(opened).register(campaign.name, launch.content(campaign))
        with launch.resolve_audience(campaign, opened, NO_QUERIES) as audience:
            occasion = launch.Occasion(document.DAY, opened.moment())
            launch.store_audience(opened, record.id, campaign, audience, occasion)
        outbox = Outbox(opened, record.id)
        claiming = settling = 0.0
        after = 0
        while True:
            started = time.thread_time()
            with opened.write() as transaction:
                rows = outbox.claim(transaction, "smtp-a", _CLAIM_ROWS, after)
            claimed = time.thread_time()
            if not rows:
                break
            after = rows[-1].id
            sent = [Settled(row.id, RecipientStatus.SENT, 1, 250, "2.0.0 Ok") for row in rows]
            with opened.write() as transaction:
                outbox.settle(transaction, sent)
            claiming += claimed - started
            settling += time.thread_time() - claimed
    return {
        f"claimed ({kind})": claiming * 1e6 / messages,
        f"outcome stored ({kind})": settling * 1e6 / messages,
    }


def run(*, repeat: int = 3, messages: int = 20_000) -> None:
    """Measure, print and save."""
    before, kind = results.machine(), default_kind()
    steps: list[tuple[str, Steps]] = []
    threads: list[Steps] = []
    alone: list[float] = []
    speeds: list[float] = []
    (sender,) = (one for one in SENDERS if one.name == MAILSLUICE)
    with a_prefect_server():
        for _ in range(repeat):
            engine = engine_steps(messages)
            with sinks(1, kind) as (sink,):
                whole, speed = uvloop.run(wire(messages, sink.port))
            known = engine["bytes for the wire"] + engine["replies parsed"]
            engine["socket and event loop"] = whole - known
            speeds.append(speed)
            steps.append(("engine", engine))
            steps += [("store", store_steps(messages, one)) for one in KINDS]
            with sinks(2, kind) as two, tempfile.TemporaryDirectory() as folder:
                ports = [sink.port for sink in two]
                alone.append(
                    uvloop.run(engine_alone.send(messages, ports, _SESSIONS, Path(folder)))
                )
            done = measure(replace(LOOPBACK, sink=kind), sender, messages)
            threads.append(dict(done.told["cpu_us_per_message"]))
    section = {
        "steps": _medians(
            [(f"{thread}: {name}", us) for thread, part in steps for name, us in part.items()]
        ),
        "threads": _medians([(name, us) for part in threads for name, us in part.items()]),
        "engine_alone": median(alone),
        "wire_alone_per_second": median(speeds),
        "messages": messages,
    }
    print(f"{tables(section)}\n", flush=True)
    results.save("cost", before, **section)


def _medians(values: list[tuple[str, float]]) -> dict[str, float]:
    names = dict.fromkeys(name for name, _ in values)
    return {one: median(us for name, us in values if name == one) for one in names}


def tables(section: dict[str, Any]) -> str:
    """Format two markdown tables."""
    steps = results.table(
        ["step", "us a message"], [[name, f"{us:.1f}"] for name, us in section["steps"].items()]
    )
    own = {name: us for name, us in section["threads"].items() if name.startswith(_OWN_THREADS)}
    others = sum(section["threads"].values()) - sum(own.values())
    shown = {**own, f"the flow's others, once a campaign (of {section['messages']:,})": others}
    threads = results.table(
        ["thread of a real campaign (SQLite)", "us a message"],
        [[name, f"{us:.1f}"] for name, us in shown.items()],
    )
    engine, alone = section["threads"][_ENGINE], section["engine_alone"]
    said = (
        f"The engine alone, without other threads: {alone:.1f} us a message; in the campaign"
        f" {_ratio(section):.2f} times as much ({engine:.1f} us).\n"
        f"The wire alone, ready envelopes: {section['wire_alone_per_second']:,.0f} messages/s."
    )
    return f"{steps}\n\n{threads}\n\n{said}"


def _ratio(section: dict[str, Any]) -> float:
    return float(section["threads"][_ENGINE] / section["engine_alone"])


def aims(section: dict[str, Any]) -> list[list[str]]:
    """The row of the table of targets."""
    if "engine_alone" not in section:  # an earlier version saved it
        return []
    ratio = _ratio(section)
    what = "engine's processor time in a campaign, against the engine alone"
    wanted = f"<= {_WANTED_RATIO:g} x"
    return [[what, wanted, f"{ratio:.2f} x", results.met(ratio <= _WANTED_RATIO)]]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cost", description=__doc__)
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--repeat", type=int, default=3)
    arguments = parser.parse_args()
    run(repeat=arguments.repeat, messages=arguments.messages)
