"""Making copies of a recipient's message for other addresses."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import datetime

import pandas as pd

from mailsluice.audience.address import normalise
from mailsluice.audience.sample import Sample
from mailsluice.campaign import Campaign, Header, SenderIdentity
from mailsluice.core.envelope import Envelope
from mailsluice.core.errors import CampaignError
from mailsluice.core.folding import folded
from mailsluice.message import compile_message
from mailsluice.operations.probes.fields import PROBE_HEADER

MOST = 10
"""The most addresses that copies go to."""
MOST_PROBES = 20
"""The most probe mailboxes of a test."""
NOWHERE = "https://unsubscribe.invalid/test-copy"
"""The unsubscribe address in copies, which leads nowhere (RFC 2606 section 2)."""
_UNSUBSCRIBING = ("unsubscribe_url", "one_click_url", "unsubscribe_mailbox")
"""Fields of an identity that copies leave out."""


def checked_addresses(to: Sequence[str], least: int = 1) -> list[str]:
    """Check and normalise addresses, keeping each mailbox once, in order.

    At least `least` are expected. Raises CampaignError, which names a wrong address by its number.
    """
    if not least <= len(to) <= MOST:
        raise CampaignError(f"copies go to {least} to {MOST} addresses, not {len(to)}: change 'to'")
    normalised = normalise(pd.Series(to, dtype="str"))["email"].tolist()
    if "" in normalised:
        raise CampaignError(
            f"address {normalised.index('') + 1} of 'to' is not an address: write it as"
            " user@example.com"
        )
    first: dict[str, str] = {}
    for email in normalised:
        first.setdefault(folded(email), email)
    return [*first.values()]


def copies(
    campaign: Campaign,
    sample: Sample,
    to: Collection[str],
    *,
    connection: str,
    identity: SenderIdentity,
    occasion: str,
    now: Callable[[], datetime],
    probe: str = "",
    is_marked: bool = True,
) -> list[Envelope]:
    """Make a copy of the sample's message for each address, to be sent over one connection.

    `identity` is who the campaign's mail is from on the connection. A provider gets a token that no
    campaign has made.

    With `probe`, a header has this value, by which probe mailboxes know the copy. Without
    `is_marked`, the subject is that of the real mail, as spam filters judge it.

    The subject and a header mark a copy as a test. Each copy has a Message-ID of its own, because
    mailboxes would otherwise drop the real message as a duplicate; `occasion` distinguishes tests.
    Copies have no List-Unsubscribe, and their unsubscribe address leads nowhere: a click would
    unsubscribe the recipient whose values are shown. Raises MessageError.
    """
    subject = campaign.message.subject
    marks = [Header(name="X-Mailsluice-Test", value=connection)]
    if probe:
        marks.append(Header(name=PROBE_HEADER, value=probe))
    marked = campaign.message.model_copy(
        update={
            "subject": f"[Test via {connection}] {subject}" if is_marked else subject,
            "headers": (*campaign.message.headers, *marks),
            "unsubscribe_url": None,
        }
    )
    variables = {**sample.variables, "unsubscribe_url": NOWHERE}
    compiled = compile_message(
        marked,
        campaign=f"{occasion}: test of {campaign.name} over {connection}",
        columns=[*variables],
        now=now,
        identity=identity.model_copy(update=dict.fromkeys(_UNSUBSCRIBING)),
    )
    return [
        compiled.render(number, sample.email, variables, address)
        for number, address in enumerate(to, 1)
    ]
