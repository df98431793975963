"""Adding addresses to the suppression list, and removing them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from mailsluice.audience.address import normalise, wildcards
from mailsluice.campaign import RecipientSource
from mailsluice.core.errors import MailsluiceError
from mailsluice.core.folding import folded
from mailsluice.core.suppression_reason import SuppressionReason
from mailsluice.operations.accounts import read_addresses
from mailsluice.operations.suppression.importing import NO_ADDRESS, NO_PATTERNS, SHOWN_BAD_ROWS
from mailsluice.store import Database, Suppressions


class SuppressionError(MailsluiceError):
    """The list cannot be changed as requested."""


@dataclass(frozen=True, slots=True)
class Added:
    """The result of adding addresses."""

    new: int
    known: int
    """Addresses already on the list."""
    bad: int
    """Texts that are not addresses."""
    bad_rows: Sequence[tuple[int, str]]
    """The first of these texts: number, counted from 1, and what is wrong."""
    wildcards: int = 0
    """Addresses that look like a pattern."""

    def summary(self) -> str:
        """One line with the numbers."""
        parts = [f"{self.new:,} added"]
        parts += [f"{self.known:,} on the list already"] if self.known else []
        parts += [f"{self.bad:,} bad"] if self.bad else []
        return ", ".join(parts)

    def notes(self) -> list[str]:
        """Whether addresses may not have been meant as they were read."""
        return [f"{self.wildcards:,} have {NO_PATTERNS}"] if self.wildcards else []


@dataclass(frozen=True, slots=True)
class TakenAway:
    """The result of removing addresses."""

    removed: int
    kept: int
    """Addresses that stay because their owners unsubscribed or complained."""
    missing: int
    """Addresses that were not on the list."""
    bad: int
    """Texts that are not addresses."""
    bad_rows: Sequence[tuple[int, str]]
    """The first of these texts: number, counted from 1, and what is wrong."""

    def summary(self) -> str:
        """One line with the numbers."""
        parts = [f"{self.removed:,} removed"]
        parts += [f"{self.missing:,} not on the list"] if self.missing else []
        parts += [f"{self.bad:,} bad"] if self.bad else []
        parts += [f"{self.kept:,} stay: unsubscribed or complained"] if self.kept else []
        return ", ".join(parts)

    def notes(self) -> list[str]:
        """How to remove the addresses that stay."""
        advice = "even_unsubscribed also removes addresses whose owners unsubscribed or complained"
        return [advice] if self.kept else []


def add(database: Database, given: Iterable[str], reason: SuppressionReason, source: str) -> Added:
    """Add addresses to the list. Raises SuppressionError when no text is an address."""
    emails, bad = _folded(given)
    if not emails:
        raise SuppressionError(
            "no address was given, so nothing was added: write addresses as name@example.com"
        )
    new = Suppressions(database).add(emails, reason=reason, source=source)
    patterns = wildcards(pd.Series(sorted(emails), dtype="str"))
    return Added(new, len(emails) - new, len(bad), bad[:SHOWN_BAD_ROWS], patterns)


def remove(
    database: Database,
    given: Iterable[str],
    *,
    path: str = "",
    email_column: str = "email",
    even_wishes: bool = False,
) -> TakenAway:
    """Remove addresses from the list; their soft bounces so far no longer count.

    Args:
        database: The state database.
        given: Addresses in any spelling.
        path: A CSV or Parquet file with more addresses.
        email_column: The file's column of addresses.
        even_wishes: Whether to remove addresses whose owners unsubscribed or complained.

    Raises:
        SuppressionError: No address was given.
        AudienceError: The file cannot be read.
    """
    listed = read_addresses(RecipientSource(path=path, email_column=email_column)) if path else []
    emails, bad = _folded([*given, *listed])
    if not emails:
        raise SuppressionError("no address was given: give addresses, or a file of addresses")
    result = Suppressions(database).remove(emails, even_wishes=even_wishes)
    missing = len(emails) - result.removed - result.kept
    return TakenAway(result.removed, result.kept, missing, len(bad), bad[:SHOWN_BAD_ROWS])


def _folded(given: Iterable[str]) -> tuple[set[str], list[tuple[int, str]]]:
    """The distinct addresses, folded, and the rows that are not addresses."""
    checked = normalise(pd.Series(list(given), dtype="str"))
    good = (checked["reason"] == "").to_numpy(bool)
    bad = [(int(row) + 1, NO_ADDRESS) for row in np.flatnonzero(~good)]
    return {folded(email) for email in checked.loc[good, "email"]}, bad
