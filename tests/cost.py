"""The processor time of each part of the tests: `python -m tests.cost tests/unit tests/flows`.

Counts all processes that a part starts, daemons such as PostgreSQL's server included (Linux).
"""

from __future__ import annotations

import ctypes
import os
import resource
import subprocess
import sys
from pathlib import Path

_ADOPT_ORPHANS = 36  # PR_SET_CHILD_SUBREAPER, see prctl(2)
_PYTEST = ("-m", "pytest", "-q", "--numprocesses", "1", "--dist", "loadgroup")


def cost(part: str) -> tuple[float, int]:
    """Run the tests of a part; returns the processor seconds, and the exit status of pytest."""
    before, status = _seconds(), 1
    tests = subprocess.Popen([sys.executable, *_PYTEST, part], stdout=sys.stderr)
    while True:
        try:
            ended, code = os.wait()  # also for daemons, which have lost their parent
        except ChildProcessError:
            return _seconds() - before, status
        if ended == tests.pid:
            status = tests.returncode = os.waitstatus_to_exitcode(code)


def _seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main(parts: list[str]) -> int:
    """Print a line for each part; options of pytest are refused, as it would run all tests then."""
    if not parts:
        print("Name folders or files: python -m tests.cost tests/unit", file=sys.stderr)
        return 2
    if unknown := [part for part in parts if not Path(part).exists()]:
        print(f"No such file or folder of tests: {', '.join(unknown)}", file=sys.stderr)
        return 2
    ctypes.CDLL(None).prctl(_ADOPT_ORPHANS, 1, 0, 0, 0)
    statuses = []
    for part in parts:
        seconds, status = cost(part)
        print(f"{part}: {seconds:.0f} processor seconds", flush=True)
        statuses.append(status)
    return max(statuses, default=0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
