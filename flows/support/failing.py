"""The state in which a flow ends when something outside it fails: one line that says what to do."""

from __future__ import annotations

from typing import Any

from prefect.client.schemas.objects import State
from prefect.states import Failed

from mailsluice.core.errors import MailsluiceError
from mailsluice.store.trouble import RETRY, DatabaseError, told

TROUBLE = (MailsluiceError, DatabaseError, OSError)
"""Errors that `failed` explains. Any other error is a bug, and keeps its traceback."""


def failed(error: Exception, then: str = RETRY) -> State[Any]:
    """The state of a run that one of TROUBLE ended; `then` says how to continue."""
    explanation = explained(error, then)
    return Failed(message=str(explanation), data=explanation)


def explained(
    error: Exception, then: str = RETRY, place: str = " on the worker's machine"
) -> MailsluiceError:
    """Turn one of TROUBLE into an error whose message says what to do. Raises any other error."""
    if isinstance(error, MailsluiceError):
        return error
    if isinstance(error, DatabaseError):
        return told(error, then=then)
    if isinstance(error, OSError) and error.errno:
        where = f"{error.filename} cannot be used" if error.filename else "a file cannot be used"
        reason = error.strerror or type(error).__name__
        return MailsluiceError(
            f"{where}{place}: {reason}. Free disk space, or let this user write there. {then}"
        )
    raise error
