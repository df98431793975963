"""Child processes that measure one figure each, and print it as JSON on their last line."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.results import ROOT

_TIMEOUT_SECONDS = 900


class BenchmarkError(Exception):
    """A measurement failed; the message says why."""


def module(name: str, *arguments: object) -> list[str]:
    """The command that runs a module with this interpreter."""
    return [sys.executable, "-m", name, *map(str, arguments)]


def run_json(command: Sequence[str], environment: Mapping[str, str] | None = None) -> Any:
    """Run a command to its end, and return its last line, parsed. Raises BenchmarkError."""
    try:
        done = subprocess.run(
            command,
            cwd=ROOT,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BenchmarkError(f"{command[0]}: {error}") from error
    lines = done.stdout.strip().splitlines()
    if done.returncode or not lines:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines() or ["nothing was said"]
        raise BenchmarkError(f"exit code {done.returncode}: {said[-1][:300]}")
    return json.loads(lines[-1])


def peak_mb() -> float:
    """The peak resident memory of this process, in 10^6 bytes.

    Read from /proc where there is one: `ru_maxrss` of a child counts what its parent had too.
    """
    status = Path("/proc/self/status")
    if status.exists():
        lines = status.read_text("ascii").splitlines()
        kib = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
    else:
        kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        kib //= 1024 if sys.platform == "darwin" else 1
    return kib * 1024 / 1e6
