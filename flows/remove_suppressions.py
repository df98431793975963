"""The flow that removes addresses from the suppression list by hand."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any

from prefect.client.schemas.objects import State
from pydantic import Field

from flows.support.operation import operation
from flows.support.suppression_list import changed
from mailsluice.operations.suppression import by_hand


@operation("remove-suppressions", run_name="remove suppressions")
async def remove_suppressions(
    addresses: Annotated[Sequence[str], Field(max_length=1_000)] = (),
    path: str = "",
    email_column: Annotated[str, Field(min_length=1)] = "email",
    even_unsubscribed: bool = False,
) -> State[Any]:
    """Remove addresses from the suppression list, so that the next campaign may send to them.

    The bounces of these addresses so far no longer count. A campaign that has left them out already
    does not send to them. Returns the `Change`.

    Args:
        addresses: The addresses, at most 1,000. Prefect stores them with this run, in clear text;
            use a file to avoid that.
        path: A CSV or Parquet file of addresses, on the worker's machine.
        email_column: The file's column of addresses.
        even_unsubscribed: Also remove people who unsubscribed or complained. Do this only with
            their consent; without it, it is against the law in most places.
    """
    return await changed(
        partial(
            by_hand.remove,
            given=addresses,
            path=path,
            email_column=email_column,
            even_wishes=even_unsubscribed,
        )
    )
