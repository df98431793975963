"""The flow that exports the suppression list to a file."""

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
    """Export the suppression list to a CSV or Parquet file: email, reason, source, date.

    The file appears under its name when it is complete; import-suppressions can read it.

    Args:
        path: The file to write, on the worker's machine; .csv or .parquet decides the format.
        reasons: Export only addresses with one of these reasons. Left empty: all.
        overwrite: Replace an existing file.
    """
    return await changed(
        partial(
            exporting.export_suppressions,
            path=Path(path),
            reasons=reasons,
            overwrite=overwrite,
        )
    )
