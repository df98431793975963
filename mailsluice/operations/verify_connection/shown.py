"""Read the certificate of a server with which the TLS handshake failed."""

from __future__ import annotations

import ssl
from contextlib import suppress

from mailsluice.operations.verify_connection.certificate import Certificate
from mailsluice.smtp.connection import Connection
from mailsluice.smtp.login import Opening
from mailsluice.smtp.session import SessionError


async def shown_certificate(connection: Connection) -> Certificate | None:
    """Read the server's certificate over a new link, without verification; None if that fails.

    The failed handshake does not reveal the certificate. Nothing is sent over the new link.
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
    """The certificate of an encrypted link; None where it cannot be parsed."""
    link = opening.encryption
    with suppress(ValueError):
        return Certificate.from_der((link and link.getpeercert(binary_form=True)) or b"")
    return None


def _trusting_all() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
