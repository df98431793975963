"""The audience of a campaign: every row of the source accounted for, the accepted ones kept.

In memory are a 128-bit key a row and a few bytes more; addresses and variables lie in a temporary
file that belongs to the audience.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Self

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from mailsluice.audience.keys import Keys
from mailsluice.audience.spool import Spool
from mailsluice.audience.stored import (
    ACCEPTED,
    HELD_BACK,
    SUPPRESSED,
    VERDICTS,
    RejectReason,
    rejects,
)
from mailsluice.audience.variables import is_empty


@dataclass(frozen=True, eq=False)
class Audience:
    """Who gets a campaign. Close it (or use `with`) to remove its temporary file."""

    columns: tuple[str, ...]
    """The template variables: every column but the one with the address."""
    read: int
    """Rows of the source, without header and blank lines."""
    address_keys: Keys
    """(len(self), 2), in the order of the source."""
    domain_keys: Keys
    """(len(self),), in the order of the source."""
    apostrophes: int
    """Rows whose address begins with one."""
    bad_exclusions: int
    """Rows of the exclusions without an address."""
    _verdicts: npt.NDArray[np.uint8] = field(repr=False)
    """(read,), by row of the spool."""
    _spool: Spool = field(repr=False)
    _directory: TemporaryDirectory[str] = field(repr=False)

    def __len__(self) -> int:
        """Count the accepted rows."""
        return len(self.domain_keys)

    def counts(self) -> dict[RejectReason, int]:
        """Rejected rows by reason; with the accepted ones they add up to `read`."""
        found = np.bincount(self._verdicts, minlength=len(VERDICTS))
        counts = {reason: int(found[VERDICTS.index(reason)]) for reason in RejectReason}
        return {**counts, RejectReason.SUPPRESSED: int(found[SUPPRESSED:].sum())}

    def held_back(self) -> dict[str, int]:
        """How many of the suppressed rows for which reason; together as many as in `counts`."""
        found = np.bincount(self._verdicts, minlength=len(VERDICTS))
        return {reason.value: int(found[at]) for reason, at in HELD_BACK.items() if found[at]}

    def notes(self) -> list[str]:
        """Warn the operator of what is odd in the lists, without addresses."""
        told = []
        if self.apostrophes:
            told.append(
                f"{self.apostrophes:,} rows have an address that begins with an apostrophe. Such"
                " an address is another mailbox, and hardly ever meant: spreadsheets put one before"
                " a text. Correct the list, or suppression and exclusion miss these rows"
            )
        if self.bad_exclusions:
            told.append(
                f"{self.bad_exclusions:,} rows of the exclusions have no address that mail could be"
                " sent to, so they exclude nobody: correct them"
            )
        return told

    def chunks(self, order: npt.NDArray[np.int64], rows: int = 50_000) -> Iterator[pd.DataFrame]:
        """Read accepted rows in another order, at most `rows` at a time.

        `order` holds distinct audience indices (0 is the first accepted row), all or some of them.
        Each frame has `row` (1-based data row of the source), `email`, `domain` and `variables`
        (a JSON object of strings).
        """
        of_accepted = np.full(len(self), -1, np.int32)
        of_accepted[order] = np.arange(len(order), dtype=np.int32)
        place = np.full(len(self._verdicts), -1, np.int32)
        place[self._verdicts == ACCEPTED] = of_accepted
        del of_accepted
        for batch in self._spool.arranged(place, ["row", "email", "domain", "variables"]):
            for start in range(0, batch.num_rows, rows):
                yield batch.slice(start, rows).to_pandas()

    def rejects(self) -> Iterator[pd.DataFrame]:
        """Read the rejected rows, in the order of the source, a part at a time.

        Each frame has `row` (1-based data row), `email` (as it was given; for a row with a wrong
        number of fields all of its text), `reason` (a RejectReason's value), `detail`.
        """
        start = 0
        for batch in self._spool.batches():
            verdicts = self._verdicts[start : start + batch.num_rows]
            start += batch.num_rows
            if verdicts.any():
                yield rejects(batch, verdicts)

    def empty_values(self, columns: Collection[str]) -> dict[str, int]:
        """How many accepted rows have no text in these columns. Goes through the whole audience."""
        found = dict.fromkeys(columns, 0)
        start = 0
        for batch in self._spool.batches() if found else ():
            accepted = pa.array(self._verdicts[start : start + batch.num_rows] == ACCEPTED)
            start += batch.num_rows
            variables = batch["variables"].filter(accepted)
            for name in found:
                empty = is_empty(variables, name, is_first=name == self.columns[0])
                found[name] += empty.true_count
        return found

    def close(self) -> None:
        """Remove the temporary file."""
        self._directory.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
