"""Measure the receiver of events, in a process that is killed in the middle; check every delivery.

    python -m benchmarks.events --events 100000 --kills 2 --repeat 3

A web server of its own takes signed requests of 1,000 events. All events are sent `--repeat` times,
each time in another order; the server is killed by SIGKILL and started again. What is stored at the
end has to equal what the rules make of the events.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import hashlib
import hmac
import os
import random
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import reduce
from itertools import islice
from typing import Any

import httpx
import orjson
import psutil
import sqlalchemy as sa

from benchmarks.databases import KINDS, database
from deployments.server import free_port
from mailsluice.campaign.identity import Provider
from mailsluice.events.event import ProviderEvent
from mailsluice.events.merging import Delivery, delivery_of, merged
from mailsluice.events.providers import generic
from mailsluice.message.identity import digests, new_key
from mailsluice.store import Campaigns, Database
from mailsluice.store.schema import campaigns, deliveries, events, recipients

SECRET = "a secret of the benchmark alone"
_STATES = ("delivered", "delivered", "delivered", "deferred", "bounced", "complained")
_REPLIES = ("250 2.0.0 OK", "550 5.1.1 no such user", "452 4.2.2 mailbox full", "554 5.7.1 blocked")


def make_events(opened: Database, number: int, chosen: random.Random) -> list[dict[str, Any]]:
    """Store a campaign of as many recipients as half the events, and make events about it."""
    key = new_key()
    campaign_id = Campaigns(opened).register("events", {}).id
    rows = [
        {
            "campaign_id": campaign_id,
            "email": f"r{position}@example.com",
            "connection": "relay",
            "status": "sent",
            "variables": "{}",
            "settled_at": 1_785_000_000.0,
        }
        for position in range(number // 2)
    ]
    with opened.write() as transaction:
        transaction.execute(sa.update(campaigns).values(return_key=key, sender_domain="x.example"))
        transaction.execute(sa.insert(recipients), rows)
        found = transaction.execute(sa.select(recipients.c.id, recipients.c.email)).all()
    digest = digests("events", key)
    tokens = [f"{row.id}-{digest(row.email)}" for row in found]
    return [
        {
            "key": f"event-{position}",
            "state": chosen.choice(_STATES),
            "at": 1_785_000_000 + chosen.randrange(1_000),
            "token": chosen.choice(tokens),
            "reply": chosen.choice(_REPLIES),
        }
        for position in range(number)
    ]


def batches(
    made: Sequence[dict[str, Any]], repeat: int, chosen: random.Random, together: int = 1_000
) -> Iterator[bytes]:
    """Yield the bodies of requests: all events, again and again, in other orders."""
    for _ in range(repeat):
        order = iter(chosen.sample(made, len(made)))
        while batch := list(islice(order, together)):
            yield orjson.dumps({"events": batch})


class Receiver:
    """The web server, in a process of its own."""

    def __init__(self, url: str) -> None:
        self._database_url = url
        self._port = free_port()
        self.kills = 0
        self.seconds = 0.0
        """Processor time of all its processes."""
        self._start()

    def _start(self) -> None:
        command = [sys.executable, "-m", "benchmarks.events", "--serve", str(self._port)]
        environment = os.environ | {"MAILSLUICE_DATABASE_URL": self._database_url}
        self._process = subprocess.Popen(command, env=environment)
        while True:
            try:
                httpx.get(f"http://127.0.0.1:{self._port}/health")
                break
            except httpx.TransportError:
                if self._process.poll() is not None:
                    raise RuntimeError("the receiver does not start") from None
                time.sleep(0.05)
        self._begun = self._used()

    def _used(self) -> float:
        times = psutil.Process(self._process.pid).cpu_times()
        return times.user + times.system

    def stop(self, how: int = signal.SIGTERM) -> None:
        """End the process."""
        self.seconds += self._used() - self._begun
        self._process.send_signal(how)
        self._process.wait()

    def kill(self) -> None:
        """Kill the process, and start another one."""
        self.stop(signal.SIGKILL)
        self.kills += 1
        self._start()

    def push(self, body: bytes) -> None:
        """Send a request until it is accepted, as providers do."""
        stamp = str(int(time.time()))
        mac = hmac.new(SECRET.encode(), f"1.{stamp}.".encode() + body, hashlib.sha256).digest()
        headers = {
            "webhook-id": "1",
            "webhook-timestamp": stamp,
            "webhook-signature": f"v1,{base64.b64encode(mac).decode()}",
        }
        url = f"http://127.0.0.1:{self._port}/events/relay"
        while True:
            try:
                if httpx.post(url, content=body, headers=headers, timeout=60).status_code == 200:
                    return
            except httpx.TransportError:
                time.sleep(0.05)


def push_all(url: str, bodies: Sequence[bytes], kills: int) -> Receiver:
    """Send all requests to a receiver that is killed in between; returns the receiver, stopped."""
    receiver = Receiver(url)
    try:
        with ThreadPoolExecutor(4) as pool:
            answers = [pool.submit(receiver.push, body) for body in bodies]
            for nth in range(kills):
                answers[(nth + 1) * len(bodies) // (kills + 1)].result()
                receiver.kill()
            for answer in answers:
                answer.result()
    finally:
        receiver.stop()
    return receiver


def measure(kind: str, number: int, repeat: int, kills: int, seed: int) -> dict[str, Any]:
    """Send the events, and check what is stored."""
    chosen = random.Random(seed)
    with database(kind) as url, Database(url) as opened:
        made = make_events(opened, number, chosen)
        bodies = list(batches(made, repeat, chosen))
        begun = time.monotonic()
        receiver = push_all(url, bodies, kills)
        seconds = time.monotonic() - begun
        difference = differences(opened, read_all(made))
    sent = number * repeat
    return {
        "database": kind,
        "events": sent,
        "kills": receiver.kills,
        "per_second": round(sent / seconds),
        "processor_microseconds": round(receiver.seconds / sent * 1e6, 1),
        "differences": difference,
    }


def read_all(made: Sequence[dict[str, Any]]) -> list[ProviderEvent]:
    """Read the events of all requests together."""
    starts = range(0, len(made), 10_000)
    bodies = (orjson.dumps({"events": made[start : start + 10_000]}) for start in starts)
    return [event for body in bodies for event in generic.read(body).events]


def differences(opened: Database, read: Sequence[ProviderEvent]) -> int:
    """Count the stored deliveries and events that are not as the rules say."""
    by_recipient: dict[int, list[Delivery]] = defaultdict(list)
    for event in read:
        by_recipient[int(event.token.partition("-")[0])].append(delivery_of(event))
    with opened.read() as connection:
        stored = {
            row.recipient_id: (row.state, row.at, row.failure, row.reply, row.status)
            for row in connection.execute(sa.select(deliveries))
        }
        known = connection.execute(sa.select(sa.func.count()).select_from(events)).scalar_one()
    expected = {}
    for recipient_id, single in by_recipient.items():
        whole = reduce(merged, single)
        values = (whole.state, whole.at, whole.failure or "", whole.reply, whole.status)
        expected[recipient_id] = values
    wrong = {id_ for id_ in expected.keys() | stored.keys() if expected.get(id_) != stored.get(id_)}
    return len(wrong) + abs(known - len(read))


def serve(port: int) -> None:
    """Run the web server."""
    import uvicorn

    from mailsluice.operations.events.app import EventsApp
    from mailsluice.operations.events.sources import EventSource

    known = {"relay": EventSource("relay", Provider.NONE, SECRET)}

    async def sources() -> Mapping[str, EventSource]:
        return known

    with Database() as opened:
        app = EventsApp(opened, sources).asgi()
        config = uvicorn.Config(app, host="127.0.0.1", port=port, log_level="error")
        asyncio.run(uvicorn.Server(config).serve())


def main() -> None:
    """Measure, or serve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--kills", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--databases", nargs="+", choices=KINDS, default=KINDS)
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        serve(given.serve)
        return
    for kind in given.databases:
        print(measure(kind, given.events, given.repeat, given.kills, given.seed), flush=True)


if __name__ == "__main__":
    main()
