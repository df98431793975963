"""Finding out soon that a server is back, while its connection rests.

Rests are long, for a server that has failed often is not to be tried often. Where it cannot even be
reached, a greeting every few seconds is cheap for both sides: it takes no slot of a session, no
start under a limit and no recipient's attempt.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from mailsluice.core.outcome import Attempt, Phase
from mailsluice.delivery.breaker import Breaker
from mailsluice.smtp.session import SessionError

logger = logging.getLogger(__name__)

LEAST_SECONDS, MOST_SECONDS = 2.0, 10.0
_GROWS = 1.5


def delay_seconds(number: int, uniform: float) -> float:
    """How long to wait before one more look; `uniform` is a number from 0 to 1."""
    longest = min(MOST_SECONDS, 2 * LEAST_SECONDS * _GROWS ** min(number, 10))
    return LEAST_SECONDS + (longest - LEAST_SECONDS) * uniform


def is_unreachable(attempt: Attempt) -> bool:
    """Whether there was no server to speak to: nothing it said, nothing of ours is wrong."""
    return attempt.phase is Phase.CONNECT and attempt.code is None and not attempt.refused_here


class Probing:
    """Looks whether the server greets, one look at a time, for as long as the connection rests."""

    def __init__(
        self,
        connection: str,
        breaker: Breaker,
        *,
        greets: Callable[[], Awaitable[bool]],
        is_wanted: Callable[[], bool],
        found: Callable[[], None],
        clock: Callable[[], float],
        chance: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`is_wanted` tells whether the run still has mail for it; `found` is called when it is
        back.
        """
        self._connection = connection
        self._breaker = breaker
        self._greets = greets
        self._is_wanted = is_wanted
        self._found = found
        self._clock = clock
        self._chance = chance
        self._sleep = sleep
        self._looking: asyncio.Task[None] | None = None
        self._is_told = False

    def heard(self, error: SessionError) -> None:
        """A session could not be opened, or broke: look for the server, if that is the cause."""
        is_looking = self._looking and not self._looking.done()
        if not is_looking and is_unreachable(error.attempt) and self._rests():
            self._looking = asyncio.ensure_future(self._look())

    async def close(self) -> None:
        """Look no more."""
        if self._looking:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)

    def _rests(self) -> bool:
        return self._is_wanted() and self._breaker.rests_until(self._clock()) is not None

    async def _look(self) -> None:
        if not self._is_told:
            self._is_told = True
            logger.info(
                "connection %s: its server cannot be reached. It is asked for its greeting every"
                " few seconds, and sending goes on as soon as it answers",
                self._connection,
            )
        number = 0
        while True:
            await self._sleep(delay_seconds(number, self._chance()))
            if not self._rests():
                return
            if await self._greets() and self._rests():
                self._is_told = False
                logger.info("connection %s: its server answers again", self._connection)
                self._breaker.found(self._clock())
                self._found()
                return
            number += 1
