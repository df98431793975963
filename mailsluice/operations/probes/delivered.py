"""Reading the header of a copy in a probe mailbox. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from mailsluice.operations.probes.authentication import Verdicts, results_words, verdicts
from mailsluice.operations.probes.fields import Field, fields_of, first
from mailsluice.operations.probes.received import route_of, tls_of

_SCORE_FIELDS = (
    "x-spam-score",
    "x-spamd-result",
    "x-spam-status",
    "x-ms-exchange-organization-scl",
)
_SCORE = re.compile(r"(?:^|score=|\[|default: \w+ \[)\s*(-?\d{1,4}(?:\.\d{1,4})?)")


class Placement(StrEnum):
    """The kind of folder in which a copy arrived."""

    INBOX = "inbox"
    SPAM = "spam"
    OTHER = "other"
    """In another folder, for example by a filter of the mailbox."""
    MISSING = "missing"
    """In no folder, when the wait ended."""


@dataclass(frozen=True, slots=True)
class Delivered:
    """A copy in a mailbox."""

    placement: Placement
    folder: str
    at: float
    """When the mailbox got it, in seconds since the epoch, by the clock of the mailbox's host."""
    is_by_received: bool
    """Whether `at` is from the topmost Received field, exact to a second; else INTERNALDATE."""
    verdicts: Verdicts
    tls: str
    """TLS of the hop on which the receiving side took the mail from outside; empty if unknown."""
    spam_score: str
    """The score that a filter of the receiving side wrote; mostly empty."""


def read_copy(
    header: bytes, *, placement: Placement, folder: str, internal_date: float, host: str
) -> Delivered:
    """Read the header of a copy that was found in a folder.

    Args:
        header: The header's octets, or their beginning.
        placement: What the folder is.
        folder: The folder's name.
        internal_date: IMAP's INTERNALDATE, in seconds since the epoch.
        host: The IMAP server.
    """
    fields = fields_of(header)
    route = route_of(fields, host)
    moment = route.delivered.at if route else None
    return Delivered(
        placement,
        folder,
        internal_date if moment is None else moment,
        moment is not None,
        verdicts(fields, route),
        tls_of(route.arrival, results_words(fields, route)) if route else "",
        _spam_score(fields[: route.end] if route else ()),
    )


def _spam_score(fields: Sequence[Field]) -> str:
    for name in _SCORE_FIELDS:
        if score := _SCORE.search(first(fields, name)):
            return score[1]
    return ""
