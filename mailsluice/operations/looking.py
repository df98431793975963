"""Look again and again at a campaign while it is sent."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from mailsluice.core.steady import steady
from mailsluice.store.trouble import DatabaseError

logger = logging.getLogger(__name__)


async def look_again(
    look: Callable[[], Awaitable[None]],
    failed: str,
    pause: Callable[[float], float],
    *,
    first_in: float = 0.0,
) -> None:
    """Call `look` until this is cancelled, whatever goes wrong: connections wait for its result.

    Args:
        look: Looks once. A state database that is away is asked again at the next look.
        failed: The log's message about another failure, which is logged when its kind is new.
        pause: The seconds until the next look, given how long the last one took.
        first_in: The seconds until the first look.
    """
    failure = ""
    await asyncio.sleep(first_in)
    while True:
        began = steady()
        try:
            await look()
        except DatabaseError:
            pass
        except Exception as error:
            if failure != (failure := type(error).__name__):
                logger.exception(failed)
        await asyncio.sleep(pause(steady() - began))
