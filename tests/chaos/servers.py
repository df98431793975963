"""The SMTP servers of a chaos run, each in a process of its own, which lives through all kills."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from tests.chaos.plan import CONNECTIONS, Plan
from tests.smtpd.settings import ALL_KEYWORDS


@contextmanager
def servers(plan: Plan) -> Iterator[dict[str, int]]:
    """Starts them; gives the port of each connection."""
    with ExitStack() as stack:
        yield {name: stack.enter_context(_server(plan, name)) for name in CONNECTIONS}


@contextmanager
def _server(plan: Plan, name: str) -> Iterator[int]:
    command = [sys.executable, "-m", "tests.smtpd", "--out", str(plan.out(name))]
    command += ["--keywords", *ALL_KEYWORDS, "CHUNKING"]
    if plan.messages_per_session:
        command += ["--messages-per-session", str(plan.messages_per_session)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield int(process.stdout.readline())
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def received(plan: Plan) -> dict[str, Counter[str]]:
    """How often each recipient's message was accepted, by connection."""
    return {
        name: Counter(line.split("\t", 1)[0] for line in _lines(plan, name)) for name in CONNECTIONS
    }


class Progress:
    """How many messages were accepted so far; cheap to ask a thousand times a second."""

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


def _lines(plan: Plan, name: str) -> list[str]:
    path = plan.out(name)
    return path.read_text().splitlines() if path.exists() else []
