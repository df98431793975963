"""The audience of a campaign: its accepted recipients, and the reason for each rejected row.

Memory holds a 128-bit key and a few more bytes for each row. Addresses and variables are in a
temporary file that belongs to the audience.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Self

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from mailsluice.audience.hosting import LookUps, Numbers
from mailsluice.audience.keys import Keys
from mailsluice.audience.origins import Origins
from mailsluice.audience.ranking import Ranking
from mailsluice.audience.spool import Spool
from mailsluice.audience.stored import (
    ACCEPTED,
    HELD_BACK,
    SUPPRESSED,
    VERDICTS,
    RejectReason,
    rejects,
)
from mailsluice.audience.time_zones import TimeZones
from mailsluice.audience.variables import is_empty
from mailsluice.core.source_counts import SourceCounts


@dataclass(frozen=True, eq=False)
class Audience:
    """The recipients of a campaign. Close it (or use `with`) to remove its temporary file."""

    columns: tuple[str, ...]
    """The template variables: every column except the one with the address."""
    left_out: tuple[str, ...]
    """Columns that are no variables, since their values are not text."""
    read: int
    """Rows of all sources, without headers and blank lines."""
    address_keys: Keys
    """(len(self), 2), in the order of the sources."""
    domain_keys: Keys
    """(len(self),), in the order of the sources."""
    providers: Numbers
    """(len(self),), the number of each recipient's mailbox provider, from 1."""
    provider_names: tuple[str, ...]
    """The providers, in the order of their numbers."""
    look_ups: LookUps | None
    """How the providers were looked up; None: they were not."""
    ranking: Ranking | None
    """The values of the column that orders the campaign, if there is one."""
    zones: TimeZones | None
    """The recipients' own time zones, where the sending window applies in them."""
    origins: Origins
    """The sources, and which rows are from which of them."""
    apostrophes: int
    """Rows whose address begins with an apostrophe."""
    bad_exclusions: int
    """Rows of the exclusions without an address."""
    wildcards: int
    """Rows of the exclusions whose address looks like a pattern."""
    empty_exclusions: tuple[str, ...]
    """The labels of exclusions without rows."""
    _verdicts: npt.NDArray[np.uint8] = field(repr=False)
    """(read,), by row of the spool."""
    _spool: Spool = field(repr=False)
    _directory: TemporaryDirectory[str] = field(repr=False)

    def __len__(self) -> int:
        """Count the accepted rows."""
        return len(self.domain_keys)

    def counts(self) -> dict[RejectReason, int]:
        """Count the rejected rows by reason; with the accepted rows they add up to `read`."""
        return _counts(self._verdicts)

    def sources(self) -> list[SourceCounts]:
        """Count the rows of each source; none if there is only one."""
        parts = self.origins.parts() if self.origins.are_several else ()
        return [
            SourceCounts(
                origin.label,
                origin.rows_before,
                rows.stop - rows.start,
                int(np.count_nonzero(self._verdicts[rows] == ACCEPTED)),
                {reason.value: number for reason, number in _counts(self._verdicts[rows]).items()},
            )
            for origin, rows in parts
        ]

    def hosted(self) -> dict[str, int]:
        """Count the recipients of each mailbox provider, in the order of their numbers."""
        numbers = np.bincount(self.providers, minlength=len(self.provider_names) + 1)[1:]
        return dict(zip(self.provider_names, numbers.tolist(), strict=True))

    def held_back(self) -> dict[str, int]:
        """Count the suppressed rows by the reason of their suppression."""
        numbers = np.bincount(self._verdicts, minlength=len(VERDICTS))
        return {reason.value: int(numbers[at]) for reason, at in HELD_BACK.items() if numbers[at]}

    def notes(self) -> list[str]:
        """Return warnings about likely mistakes in the lists, without addresses."""
        warnings = []
        if self.look_ups and self.look_ups.unanswered:
            warnings.append(_unanswered(self.look_ups))
        if self.apostrophes:
            warnings.append(
                f"{self.apostrophes:,} rows have an address that begins with an apostrophe. That is"
                " another mailbox than without it, and hardly ever meant: spreadsheets put an"
                " apostrophe before text. Correct the list, or suppression and exclusion miss these"
                " rows"
            )
        if self.bad_exclusions:
            warnings.append(
                f"{self.bad_exclusions:,} rows of the exclusions have no address that mail could be"
                " sent to, so they exclude nobody: correct them"
            )
        if self.wildcards:
            warnings.append(
                f"{self.wildcards:,} rows of the exclusions have a wildcard such as * in the"
                " address, which stands for itself: they exclude no other mailbox. To exclude a"
                " whole domain, exclude a query that selects its addresses (WHERE email LIKE ...)"
            )
        warnings += [
            f"the exclusions from {label} have no rows, so they exclude nobody: check the file or"
            " the query"
            for label in self.empty_exclusions
        ]
        warnings += [
            f"{source.source} has no rows: check the file or the query"
            for source in self.sources()
            if not source.read_rows
        ]
        columns = (self.ranking, self.zones)
        return [*warnings, *(note for column in columns if column for note in column.notes())]

    def chunks(
        self,
        order: npt.NDArray[np.int64],
        rows: int = 50_000,
        columns: Sequence[str] = ("row", "email", "domain", "variables"),
    ) -> Iterator[pd.DataFrame]:
        """Read accepted rows in another order, at most `rows` at a time.

        `order` holds distinct audience indices (0 is the first accepted row), all or some of them.

        Yields:
            Frames with these of the columns `row` (the data row of the union of all sources, from
            1), `email`, `domain` and `variables` (a JSON object of strings, with all columns).
        """
        of_accepted = np.full(len(self), -1, np.int32)
        of_accepted[order] = np.arange(len(order), dtype=np.int32)
        place = np.full(len(self._verdicts), -1, np.int32)
        place[self._verdicts == ACCEPTED] = of_accepted
        del of_accepted
        done = 0
        for batch in self._spool.arranged(place, columns):
            completed = self.origins.completed(batch, order[done : done + batch.num_rows])
            done += batch.num_rows
            for start in range(0, batch.num_rows, rows):
                yield completed.slice(start, rows).to_pandas()

    def rejects(self) -> Iterator[pd.DataFrame]:
        """Read the rejected rows, in the order of the sources, a part at a time.

        Yields:
            Frames with `row` (the data row of the union of all sources, from 1), `email` (as
            written; of a row with a wrong number of fields the whole text), `reason` (a value of
            RejectReason) and `detail`.
        """
        start = 0
        for batch in self._spool.batches():
            verdicts = self._verdicts[start : start + batch.num_rows]
            start += batch.num_rows
            if verdicts.any():
                yield rejects(batch, verdicts)

    def empty_values(self, columns: Collection[str]) -> dict[str, int]:
        """Count the accepted rows without text in each of these columns. Reads all rows."""
        counts = dict.fromkeys(columns, 0)
        start = 0
        for batch in self._spool.batches() if counts else ():
            accepted = pa.array(self._verdicts[start : start + batch.num_rows] == ACCEPTED)
            own = self.origins.at(start).columns if batch.num_rows else ()
            start += batch.num_rows
            variables = batch["variables"].filter(accepted)
            for name in counts:
                if name in own:
                    empty = is_empty(variables, name, is_first=name == own[0])
                    counts[name] += empty.true_count
                else:
                    counts[name] += len(variables)
        return counts

    def close(self) -> None:
        """Remove the temporary file, and free the memory, whoever still holds this object."""
        self._directory.cleanup()
        for name in ("address_keys", "domain_keys", "providers", "_verdicts"):
            empty = np.empty_like(getattr(self, name)[:0])
            object.__setattr__(self, name, empty)  # frozen for everybody else
        object.__setattr__(self, "ranking", None)
        object.__setattr__(self, "zones", None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _counts(verdicts: npt.NDArray[np.uint8]) -> dict[RejectReason, int]:
    numbers = np.bincount(verdicts, minlength=len(VERDICTS))
    counts = {reason: int(numbers[VERDICTS.index(reason)]) for reason in RejectReason}
    return {**counts, RejectReason.SUPPRESSED: int(numbers[SUPPRESSED:].sum())}


def _unanswered(look_ups: LookUps) -> str:
    if not look_ups.answered and not look_ups.known:
        return (
            "no name server answered, so nobody knows who hosts the mailboxes of"
            f" {look_ups.unanswered:,} domains. Correct the network of this machine, or name the"
            " servers to ask in MAILSLUICE_NAMESERVERS; or launch all the same: these recipients"
            " count as other domains"
        )
    return (
        f"domains without an answer from name servers: {look_ups.unanswered:,}. Their recipients"
        " count as other domains, and get the mail"
    )
