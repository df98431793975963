"""The error of this package."""

from __future__ import annotations

from mailsluice.core.errors import MailsluiceError


class HousekeepingError(MailsluiceError):
    """A campaign cannot be archived; all of its rows are where they were."""
