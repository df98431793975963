"""Count a campaign's mail by mailbox provider while the campaign is sent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from mailsluice.reports.providers.counts import ProviderCounts

_LEAST_SECONDS = 60.0
_REST = 100.0


class ProviderCounter:
    """Counts at most once a minute, and for at most about a hundredth of the time.

    A count reads all recipients of the campaign.
    """

    def __init__(self, count: Callable[[], ProviderCounts], clock: Callable[[], float]) -> None:
        """`count` may block."""
        self._count = count
        self._clock = clock
        self._next_at = clock() + _LEAST_SECONDS
        self._counts = ProviderCounts()

    async def counts(self) -> ProviderCounts:
        """The latest counts; none in the first minute."""
        begun = self._clock()
        if begun >= self._next_at:
            self._counts = await asyncio.to_thread(self._count)
            ended = self._clock()
            self._next_at = ended + max(_LEAST_SECONDS, _REST * (ended - begun))
        return self._counts
