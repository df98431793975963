"""Ask a server what it offers, without a login."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from mailsluice.smtp.commands import Offer
from mailsluice.smtp.connection import Connection
from mailsluice.smtp.login import Opening
from mailsluice.smtp.session import SessionError

_LONGEST_SECONDS = 15.0


async def offer_of(connection: Connection) -> Offer | None:
    """Return what a connection's server offers; None if that cannot be found out in 15 seconds."""
    with suppress(SessionError, TimeoutError):
        async with asyncio.timeout(_LONGEST_SECONDS):
            opening = Opening(connection)
            try:
                await opening.connect()
                await opening.greet()
                await opening.encrypt()
                offer = Offer.from_extensions(opening.smtp.esmtp_extensions)
                await opening.quit()
            finally:
                opening.close()
            return offer
    return None
