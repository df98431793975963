"""Rows of the source as stored in the spool, and as shown when they are rejected."""

from __future__ import annotations

from enum import StrEnum

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from mailsluice.audience.chunk import TEXT, Chunk, as_array
from mailsluice.audience.variables import to_json
from mailsluice.core.suppression_reason import SuppressionReason


class RejectReason(StrEnum):
    """The reason for which a row is not in the audience; of several, the first in this list."""

    INVALID = "invalid"
    """The row has no address that mail could be sent to, or a wrong number of fields."""
    DUPLICATE = "duplicate"
    """An earlier row has the same address."""
    EXCLUDED = "excluded"
    """The campaign's `exclude` source has the address."""
    SUPPRESSED = "suppressed"
    """The suppression list has the address."""
    NO_MAIL_SERVER = "no mail server"
    """The domain of the address takes no mail."""


ACCEPTED, INVALID, DUPLICATE, EXCLUDED, NO_MAIL_SERVER, SUPPRESSED = range(len(RejectReason) + 1)
"""The verdict on a row as a byte. SUPPRESSED is the first of those for each `SuppressionReason`."""
HELD_BACK: dict[SuppressionReason, int] = {
    reason: SUPPRESSED + rank for rank, reason in enumerate(SuppressionReason)
}
VERDICTS = (
    "accepted",
    RejectReason.INVALID,
    RejectReason.DUPLICATE,
    RejectReason.EXCLUDED,
    RejectReason.NO_MAIL_SERVER,
    *[RejectReason.SUPPRESSED] * len(SuppressionReason),
)

SCHEMA = pa.schema(
    {
        "row": pa.int64(),
        "email": TEXT,
        "domain": TEXT,
        "variables": TEXT,
        "raw": TEXT,  # null where it equals email
        "detail": TEXT,
    }
)

_NO_MAIL_SERVER = "the domain does not exist, or takes no mail: check its spelling"
_MAX_RAW = 1_000  # characters of a rejected row's text


def stored(chunk: Chunk, checked: pd.DataFrame, rows_before: int = 0) -> pa.RecordBatch:
    """Put the rows of a chunk, and the result of `normalise` for them, into a batch.

    `rows_before` are the rows of earlier sources: rows are numbered through all sources.
    """
    raw, email = as_array(chunk.email), as_array(checked["email"])
    columns = [
        pa.array(chunk.rows + rows_before),
        email,
        as_array(checked["domain"]),
        to_json(chunk.variables),
        pc.if_else(pc.equal(raw, email), pa.scalar(None, TEXT), raw),
        as_array(checked["reason"]),
    ]
    return pa.record_batch(columns, schema=SCHEMA)


def stored_malformed(rows: dict[int, str], rows_before: int = 0) -> pa.RecordBatch:
    """Put rows with a wrong number of fields (row number: text) into a batch, as `stored` does."""
    blank = [""] * len(rows)
    detail = ["malformed row: not as many fields as the header"] * len(rows)
    numbers = [row + rows_before for row in rows]
    columns = [numbers, blank, blank, blank, list(rows.values()), detail]
    return pa.record_batch(columns, schema=SCHEMA)


def rejects(batch: pa.RecordBatch, verdicts: npt.NDArray[np.uint8]) -> pd.DataFrame:
    """Return the rejected rows of a batch: `row`, `email` as written, `reason`, `detail`.

    Texts are cut after 1,000 characters, and NUL, which not every database can store, is replaced.
    """
    rejected = verdicts != ACCEPTED
    batch, verdicts = batch.filter(pa.array(rejected)), verdicts[rejected]
    repeated = pa.array(verdicts == DUPLICATE)  # their detail may be that of a suppression
    detail = pc.if_else(repeated, pa.scalar("", TEXT), batch["detail"])
    without_server = pa.array(verdicts == NO_MAIL_SERVER)
    detail = pc.if_else(without_server, pa.scalar(_NO_MAIL_SERVER, TEXT), detail)
    raw = pc.utf8_slice_codeunits(pc.coalesce(batch["raw"], batch["email"]), 0, _MAX_RAW)
    return pd.DataFrame(
        {
            "row": batch["row"].to_numpy(),
            "email": pc.replace_substring(raw, "\0", "\ufffd").to_pandas(),
            "reason": pd.Series(np.array(VERDICTS, object)[verdicts], dtype="str"),
            "detail": detail.to_pandas(),
        }
    )
