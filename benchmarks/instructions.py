"""Count the instructions that a message costs, which hold on any machine, however busy.

Each program runs twice under valgrind's callgrind, with few and with more messages: the difference
is without its start. Only instructions in user space count, not those of the kernel. A program is
fifty times slower under callgrind, and may then find less work waiting for it at a time. So the
engine and the store are replayed alone, with their usual amounts of work, instead of a campaign.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks import replayed, results
from benchmarks.peers.install import PeerMissingError, nodemailer, postfix
from benchmarks.processes import BenchmarkError, module
from benchmarks.senders import AIOSMTPLIB_RAW, NODEMAILER_RAW, SMTP_SOURCE, Task
from benchmarks.sinks import default_kind, sinks

_SESSIONS = 20
_BYTES = 2_000
_FEW = 400
_COLLECTED = re.compile(r"Collected : (\d+)")
_TIMEOUT_SECONDS = 1_800
ENGINE = "Mailsluice, engine"
FIELDS = "Mailsluice, engine, with SendGrid's header fields"
LIMITS = "Mailsluice, engine, with limits of three mailbox providers"
STORE = "Mailsluice, store (SQLite)"


@dataclass(frozen=True, slots=True)
class Program:
    """A program that sends or stores messages."""

    name: str
    command: Callable[[Task], Sequence[object]]
    environment: Callable[[], Mapping[str, str]] = field(default=dict)


def _replayed(part: str) -> Callable[[Task], Sequence[object]]:
    return lambda task: module("benchmarks.replayed", part, task.messages, *task.ports)


def _smtp_source(task: Task) -> Sequence[object]:
    numbers = ["-s", task.sessions, "-m", task.messages]
    addresses = ["-f", "news@example.com", "-t", "user@example.com"]
    server = f"127.0.0.1:{task.ports[0]}"
    return [postfix().source, *numbers, "-d", "-F", task.file(), *addresses, server]


PROGRAMS = (
    Program(ENGINE, _replayed(replayed.ENGINE)),
    Program(FIELDS, _replayed(replayed.WITH_FIELDS)),
    Program(LIMITS, _replayed(replayed.WITH_LIMITS)),
    Program(STORE, _replayed(replayed.STORE)),
    Program(
        AIOSMTPLIB_RAW,
        lambda task: module("benchmarks.peers.aiosmtplib_loop", task.as_json(with_parts=False)),
    ),
    Program(SMTP_SOURCE, _smtp_source, lambda: postfix().environment),
    Program(NODEMAILER_RAW, lambda task: ["node", nodemailer(), task.as_json(with_parts=False)]),
)


def counted(program: Program, messages: int) -> int:
    """The instructions of a whole run. Raises BenchmarkError or PeerMissingError."""
    with sinks(2, default_kind()) as there:
        task = Task([sink.port for sink in there], _SESSIONS, messages, _BYTES)
        command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"]
        environment = {**os.environ, "PYTHONHASHSEED": "0", **program.environment()}
        try:
            done = subprocess.run(
                [*command, *map(str, program.command(task))],
                cwd=results.ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=_TIMEOUT_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise BenchmarkError(f"{program.name}: {error}") from error
    found = _COLLECTED.search(done.stderr)
    if done.returncode or found is None:
        said = done.stderr.strip().splitlines() or ["nothing was said"]
        raise BenchmarkError(f"{program.name}: exit code {done.returncode}: {said[-1][:300]}")
    return int(found[1])


def tables(section: dict[str, Any]) -> str:
    """Format a markdown table, and what could not be counted."""
    each = section["per_message"]
    rows = [[name, f"{count:,.0f}"] for name, count in each.items()]
    table = results.table(["program", "instructions a message"], rows)
    notes = [f"- {name}: not counted. {reason}" for name, reason in section["missing"].items()]
    return "\n\n".join(part for part in (table, "\n".join(notes)) if part)


def run(*, messages: int = 2_000, programs: Sequence[str] | None = None) -> None:
    """Count, print and save."""
    if shutil.which("valgrind") is None:
        raise SystemExit("valgrind is not installed: apt-get install valgrind")
    before = results.machine()
    per_message: dict[str, float] = {}
    missing: dict[str, str] = {}
    for program in PROGRAMS:
        if programs is not None and program.name not in programs:
            continue
        try:
            few, many = counted(program, _FEW), counted(program, _FEW + messages)
        except (BenchmarkError, PeerMissingError, OSError) as error:
            missing[program.name] = str(error)
            continue
        per_message[program.name] = (many - few) / messages
        print(f"  {program.name}: {per_message[program.name]:,.0f}", flush=True)
    section = {"per_message": per_message, "missing": missing, "messages": messages}
    print(f"\n{tables(section)}\n", flush=True)
    results.save("instructions", before, **section)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.instructions", description=__doc__)
    parser.add_argument("--messages", type=int, default=2_000)
    parser.add_argument(
        "--program", action="append", dest="programs", help="only these, by their full names"
    )
    run(**vars(parser.parse_args()))
