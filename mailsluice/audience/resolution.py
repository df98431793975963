"""Read the recipients, check them, and remove duplicates, exclusions and suppressions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from mailsluice.audience.address import normalise, wildcards
from mailsluice.audience.chunk import Chunk, as_array
from mailsluice.audience.domains import Domains
from mailsluice.audience.engines import Connect
from mailsluice.audience.hosting import Hosted, hosting
from mailsluice.audience.keys import Keys, KeySet, address_keys, repeated
from mailsluice.audience.origins import Origin, Origins
from mailsluice.audience.ranking import RankingReader
from mailsluice.audience.remote.storage import NO_STORAGES, Storages
from mailsluice.audience.resolved import Audience
from mailsluice.audience.source import read_chunks
from mailsluice.audience.spool import Spool
from mailsluice.audience.stored import (
    ACCEPTED,
    DUPLICATE,
    EXCLUDED,
    HELD_BACK,
    INVALID,
    NO_MAIL_SERVER,
    SCHEMA,
    stored,
    stored_malformed,
)
from mailsluice.audience.time_zones import TimeZoneReader
from mailsluice.campaign import RecipientSource, SendingWindow
from mailsluice.core.errors import AudienceError
from mailsluice.core.memory import Trimming, return_memory
from mailsluice.core.suppression import Suppression

Suppressed = Callable[["pd.Series[str]", Keys], Mapping[int, Suppression]]
"""Returns the suppressions of normalised addresses (n,) with keys (n, 2), by position."""


def resolve(
    sources: Sequence[RecipientSource],
    *,
    exclude: Sequence[RecipientSource] = (),
    suppressed: Suppressed,
    hosted: Hosted,
    connect: Connect,
    storages: Storages = NO_STORAGES,
    order_by: str | None = None,
    window: SendingWindow | None = None,
) -> Audience:
    """Read, check and deduplicate the recipients of a campaign.

    Sources are read one after the other. Of several rows with the same address, the first one
    counts, also where they are in different sources.

    Args:
        sources: The recipients.
        exclude: Addresses that do not get the mail.
        suppressed: Looks addresses up in the suppression list.
        hosted: Finds the mailbox providers of domains.
        connect: Turns the name of a database block into an engine.
        storages: The storages that sources name.
        order_by: The column that orders the recipients, if any.
        window: The sending window, which may name columns with the recipients' time zones.

    Raises:
        AudienceError: A source cannot be read, the recipients have no rows, or a column that the
            document names is missing or of no use.
    """
    # The C library's memory can be returned to the system; it is as fast, and its peak is lower.
    pa.set_memory_pool(pa.system_memory_pool())
    exclusions = _exclusions(exclude, connect, storages)
    directory = TemporaryDirectory(prefix="mailsluice-audience-", ignore_cleanup_errors=True)
    try:
        spool = Spool(Path(directory.name, "rows"), SCHEMA)
        ranking = RankingReader(order_by) if order_by else None
        zones = (
            TimeZoneReader(window.zone_column, window.country_column)
            if window and window.in_own_zones
            else None
        )
        reading = _Reading(spool, exclusions.keys, suppressed, ranking, zones)
        trimming = Trimming()
        for source in sources:
            for chunk in read_chunks(source, connect=connect, storages=storages):
                reading.add(chunk)
                trimming.processed(len(chunk.rows))
            reading.end(source)
        reading.spool.close()
        if not reading.verdicts:
            raise AudienceError(
                "the audience is empty: the source has its columns, but no rows; check the file "
                "or the query"
            )
        return _finish(reading, hosted, directory, exclusions)
    except BaseException:
        directory.cleanup()
        raise


@dataclass
class _Reading:
    """The rows read so far, in buffers that grow in place, without copies or a scattered heap."""

    spool: Spool
    excluded: KeySet
    suppressed: Suppressed
    ranking: RankingReader | None
    zones: TimeZoneReader | None
    origins: list[Origin] = field(default_factory=list)
    """The sources that were read to their end."""
    left_out: set[str] = field(default_factory=set)
    """Columns of any source that are not text."""
    columns: tuple[str, ...] = ()
    """The columns of the source that is being read."""
    rows_before: int = 0
    """Rows of the sources that were read before."""
    last_row: int = 0
    verdicts: bytearray = field(default_factory=bytearray)
    """uint8 by stored row."""
    address_keys: bytearray = field(default_factory=bytearray)
    """Two uint64 by valid row."""
    domains: Domains = field(default_factory=Domains)
    domain_numbers: bytearray = field(default_factory=bytearray)
    """int32 by valid row."""
    apostrophes: int = 0

    def add(self, chunk: Chunk) -> None:
        self.columns = tuple(chunk.variables.columns)
        self.left_out.update(chunk.left_out)
        checked = normalise(chunk.email)
        valid = (checked["reason"] == "").to_numpy(bool)
        emails = checked["email"][valid].reset_index(drop=True)
        keys = address_keys(as_array(emails))
        self.apostrophes += pc.starts_with(as_array(emails), "'").true_count
        verdicts = np.full(len(valid), INVALID, np.uint8)
        verdicts[valid] = ACCEPTED
        at = np.flatnonzero(valid)
        if entries := self.suppressed(emails, keys):
            rows = at[list(entries)]
            verdicts[rows] = [HELD_BACK[entry.kind] for entry in entries.values()]
            checked.loc[rows, "reason"] = [entry.why for entry in entries.values()]
        excluded = at[self.excluded.contains(keys)]
        verdicts[excluded] = EXCLUDED
        checked.loc[excluded, "reason"] = ""
        self.address_keys += keys.tobytes()
        self.domain_numbers += self.domains.add(as_array(checked["domain"][valid])).tobytes()
        if self.ranking:
            self.ranking.add(chunk.variables, valid)
        if self.zones:
            self.zones.add(chunk.variables, valid)
        self._store(stored(chunk, checked, self.rows_before), verdicts, chunk.malformed)

    def _store(
        self, rows: pa.RecordBatch, verdicts: npt.NDArray[np.uint8], malformed: dict[int, str]
    ) -> None:
        if malformed:
            rows = pa.concat_batches([rows, stored_malformed(malformed, self.rows_before)])
            verdicts = np.append(verdicts, np.full(len(malformed), INVALID, np.uint8))
            order = np.argsort(rows["row"].to_numpy())
            rows, verdicts = rows.take(order), verdicts[order]
        self.last_row = rows["row"][-1].as_py() if len(rows) else self.last_row
        self.spool.append(rows)
        self.verdicts += verdicts.tobytes()

    def end(self, source: RecipientSource) -> None:
        """Note what was read from a source, before the next one."""
        origin = Origin(source.label, self.columns, self.rows_before, len(self.verdicts))
        self.origins.append(origin)
        self.columns, self.rows_before = (), self.last_row


def _finish(
    reading: _Reading,
    hosted: Hosted,
    directory: TemporaryDirectory[str],
    exclusions: _Exclusions,
) -> Audience:
    return_memory(len(reading.verdicts))  # else the memory of the last chunk stays in use
    verdicts = np.frombuffer(reading.verdicts, np.uint8)
    keys = np.frombuffer(reading.address_keys, np.uint64).reshape(-1, 2)
    domains = np.frombuffer(reading.domain_numbers, np.int32)
    duplicates = repeated(keys)
    valid = verdicts != INVALID
    verdicts[np.flatnonzero(valid)[duplicates]] = DUPLICATE
    accepted = verdicts[valid] == ACCEPTED
    if not accepted.all():
        keys, domains = keys[accepted], domains[accepted]
    found = hosting(domains, reading.domains, hosted)
    providers, takes_mail = found.numbers, found.numbers > 0
    if not takes_mail.all():
        verdicts[np.flatnonzero(verdicts == ACCEPTED)[~takes_mail]] = NO_MAIL_SERVER
        keys, domains, providers = keys[takes_mail], domains[takes_mail], providers[takes_mail]
    origins = Origins(reading.origins, verdicts == ACCEPTED)
    is_accepted = verdicts[valid] == ACCEPTED
    return Audience(
        origins.columns,
        tuple(sorted(reading.left_out)),
        len(verdicts),
        keys,
        reading.domains.keys()[domains],
        providers,
        found.names,
        found.look_ups,
        reading.ranking.finish(is_accepted) if reading.ranking else None,
        reading.zones.finish(is_accepted) if reading.zones else None,
        origins,
        reading.apostrophes,
        exclusions.bad,
        exclusions.wildcards,
        tuple(exclusions.empty),
        verdicts,
        reading.spool,
        directory,
    )


class _Exclusions(NamedTuple):
    """The excluded addresses."""

    keys: KeySet
    bad: int
    """Rows without an address."""
    wildcards: int
    """Rows whose address looks like a pattern."""
    empty: list[str]
    """The labels of sources without rows."""


def _exclusions(
    sources: Sequence[RecipientSource], connect: Connect, storages: Storages
) -> _Exclusions:
    """Read the excluded addresses, and count the rows that exclude nobody, or one mailbox only."""
    keys, bad, patterns, empty = bytearray(), 0, 0, list[str]()
    for source in sources:
        rows = 0
        for chunk in read_chunks(source, connect=connect, storages=storages):
            emails = normalise(chunk.email)["email"]
            rows += len(emails) + len(chunk.malformed)
            bad += int((emails == "").sum()) + len(chunk.malformed)
            patterns += wildcards(emails)
            keys += address_keys(as_array(emails[emails != ""])).tobytes()
        if not rows:
            empty.append(source.label)
    known = KeySet.of(np.frombuffer(keys, np.uint64).reshape(-1, 2))
    return _Exclusions(known, bad, patterns, empty)
