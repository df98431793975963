"""The senders: a campaign by the real flow, and comparable senders, each in a child process."""

from __future__ import annotations

import json
import os
import resource
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import document
from benchmarks.peers.install import nodemailer, postfix, prefect_email
from benchmarks.processes import BenchmarkError, module, run_json


@dataclass(frozen=True, slots=True)
class Task:
    """A measurement's task: the messages, and the servers that get them."""

    ports: Sequence[int]
    sessions: int
    messages: int
    size: int
    ca_file: str | None = None
    """The CA's file, for TLS from the first byte; None: no TLS."""
    in_flight: int = 1
    """Messages in flight in each session, for senders that use CHUNKING."""
    per_second: int | None = None
    """The throttle of the campaign; other senders have none."""
    is_newsletter: bool = False
    """Whether the message is a newsletter (see `document.message`)."""
    is_mixed: bool = False
    """Whether the servers do not accept everything: each message has a recipient of its own."""

    def as_json(self, *, with_parts: bool) -> str:
        """The same for a child; `with_parts` lets it build the MIME message itself, each time."""
        parts = self._parts() if with_parts else None
        return json.dumps(
            {
                "ports": list(self.ports),
                "sessions": self.sessions,
                "messages": self.messages,
                "size": self.size,
                "file": str(self.file()),
                "parts": parts,
                "ca": self.ca_file,
                "in_flight": self.in_flight,
                "per_second": self.per_second,
                "is_newsletter": self.is_newsletter,
                "is_mixed": self.is_mixed,
            }
        )

    def file(self) -> Path:
        """A file with the message of one recipient, ready for the wire."""
        return document.sample_file(self.size, is_newsletter=self.is_newsletter)

    def _parts(self) -> dict[str, str]:
        fields = document.message(self.size, is_newsletter=self.is_newsletter)
        return document.fixed_parts(fields)


@dataclass(frozen=True, slots=True)
class Sender:
    """One way to send."""

    name: str
    send: Callable[[Task], Mapping[str, Any]]
    """Sends and comes back when the last message was accepted; gives what it says about itself.
    Raises PeerMissingError or BenchmarkError."""
    per_second: int
    """About the rate on loopback, from which the number of messages follows."""
    round_trips: float = 4.0
    """About how many round trips a message takes."""
    can_tls: bool = True
    servers: int = 2
    """How many servers it can send to at once."""


def _campaign(task: Task) -> Mapping[str, Any]:
    with tempfile.TemporaryDirectory(prefix="mailsluice-bench-") as home:
        environment = {"MAILSLUICE_HOME": home, "MAILSLUICE_DATABASE_URL": ""}
        command = module("benchmarks.campaign", task.as_json(with_parts=False))
        told = dict(run_json(command, environment))
    if told["sent"] != task.messages and not task.is_mixed:
        raise BenchmarkError(f"{told['sent']} of {task.messages} messages were sent")
    return told


def _nodemailer(with_parts: bool) -> Callable[[Task], Mapping[str, Any]]:
    def send(task: Task) -> Mapping[str, Any]:
        return dict(run_json(["node", nodemailer(), task.as_json(with_parts=with_parts)]))

    return send


def _aiosmtplib(with_parts: bool) -> Callable[[Task], Mapping[str, Any]]:
    def send(task: Task) -> Mapping[str, Any]:
        json_ = task.as_json(with_parts=with_parts)
        return dict(run_json(module("benchmarks.peers.aiosmtplib_loop", json_)))

    return send


def _prefect_email(task: Task) -> Mapping[str, Any]:
    script = Path(__file__).with_name("peers") / "prefect_email_tasks.py"
    json_ = task.as_json(with_parts=True)
    # No colours and no lines of log but errors: it pays for what it sends, not for its terminal.
    environment = {"PREFECT_LOGGING_LEVEL": "ERROR"}
    return dict(run_json([prefect_email(), str(script), json_], environment))


def _smtp_source(task: Task) -> Mapping[str, Any]:
    tools = postfix()
    numbers = ["-s", task.sessions, "-m", task.messages]
    options = ["-d", "-F", task.file()]  # -d: a session for many messages
    addresses = ["-f", "news@example.com", "-t", "user@example.com"]
    command = [tools.source, *numbers, *options, *addresses, f"127.0.0.1:{task.ports[0]}"]
    script = 'env LD_LIBRARY_PATH="$0" "$@" && echo "{}"'
    libraries = tools.environment.get("LD_LIBRARY_PATH", os.environ.get("LD_LIBRARY_PATH", ""))
    before = _children_seconds()
    told = dict(run_json(["sh", "-c", script, libraries, *map(str, command)]))
    return {**told, "cpu_seconds": _children_seconds() - before}


def _children_seconds() -> float:
    """The processor time of child processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


MAILSLUICE = "Mailsluice, whole campaign"
NODEMAILER = "nodemailer pool"
NODEMAILER_RAW = "nodemailer pool, ready bytes"
AIOSMTPLIB_RAW = "aiosmtplib loop, ready bytes"
PREFECT_EMAIL = "prefect-email"
SMTP_SOURCE = "smtp-source (C)"

SENDERS = (
    Sender(MAILSLUICE, _campaign, 15_000, round_trips=1.0),
    Sender(NODEMAILER, _nodemailer(True), 2_500, round_trips=2.0),
    Sender(NODEMAILER_RAW, _nodemailer(False), 5_000, round_trips=2.0),
    Sender("aiosmtplib loop, MIME built", _aiosmtplib(True), 1_500),
    Sender(AIOSMTPLIB_RAW, _aiosmtplib(False), 8_000),
    Sender(PREFECT_EMAIL, _prefect_email, 40, can_tls=False),
    Sender(SMTP_SOURCE, _smtp_source, 28_000, can_tls=False, servers=1),
)
