"""The flow by which a person puts addresses on the list of suppressions."""

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
    """Put addresses on the list: they get no mail any more, whatever the campaign.

    Campaigns that are being sent leave them out from now on. Returns what became of them.

    Args:
        addresses: The addresses, at most 1,000. Prefect keeps them with this run, in clear: a file
            and import-suppressions avoid that, and take any number.
        reason: Why. Who unsubscribed or complained is not taken off the list again by mistake.
    """
    return await changed(partial(by_hand.add, given=addresses, reason=reason, source="an operator"))
