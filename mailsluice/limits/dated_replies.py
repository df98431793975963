"""The replies of the last weeks by the date and time of their arrival. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

STEP_SECONDS = 900
"""Days and months begin at whole steps in every time zone."""
_KEPT_STEPS = 32 * 86_400 // STEP_SECONDS  # more than any month has


class DatedReplies:
    """Counts the replies in each quarter of an hour of the database's clock.

    The counts tell how many replies any day or month has, whatever its time zone and its beginning:
    so both may change in the middle of a month. Quarters without replies are not stored, and only
    the latest ones are kept, 32 days of continuous sending. They are not dropped by their age,
    since the clock may be set forward and back.
    """

    __slots__ = ("_counts", "_steps")

    def __init__(self, steps: Sequence[int] = (), counts: Sequence[int] = ()) -> None:
        """`steps` are the numbers of quarters since the epoch that have the counts, in order."""
        self._steps = list(steps)
        self._counts = list(counts)

    def __len__(self) -> int:
        return len(self._steps)

    def add(self, moments: npt.NDArray[np.float64]) -> None:
        """Count replies, at least one, at these moments."""
        import numpy as np

        steps, counts = np.unique((moments // STEP_SECONDS).astype(np.int64), return_counts=True)
        for step, count in zip(steps.tolist(), counts.tolist(), strict=True):
            self._add(step, count)

    def within(self, start: float, end: float) -> int:
        """Return how many replies came from `start` until `end`, which are whole steps."""
        first, last = self._between(start, end)
        return sum(self._counts[first:last])

    def correct(self, start: float, end: float, total: int) -> None:
        """Let a period, which has begun, have so many replies: missing ones count from its start.

        Where the period has more, its earliest replies count no more.
        """
        more = total - self.within(start, end)
        if more > 0:
            self._add(int(start // STEP_SECONDS), more)
        first, last = self._between(start, end)
        for i in range(first, last):
            fewer = min(self._counts[i], max(0, -more))
            self._counts[i] -= fewer
            more += fewer

    def to_json(self) -> list[int]:
        """Return the first step and its count, then each further step's distance and count."""
        before, flat = 0, []
        for step, count in zip(self._steps, self._counts, strict=True):
            flat += [step - before, count]
            before = step
        return flat

    @classmethod
    def from_json(cls, flat: Sequence[int]) -> Self:
        """Rebuild the counts from the result of `to_json`."""
        return cls(list(accumulate(flat[::2])), flat[1::2])

    def _add(self, step: int, count: int) -> None:
        at = bisect_left(self._steps, step)
        if at < len(self._steps) and self._steps[at] == step:
            self._counts[at] += count
        else:
            self._steps.insert(at, step)
            self._counts.insert(at, count)
            del self._steps[:-_KEPT_STEPS], self._counts[:-_KEPT_STEPS]

    def _between(self, start: float, end: float) -> tuple[int, int]:
        """Return the positions of the counts from `start` until `end`."""
        first = bisect_left(self._steps, start / STEP_SECONDS)
        return first, bisect_left(self._steps, end / STEP_SECONDS)
