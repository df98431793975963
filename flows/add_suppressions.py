"""The flow that adds addresses to the suppression list by hand."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any

from prefect.client.schemas.objects import State
from pydantic import Field

from flows.support.operation import operation
from flows.support.suppression_list import changed
from mailsluice.core.suppression_reason import SuppressionReason
from mailsluice.operations.suppression import by_hand


@operation("add-suppressions", run_name="add suppressions")
async def add_suppressions(
    addresses: Annotated[Sequence[str], Field(min_length=1, max_length=1_000)],
    reason: SuppressionReason = SuppressionReason.MANUAL,
) -> State[Any]:
    """Add addresses to the suppression list, so that no campaign sends to them any more.

    Campaigns that are being sent leave them out from now on. Returns the `Change`.

    Args:
        addresses: The addresses, at most 1,000. Prefect stores them with this run, in clear text;
            import-suppressions reads a file of any length instead.
        reason: Why. People who unsubscribed or complained cannot be removed by mistake.
    """
    return await changed(partial(by_hand.add, given=addresses, reason=reason, source="an operator"))
