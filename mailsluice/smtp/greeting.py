"""Check that a server is up, at the least cost for the server."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace

import aiosmtplib

from mailsluice.smtp.connection import Connection
from mailsluice.smtp.login import Opening
from mailsluice.smtp.session import SessionError

_SECONDS = 5.0
_QUIT_SECONDS = 1.0


async def greets(connection: Connection) -> bool:
    """Whether the server greets with 220 within a few seconds; QUIT follows, without a login."""
    opening = None
    try:
        seconds = min(_SECONDS, connection.timeout_seconds)
        opening = Opening(replace(connection, timeout_seconds=seconds))
        async with asyncio.timeout(_SECONDS):
            await opening.connect()
    except (SessionError, TimeoutError):
        return False
    else:
        with suppress(aiosmtplib.SMTPException, OSError):
            async with asyncio.timeout(_QUIT_SECONDS):
                await opening.smtp.execute_command(b"QUIT")
        return True
    finally:
        if opening:
            opening.close()
