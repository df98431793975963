"""Compare the arrival times of messages with a limit. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence


def most(times: Sequence[float], window_seconds: float) -> int:
    """The most messages in any trailing window; `times` in order, in seconds."""
    return max(
        (i + 1 - bisect_right(times, at - window_seconds) for i, at in enumerate(times)), default=0
    )


def use(times: Sequence[float], count: int, window_seconds: float) -> float:
    """The share of a limit that was used between the first message and the last."""
    if len(times) < 2:
        return 0.0
    return (len(times) - 1) * window_seconds / (count * (times[-1] - times[0]))


def per_second(times: Sequence[float], since: float) -> list[int]:
    """Count the arrivals in each second since a moment."""
    counts = [0] * (int(max(times, default=since) - since) + 1)
    for time in times:
        counts[int(time - since)] += 1
    return counts
