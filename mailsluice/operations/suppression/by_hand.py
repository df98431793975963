"""Addresses that an operator names: added, or taken away again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from mailsluice.audience.address import normalise
from mailsluice.campaign import RecipientSource
from mailsluice.core.errors import MailsluiceError
from mailsluice.core.folding import folded
from mailsluice.core.suppression_reason import SuppressionReason
from mailsluice.operations.accounts import read_addresses
from mailsluice.operations.suppression.importing import NO_ADDRESS, SHOWN_BAD_ROWS
from mailsluice.store import Database, Suppressions


class SuppressionError(MailsluiceError):
    """The list cannot be changed as asked."""


@dataclass(frozen=True, slots=True)
class Added:
    """What became of the addresses that were to be added."""

    new: int
    known: int
    """On the list already."""
    bad: int
    """No addresses."""
    bad_rows: Sequence[tuple[int, str]]
    """The first of them."""

    def summary(self) -> str:
        """One line: how many."""
        parts = [f"{self.new:,} added"]
        parts += [f"{self.known:,} on the list already"] if self.known else []
        parts += [f"{self.bad:,} bad"] if self.bad else []
        return ", ".join(parts)

    def notes(self) -> list[str]:
        """Nothing besides."""
        return []


@dataclass(frozen=True, slots=True)
class TakenAway:
    """What became of the addresses that were to be removed."""

    removed: int
    kept: int
    """Their owners want no mail."""
    missing: int
    """Not on the list."""
    bad: int
    """No addresses."""
    bad_rows: Sequence[tuple[int, str]]
    """The first of them."""

    def summary(self) -> str:
        """One line: how many."""
        parts = [f"{self.removed:,} removed"]
        parts += [f"{self.missing:,} not on the list"] if self.missing else []
        parts += [f"{self.bad:,} bad"] if self.bad else []
        parts += [f"{self.kept:,} stay: unsubscribed or complained"] if self.kept else []
        return ", ".join(parts)

    def notes(self) -> list[str]:
        """What to do about those that stay."""
        advice = "even_unsubscribed removes those as well whose owners unsubscribed or complained"
        return [advice] if self.kept else []


def add(database: Database, given: Iterable[str], reason: SuppressionReason, source: str) -> Added:
    """Put addresses on the list. Raises SuppressionError where none of them is an address."""
    emails, bad = _folded(given)
    if not emails:
        raise SuppressionError(
            "none of what was given is an address, so nothing was added: write name@example.com"
        )
    new = Suppressions(database).add(emails, reason=reason, source=source)
    return Added(new, len(emails) - new, len(bad), bad[:SHOWN_BAD_ROWS])


def remove(
    database: Database,
    given: Iterable[str],
    *,
    path: str = "",
    email_column: str = "email",
    even_wishes: bool = False,
) -> TakenAway:
    """Take addresses, those given and those of a file, from the list.

    Those whose owner wants no mail go only with `even_wishes`. What came back so far is forgotten:
    it does not count for the next soft bounce. Raises SuppressionError where nothing was named,
    AudienceError where the file cannot be read.
    """
    listed = read_addresses(RecipientSource(path=path, email_column=email_column)) if path else []
    emails, bad = _folded([*given, *listed])
    if not emails:
        raise SuppressionError("no address was named: give addresses, or a file of them")
    done = Suppressions(database).remove(emails, even_wishes=even_wishes)
    missing = len(emails) - done.removed - done.kept
    return TakenAway(done.removed, done.kept, missing, len(bad), bad[:SHOWN_BAD_ROWS])


def _folded(given: Iterable[str]) -> tuple[set[str], list[tuple[int, str]]]:
    """The distinct mailboxes, and the rows that are none."""
    checked = normalise(pd.Series(list(given), dtype="str"))
    good = (checked["reason"] == "").to_numpy(bool)
    bad = [(int(row) + 1, NO_ADDRESS) for row in np.flatnonzero(~good)]
    return {folded(email) for email in checked.loc[good, "email"]}, bad
