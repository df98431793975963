"""The error of this package."""

from __future__ import annotations

from mailsluice.core.errors import MailsluiceError


class LedgerError(MailsluiceError):
    """A campaign's accounts cannot be read, written or changed as asked."""
