"""What a recipient would read, addressed to somebody else."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import datetime

import pandas as pd

from mailsluice.audience.address import normalise
from mailsluice.audience.sample import Sample
from mailsluice.campaign import Campaign, Header
from mailsluice.core.envelope import Envelope
from mailsluice.core.errors import CampaignError
from mailsluice.core.folding import folded
from mailsluice.message import compile_message

MOST = 10
"""Addresses that copies go to."""
NOWHERE = "https://unsubscribe.invalid/test-copy"
"""What a copy has for the recipient's unsubscribe address (RFC 2606 section 2: leads nowhere)."""


def checked_addresses(to: Sequence[str]) -> list[str]:
    """The addresses as they are sent to, each mailbox once, in order.

    Raises CampaignError, which names a wrong one by its number.
    """
    if not 1 <= len(to) <= MOST:
        raise CampaignError(f"copies go to 1 to {MOST} addresses, not {len(to)}: change 'to'")
    found = normalise(pd.Series(to, dtype="str"))["email"].tolist()
    if "" in found:
        raise CampaignError(
            f"address {found.index('') + 1} of 'to' is none that mail can go to: write it as"
            " user@example.com"
        )
    first: dict[str, str] = {}
    for email in found:
        first.setdefault(folded(email), email)
    return [*first.values()]


def copies(
    campaign: Campaign,
    sample: Sample,
    to: Collection[str],
    *,
    connection: str,
    occasion: str,
    now: Callable[[], datetime],
) -> list[Envelope]:
    """The message with the sample's values, to each address, over one connection.

    They say in their subject and a header that they are tests. Each has a Message-ID of its own,
    or the recipient's mail would pass for a duplicate: `occasion` tells one test from another.
    There is no List-Unsubscribe, and the unsubscribe address in the text leads nowhere: a click
    would unsubscribe the recipient whose values are shown. Raises MessageError.
    """
    marked = campaign.message.model_copy(
        update={
            "subject": f"[Test via {connection}] {campaign.message.subject}",
            "headers": (
                *campaign.message.headers,
                Header(name="X-Mailsluice-Test", value=connection),
            ),
            "unsubscribe_url": None,
        }
    )
    variables = {**sample.variables, "unsubscribe_url": NOWHERE}
    compiled = compile_message(
        marked,
        campaign=f"{occasion}: test of {campaign.name} over {connection}",
        columns=[*variables],
        now=now,
    )
    return [
        compiled.render(number, sample.email, variables, address)
        for number, address in enumerate(to, 1)
    ]
