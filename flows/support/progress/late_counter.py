"""Count a campaign's recipients in the database while the campaign is sent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

Counts = TypeVar("Counts")

_LEAST_SECONDS = 60.0
_REST = 100.0


class LateCounter(Generic[Counts]):
    """Counts at most once a minute, and for at most about a hundredth of the time.

    A count reads all recipients of the campaign.
    """

    def __init__(
        self, count: Callable[[], Counts], clock: Callable[[], float], none: Counts
    ) -> None:
        """`count` may block; `none` stands for the counts of the first minute."""
        self._count = count
        self._clock = clock
        self._next_at = clock() + _LEAST_SECONDS
        self._counts = none

    async def counts(self) -> Counts:
        """The latest counts."""
        begun = self._clock()
        if begun >= self._next_at:
            self._counts = await asyncio.to_thread(self._count)
            ended = self._clock()
            self._next_at = ended + max(_LEAST_SECONDS, _REST * (ended - begun))
        return self._counts
