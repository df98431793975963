"""The flow that writes down who gets no mail."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from prefect.client.schemas.objects import State
from pydantic import Field

from flows.support.operation import operation
from flows.support.suppression_list import changed
from mailsluice.core.suppression_reason import SuppressionReason
from mailsluice.operations.suppression import exporting


@operation("export-suppressions", run_name="export suppressions")
async def export_suppressions(
    path: Annotated[str, Field(min_length=1)],
    reasons: Sequence[SuppressionReason] = (),
    overwrite: bool = False,
) -> State[Any]:
    """Write the addresses that get no mail into a CSV or Parquet file: email, reason, source, date.

    The file appears under its name when it is complete; import-suppressions reads it back.

    Args:
        path: The file to write, as the worker sees it: .csv or .parquet, which says the format.
        reasons: Only those that are on the list for one of these reasons. Left empty: all.
        overwrite: Replace the file where there is one.
    """
    return await changed(
        partial(
            exporting.export_suppressions,
            path=Path(path),
            reasons=reasons,
            overwrite=overwrite,
        )
    )
