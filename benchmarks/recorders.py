"""SMTP servers that record when each message arrived, each in its own process."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.processes import BenchmarkError, module


@dataclass(frozen=True, slots=True)
class Recorder:
    """A running server, and the file with a line for each message that it accepted."""

    port: int
    path: Path

    def count(self) -> int:
        """The number of messages so far."""
        return self.path.read_bytes().count(b"\n")

    def times(self) -> list[float]:
        """The times of the messages' final dots, in order, by the server's clock, in seconds.

        Raises BenchmarkError where one arrived twice.
        """
        lines = [line.split("\t") for line in self.path.read_text("utf-8").splitlines()]
        message_ids = {line[3] for line in lines}
        if len(message_ids) < len(lines):
            raise BenchmarkError(f"{len(lines) - len(message_ids)} messages arrived twice")
        return sorted(float(line[1]) for line in lines)


@contextmanager
def recorders(folder: Path, names: Sequence[str]) -> Iterator[dict[str, Recorder]]:
    """Start a server for each connection."""
    with ExitStack() as stack:
        yield {name: stack.enter_context(_recorder(folder / f"{name}.tsv")) for name in names}


@contextmanager
def _recorder(path: Path) -> Iterator[Recorder]:
    command = module("tests.smtpd", "--out", path)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield Recorder(int(process.stdout.readline()), path)
        finally:
            process.kill()
