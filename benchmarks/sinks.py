"""SMTP servers that discard all mail and count it, each in its own process."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import trustme

from benchmarks.peers.install import PeerMissingError, postfix
from benchmarks.processes import BenchmarkError, module
from benchmarks.results import FOLDER
from deployments.server import free_port

_COUNT = re.compile(rb"mesg=(\d+)\r")
_LOOK_SECONDS = 0.004
_START_SECONDS = 60
_LAST_SECONDS = 20


@dataclass(frozen=True, slots=True)
class Sample:
    """How many messages were accepted by a moment of the monotonic clock, in seconds."""

    at: float
    messages: int


class Sink:
    """A running server, whose printed counter is read by a thread."""

    def __init__(self, port: int, process: subprocess.Popen[bytes]) -> None:
        self.port = port
        self.first: Sample | None = None
        self.last: Sample | None = None
        self.samples: list[Sample] = []
        self._process = process
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    @property
    def pid(self) -> int:
        """The server's process."""
        return self._process.pid

    @property
    def messages(self) -> int:
        return self.last.messages if self.last else 0

    def state(self) -> dict[str, int]:
        """How many recipients have which final state; of a mixed server."""
        with (
            socket.create_connection(("127.0.0.1", self.port)) as link,
            link.makefile("rb") as file,
        ):
            link.sendall(b"XSTATE\r\n")
            file.readline()
            return dict(json.loads(file.readline()[len("250 ") :]))

    @property
    def per_second(self) -> float:
        """Messages a second, from the first message to the last."""
        return rate([self])

    def _watch(self) -> None:
        assert self._process.stdout is not None
        rest, output = b"", self._process.stdout.fileno()
        while data := os.read(output, 1 << 16):
            now = time.monotonic()
            counts = _COUNT.findall(rest + data)
            rest = data[-64:]
            if counts and int(counts[-1]) > self.messages:
                self.last = Sample(now, int(counts[-1]))
                self.first = self.first or self.last
                self.samples.append(self.last)
            time.sleep(_LOOK_SECONDS)  # a wake-up a message would cost the server time


def rate(sinks: Sequence[Sink]) -> float:
    """Messages a second at all servers together, from the first message to the last."""
    firsts = [sink.first for sink in sinks if sink.first]
    lasts = [sink.last for sink in sinks if sink.last]
    if not firsts:
        raise BenchmarkError("no message has arrived")
    first = min(firsts, key=lambda sample: sample.at)
    seconds = max(sample.at for sample in lasts) - first.at
    if seconds <= 0:
        raise BenchmarkError("too few messages to tell a rate: send more")
    return (sum(sample.messages for sample in lasts) - first.messages) / seconds


def rate_of_first(sinks: Sequence[Sink], messages: int) -> float:
    """Messages a second at all servers together, until so many have been accepted."""
    events = sorted(
        ((sample, number) for number, sink in enumerate(sinks) for sample in sink.samples),
        key=lambda event: event[0].at,
    )
    counts = [0] * len(sinks)
    for sample, number in events:
        counts[number] = sample.messages
        if sum(counts) >= messages:
            first = events[0][0]
            return (sum(counts) - first.messages) / (sample.at - first.at)
    raise BenchmarkError(f"{sum(counts)} of {messages} messages were accepted")


def wait_for(sinks: Sequence[Sink], messages: int) -> None:
    """Wait for the last count. Raises BenchmarkError where it does not come."""
    deadline = time.monotonic() + _LAST_SECONDS
    while (arrived := sum(sink.messages for sink in sinks)) != messages:
        if time.monotonic() > deadline:
            raise BenchmarkError(f"{arrived} of {messages} messages have arrived")
        time.sleep(_LOOK_SECONDS)


@contextmanager
def sinks(number: int, kind: str, certificate: str | None = None) -> Iterator[list[Sink]]:
    """Start so many: "smtp-sink" (C, Debian's postfix), "python" (the tests'; TLS, BDAT), "mixed".

    A mixed one does not accept everything.
    """
    with ExitStack() as stack:
        yield [stack.enter_context(_sink(kind, certificate)) for _ in range(number)]


def default_kind() -> str:
    """The fastest kind of server that this machine has."""
    try:
        postfix()
    except PeerMissingError:
        return "python"
    return "smtp-sink"


def certificates() -> tuple[str, str]:
    """Files for TLS on loopback: the CA's, and the server's key with its certificate."""
    FOLDER.mkdir(exist_ok=True)
    ca_file, server_file = FOLDER / "ca.pem", FOLDER / "server.pem"
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(ca_file))
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(server_file))
    return str(ca_file), str(server_file)


@contextmanager
def _sink(kind: str, certificate: str | None) -> Iterator[Sink]:
    port = free_port()
    environment = dict(os.environ)
    if kind == "smtp-sink":
        tools = postfix()
        command = [tools.sink, "-c", *_as_nobody(), f"127.0.0.1:{port}", "1000"]
        environment |= tools.environment
    else:
        options = ["--certificate", certificate] if certificate else []
        command = module(f"benchmarks.{kind}_sink", port, *options)
    process = subprocess.Popen(
        command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
    )
    try:
        _wait_until_up(process, port)
        yield Sink(port, process)
    finally:
        process.kill()
        process.wait()


def _as_nobody() -> list[str]:
    """smtp-sink refuses to run as root."""
    return ["-u", "nobody"] if os.geteuid() == 0 else []


def _wait_until_up(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError as error:
            if process.poll() is not None or time.monotonic() > deadline:
                raise BenchmarkError(f"the sink did not start: {process.args!r}") from error
            time.sleep(0.02)
        else:
            return
