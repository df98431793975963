"""The flow that takes over a list of addresses that get no mail."""

from __future__ import annotations

from functools import partial
from typing import Any

from prefect.client.schemas.objects import State

from blocks.loading import load_database
from flows.support.operation import operation
from flows.support.suppression_list import changed
from mailsluice.audience.engines import Engines
from mailsluice.campaign import RecipientSource
from mailsluice.core.suppression_reason import SuppressionReason
from mailsluice.operations.suppression import importing


@operation("import-suppressions", run_name="import suppressions")
async def import_suppressions(
    addresses: RecipientSource, reason: SuppressionReason = SuppressionReason.IMPORTED
) -> State[Any]:
    """Put the addresses of a file or a query on the list of those that get no mail.

    The columns reason (or type), source and date (or created) are read where they are there. A
    reason may be ours, or as SendGrid, Mailgun, Amazon SES, SparkPost, Postmark or Mailchimp call
    it. Bad rows are counted, and told by their number. Doing it again changes nothing. Returns what
    became of the rows.

    Args:
        addresses: Where the addresses are.
        reason: Why rows that say no reason, or none that is known, are on the list.
    """
    engines = await _engines(addresses)
    return await changed(
        partial(
            importing.import_suppressions,
            source=addresses,
            reason=reason,
            connect=engines.__getitem__,
        )
    )


async def _engines(addresses: RecipientSource) -> Engines:
    name = addresses.database
    return {name: (await load_database(name)).get_engine()} if name else {}
