"""The error of housekeeping."""

from __future__ import annotations

from mailsluice.core.errors import MailsluiceError


class HousekeepingError(MailsluiceError):
    """A campaign cannot be archived; its rows stay where they are."""
