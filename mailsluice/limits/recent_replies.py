"""The replies of one trailing window, counted in steps of time. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_STEPS = 500  # a window's; a reply counts for up to a step longer than it must
_EARLIER_STEPS = 250  # a window's in states that earlier versions stored
_CLOCK_DRIFT = 5e-4  # the server's clock may run slower than ours by this fraction
_RESOLUTION_SECONDS = 1e-6  # of floats that hold seconds since the epoch
_KEPT_WINDOWS = 4  # replies so many windows before the last one are out of the window, at any time


class RecentReplies:
    """Counts the replies in each step of a window, from the oldest to the newest.

    A reply counts until its step has left the window, so the counts err on the safe side. However
    many replies there are, the size is bounded.
    """

    __slots__ = ("_counts", "_first", "_step")

    def __init__(self, window_seconds: float, first: int = 0, counts: Sequence[int] = ()) -> None:
        """`first` is the number of the step since the epoch that has the first of the counts."""
        import numpy as np  # who sends without limits does not load it

        self._step = window_seconds / _STEPS
        self._first = first
        self._counts = np.array(counts, np.int64)

    def __len__(self) -> int:
        return len(self._counts)

    @property
    def total(self) -> int:
        """All replies that count."""
        return int(self._counts.sum())

    @property
    def latest(self) -> float:
        """A moment that the last reply did not precede; call it where there are replies."""
        return (self._first + len(self._counts) - 1) * self._step

    def add(self, moments: npt.NDArray[np.float64]) -> None:
        """Count replies, at least one, at these moments."""
        import numpy as np

        steps = (moments // self._step).astype(np.int64)
        first, last = int(steps.min()), int(steps.max())
        if len(self._counts):
            first = min(first, self._first)
            last = max(last, self._first + len(self._counts) - 1)
        first = max(first, last - _KEPT_WINDOWS * _STEPS)
        counts = np.bincount(steps[steps >= first] - first, minlength=last + 1 - first)
        kept = self._counts[max(0, first - self._first) :]
        at = max(0, self._first - first)
        counts[at : at + len(kept)] += kept
        self._first, self._counts = first, counts

    def expire(self, now: float) -> None:
        """Drop the steps that have left the window."""
        import numpy as np

        if now < (self._first + 1.0) * self._step + self._span:
            return
        gone = int(np.searchsorted(self._leaves_at(), now, side="right"))
        self._first, self._counts = self._first + gone, self._counts[gone:]
        if not self._counts.any():
            self._counts = self._counts[:0]

    def room_at(self, have_to_leave: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """Return when so many replies have left the window, each at least one.

        Infinity: not even when all have left that are known.
        """
        import numpy as np

        leaves_at: npt.NDArray[np.float64] = np.concatenate((self._leaves_at(), (np.inf,)))
        return leaves_at[np.searchsorted(np.cumsum(self._counts), have_to_leave)]

    def left_by(self, moments: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
        """Return how many replies have left the window by each moment."""
        import numpy as np

        left = np.concatenate(((0,), np.cumsum(self._counts)))
        return left[np.searchsorted(self._leaves_at(), moments, side="right")]

    def to_json(self) -> tuple[int, list[int]]:
        """Return the number of the first step, and the counts."""
        return self._first, self._counts.tolist()

    @classmethod
    def from_cells(cls, window_seconds: float, cells: Iterable[tuple[int, int]]) -> Self:
        """Rebuild the counts from a state that an earlier version stored: [(step, replies), ...].

        Its steps were longer, and each reply counted until the end of its step, as it does here.
        """
        import numpy as np

        replies = cls(window_seconds)
        finer = _STEPS // _EARLIER_STEPS
        for cell, count in cells:
            replies.add(np.full(count, ((cell + 1) * finer - 0.5) * replies._step))
        return replies

    def _leaves_at(self) -> npt.NDArray[np.float64]:
        """When each step has left the window, with a margin for the clocks."""
        import numpy as np

        steps = np.arange(1, len(self._counts) + 1, dtype=np.float64)
        return (self._first + steps) * self._step + self._span

    @property
    def _span(self) -> float:
        """Seconds for which a step counts after its end."""
        return self._step * _STEPS * (1 + _CLOCK_DRIFT) + _RESOLUTION_SECONDS
