"""A clock that nobody can set: seconds since the machine's start, including its sleep.

All waiting within a process uses this clock. Moments that several processes share use the state
database's clock; `mailsluice.limits.Timekeeper` reconciles the two.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_TIME_NAMESPACE = Path("/proc/self/ns/time")

# Returns seconds that are comparable between processes with the same `steady_name`. On platforms
# without CLOCK_BOOTTIME, CLOCK_MONOTONIC either includes sleep, or no clock does.
steady: Callable[[], float] = (
    partial(time.clock_gettime, time.CLOCK_BOOTTIME)
    if hasattr(time, "CLOCK_BOOTTIME")
    else time.monotonic
)


def steady_name() -> str:
    """Return a name that tells this clock from those of other machines, boots and containers.

    Empty if the platform does not identify its boot.
    """
    with suppress(OSError):
        boot = _BOOT_ID.read_text().strip()
        namespace = _TIME_NAMESPACE.readlink().name if _TIME_NAMESPACE.is_symlink() else ""
        return f"{boot} {namespace}".strip()
    return ""
