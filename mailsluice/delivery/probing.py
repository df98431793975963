"""Find out soon that an unreachable server is back, while its connection rests.

Rests are long, since a server that has failed often should not be tried often. But while a server
cannot even be reached, asking for its greeting every few seconds is cheap for both sides: it uses
no session slot, no start under a limit and no recipient's attempt.
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
    """The delay before the next attempt, after `number` of them; `uniform` is from 0 to 1."""
    longest = min(MOST_SECONDS, 2 * LEAST_SECONDS * _GROWS ** min(number, 10))
    return LEAST_SECONDS + (longest - LEAST_SECONDS) * uniform


def is_unreachable(attempt: Attempt) -> bool:
    """Whether no server could be reached, so that neither a reply nor a setting is at fault."""
    return attempt.phase is Phase.CONNECT and attempt.code is None and not attempt.refused_here


class Probing:
    """Asks for the server's greeting, again and again, while the connection rests."""

    def __init__(
        self,
        connection: str,
        breaker: Breaker,
        *,
        greets: Callable[[], Awaitable[bool]],
        is_wanted: Callable[[], bool],
        answered: Callable[[], None],
        clock: Callable[[], float],
        chance: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`is_wanted` tells whether mail is left; `answered` is called when the server is back."""
        self._connection = connection
        self._breaker = breaker
        self._greets = greets
        self._is_wanted = is_wanted
        self._answered = answered
        self._clock = clock
        self._chance = chance
        self._sleep = sleep
        self._probing: asyncio.Task[None] | None = None
        self._is_logged = False

    def session_failed(self, error: SessionError) -> None:
        """Start to probe, where a session failed because the server cannot be reached."""
        is_probing = self._probing and not self._probing.done()
        if not is_probing and is_unreachable(error.attempt) and self._rests():
            self._probing = asyncio.ensure_future(self._probe())

    async def close(self) -> None:
        """Stop probing."""
        if self._probing:
            self._probing.cancel()
            await asyncio.gather(self._probing, return_exceptions=True)

    def _rests(self) -> bool:
        return self._is_wanted() and self._breaker.rests_until(self._clock()) is not None

    async def _probe(self) -> None:
        if not self._is_logged:
            self._is_logged = True
            logger.info(
                "connection %s: the server cannot be reached. Mailsluice tries it every few"
                " seconds, and goes on sending as soon as it answers",
                self._connection,
            )
        number = 0
        while True:
            await self._sleep(delay_seconds(number, self._chance()))
            if not self._rests():
                return
            if await self._greets() and self._rests():
                self._is_logged = False
                logger.info("connection %s: the server answers again", self._connection)
                self._breaker.server_answers(self._clock())
                self._answered()
                return
            number += 1
