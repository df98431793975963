"""The error of operations on a campaign's accounts."""

from __future__ import annotations

from mailsluice.core.errors import MailsluiceError


class LedgerError(MailsluiceError):
    """A campaign's accounts cannot be read or changed as requested."""
