"""A row of the source as it lies in the spool, and as a rejected row is shown."""

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
    """Why a row of the source is not in the audience. The first that applies is given."""

    INVALID = "invalid"
    """It has no address that mail could be sent to, or not the right number of fields."""
    DUPLICATE = "duplicate"
    """An earlier row has the same address."""
    EXCLUDED = "excluded"
    """The campaign's `exclude` source has the address."""
    SUPPRESSED = "suppressed"
    """It is on the suppression list."""


ACCEPTED, INVALID, DUPLICATE, EXCLUDED, SUPPRESSED = range(len(RejectReason) + 1)
"""The fate of a row as one byte; SUPPRESSED is the first of one for each `SuppressionReason`."""
HELD_BACK: dict[SuppressionReason, int] = {
    one: SUPPRESSED + rank for rank, one in enumerate(SuppressionReason)
}
VERDICTS = ("accepted", *RejectReason, *[RejectReason.SUPPRESSED] * (len(SuppressionReason) - 1))

SCHEMA = pa.schema(
    {
        "row": pa.int64(),
        "email": TEXT,
        "domain": TEXT,
        "variables": TEXT,
        "raw": TEXT,  # only where it differs from email
        "detail": TEXT,
    }
)

_MAX_RAW = 1_000  # characters of a rejected row's text


def stored(chunk: Chunk, checked: pd.DataFrame) -> pa.RecordBatch:
    """Put the rows of a chunk and what `normalise` found about them into one batch."""
    raw, email = as_array(chunk.email), as_array(checked["email"])
    columns = [
        pa.array(chunk.rows),
        email,
        as_array(checked["domain"]),
        to_json(chunk.variables),
        pc.if_else(pc.equal(raw, email), pa.scalar(None, TEXT), raw),
        as_array(checked["reason"]),
    ]
    return pa.record_batch(columns, schema=SCHEMA)


def stored_malformed(rows: dict[int, str]) -> pa.RecordBatch:
    """Put rows with a wrong number of fields (row number: text) into one batch."""
    blank = [""] * len(rows)
    detail = ["malformed row: not as many fields as the header"] * len(rows)
    columns = [list(rows), blank, blank, blank, list(rows.values()), detail]
    return pa.record_batch(columns, schema=SCHEMA)


def rejects(batch: pa.RecordBatch, verdicts: npt.NDArray[np.uint8]) -> pd.DataFrame:
    """Show the rejected rows of a batch: `row`, `email` as it was given, `reason`, `detail`.

    The text is cut after 1,000 characters and has no NUL, which not every database can store.
    """
    rejected = verdicts != ACCEPTED
    batch, verdicts = batch.filter(pa.array(rejected)), verdicts[rejected]
    repeated = pa.array(verdicts == DUPLICATE)  # of one that is suppressed, perhaps
    raw = pc.utf8_slice_codeunits(pc.coalesce(batch["raw"], batch["email"]), 0, _MAX_RAW)
    return pd.DataFrame(
        {
            "row": batch["row"].to_numpy(),
            "email": pc.replace_substring(raw, "\0", "\ufffd").to_pandas(),
            "reason": pd.Series(np.array(VERDICTS, object)[verdicts], dtype="str"),
            "detail": pc.if_else(repeated, pa.scalar("", TEXT), batch["detail"]).to_pandas(),
        }
    )
