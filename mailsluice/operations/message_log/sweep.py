"""When the spans of a campaign are looked at again. Pure.

A span in which outcomes appeared is looked at again soon, and so is the one after it, which is sent
to next. A span without news is looked at less and less often, down to once a minute. So a log costs
little while nothing happens, and misses nothing: a span is looked at until it is complete.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

_SOON_SECONDS = 1.0
_LONGEST_SECONDS = 60.0
_MOST_TOGETHER = 16


@dataclass(slots=True)
class _Turn:
    due: float
    wait: float = _SOON_SECONDS


class Sweep:
    """The spans of one campaign that are not complete, by number."""

    def __init__(self, numbers: Iterable[int], now: float) -> None:
        self._turns = {number: _Turn(now) for number in numbers}

    def __len__(self) -> int:
        return len(self._turns)

    def due(self, now: float) -> Iterator[range]:
        """Yield the numbers that are due by this moment, in runs that are counted together."""
        due = sorted(number for number, turn in self._turns.items() if turn.due <= now)
        start = 0
        for position in range(1, len(due) + 1):
            run = due[start:position]
            is_last = position == len(due)
            if is_last or due[position] != run[-1] + 1 or len(run) == _MOST_TOGETHER:
                yield range(run[0], run[-1] + 1)
                start = position

    def looked(self, number: int, now: float, *, has_news: bool) -> None:
        """Note that a span was looked at, and whether there was news."""
        turn = self._turns[number]
        turn.wait = _SOON_SECONDS if has_news else min(turn.wait * 2, _LONGEST_SECONDS)
        turn.due = now + turn.wait
        following = self._turns.get(number + 1)
        if has_news and following:
            following.due = min(following.due, now + _SOON_SECONDS)
            following.wait = _SOON_SECONDS

    def complete(self, number: int) -> None:
        """Note that a span is complete."""
        self._turns.pop(number, None)
