"""The flow by which a person takes addresses off the list of suppressions."""

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
    """Take addresses off the list: the next campaign may send to them again.

    What came back from them so far is forgotten. A campaign that left them out already does not
    take them up again. Returns what became of them.

    Args:
        addresses: The addresses, at most 1,000. Prefect keeps them with this run, in clear: a file
            avoids that.
        path: A CSV or Parquet file of addresses, as the worker sees it.
        email_column: The file's column of addresses.
        even_unsubscribed: Remove also those whose owners unsubscribed or complained. Only with
            their consent: else it is against the law in most places.
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
