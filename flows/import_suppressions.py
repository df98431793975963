"""The flow that imports addresses into the suppression list."""

from __future__ import annotations

from functools import partial
from typing import Any

from prefect.client.schemas.objects import State

from blocks.loading import load_access
from flows.support.operation import operation
from flows.support.suppression_list import changed
from mailsluice.campaign import RecipientSource
from mailsluice.core.suppression_reason import SuppressionReason
from mailsluice.operations.suppression import importing


@operation("import-suppressions", run_name="import suppressions")
async def import_suppressions(
    addresses: RecipientSource, reason: SuppressionReason = SuppressionReason.IMPORTED
) -> State[Any]:
    """Import the addresses of a file or a query into the suppression list.

    The columns for reason, source and date are read where they exist, under the headings of
    Mailsluice, SendGrid, Amazon SES, SparkPost, Postmark, Mailchimp or Brevo. A reason may be one
    of Mailsluice or a word of these providers. Bad rows are counted and listed by number. A second
    import of the same rows changes nothing. Returns the `Change`.

    Args:
        addresses: Where the addresses are.
        reason: The reason of rows that have none, or an unknown one.
    """
    access = await load_access(
        filter(None, (addresses.database,)), filter(None, (addresses.storage,))
    )
    return await changed(
        partial(
            importing.import_suppressions,
            source=addresses,
            reason=reason,
            connect=access.connect,
            storages=access.storages,
        )
    )
