"""An unexpected error in a session: a fault of Mailsluice, not of a server or a recipient."""

from __future__ import annotations

import traceback
from collections.abc import Collection

from mailsluice.core.errors import JournalError, OutboxError
from mailsluice.core.masking import masked, without_secrets
from mailsluice.smtp.replies import bounded

NOT_OURS = (JournalError, OutboxError, MemoryError)
"""Errors that concern all connections of the process alike, and end its run."""
_BEGINNING = "a fault of Mailsluice, not of the server: "
_END = " (send again later; if it comes back, report it with the traceback in the log)"
_MOST_CHARACTERS = 20_000


def own_fault(error: Exception, secrets: Collection[str]) -> str:
    """Return the reason for which the connection is down, without addresses and secrets."""
    what = f"{type(error).__name__}: {error}"
    return f"{_BEGINNING}{bounded(_safe(what, secrets))}{_END}"


def is_own_fault(down: str | None) -> bool:
    """Whether a connection is down for such an error, by the reason that `own_fault` gave.

    The reason is all that a run knows of a connection that another process sends over.
    """
    return down is not None and down.startswith(_BEGINNING)


def traced(error: Exception, secrets: Collection[str]) -> str:
    """Return the end of the error's traceback, without addresses and secrets, for the log."""
    return _safe("".join(traceback.format_exception(error)), secrets)[-_MOST_CHARACTERS:]


def _safe(text: str, secrets: Collection[str]) -> str:
    return masked(without_secrets(text, secrets))
