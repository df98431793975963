"""The certificate that a server shows, where we did not take it."""

from __future__ import annotations

import ssl
from contextlib import suppress

from mailsluice.operations.verify_connection.certificate import Certificate
from mailsluice.smtp.connection import Connection
from mailsluice.smtp.login import Opening
from mailsluice.smtp.session import SessionError


async def shown_certificate(connection: Connection) -> Certificate | None:
    """Fetch it over a link of its own, which nothing is told; None where that fails.

    The handshake that failed does not say what it failed on.
    """
    with suppress(SessionError):
        opening = Opening(connection, _trusting_all())
        try:
            await opening.connect()
            await opening.greet()
            await opening.encrypt()
            return certificate_of(opening)
        finally:
            opening.close()
    return None


def certificate_of(opening: Opening) -> Certificate | None:
    """Of an encrypted link; None where it is stranger than our parser can read."""
    link = opening.encryption
    with suppress(ValueError):
        return Certificate.from_der((link and link.getpeercert(binary_form=True)) or b"")
    return None


def _trusting_all() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
