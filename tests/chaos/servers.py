"""The SMTP servers of a chaos run, each in a process of its own that outlives all kills."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

from tests.chaos.plan import Plan
from tests.chaos.variants import CONNECTIONS
from tests.smtpd.settings import ALL_KEYWORDS


class Accepted(NamedTuple):
    """An accepted message, as noted by its server."""

    recipient: str
    time: float
    session: int


@contextmanager
def servers(plan: Plan) -> Iterator[dict[str, int]]:
    """Start the servers, and give the port of each connection's."""
    with ExitStack() as stack:
        yield {name: stack.enter_context(_server(plan, name)) for name in CONNECTIONS}


@contextmanager
def _server(plan: Plan, name: str) -> Iterator[int]:
    command = [sys.executable, "-m", "tests.smtpd", "--out", str(plan.out(name))]
    command += ["--keywords", *ALL_KEYWORDS, "CHUNKING"]
    if plan.messages_per_session:
        command += ["--messages-per-session", str(plan.messages_per_session)]
    if fault := plan.variant.everybody.get(name):
        command += ["--everybody", *fault.split()]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield int(process.stdout.readline())
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def received(plan: Plan) -> dict[str, list[Accepted]]:
    """Return the messages that each connection's server has accepted."""
    return {name: [*_accepted(plan, name)] for name in CONNECTIONS}


class Progress:
    """A count of the messages accepted so far, cheap to ask for every few milliseconds."""

    def __init__(self, plan: Plan) -> None:
        self._paths = {name: plan.out(name) for name in CONNECTIONS}
        self._read = dict.fromkeys(CONNECTIONS, 0)
        self._lines = 0

    def __call__(self) -> int:
        for name, path in self._paths.items():
            if path.exists():
                with path.open("rb") as file:
                    file.seek(self._read[name])
                    new = file.read()
                self._read[name] += len(new)
                self._lines += new.count(b"\n")
        return self._lines


def _accepted(plan: Plan, name: str) -> Iterator[Accepted]:
    path = plan.out(name)
    for line in path.read_text().splitlines() if path.exists() else []:
        recipient, time, session = line.split("\t")[:3]
        yield Accepted(recipient, float(time), int(session))
