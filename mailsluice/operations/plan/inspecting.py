"""Checking a campaign's message by rendering it for its first recipients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt

from mailsluice.audience.resolved import Audience
from mailsluice.audience.sample import Sample, first_in
from mailsluice.campaign import Campaign
from mailsluice.core.errors import MessageError
from mailsluice.message import ascii_domain, compile_message
from mailsluice.message.body import encode_body
from mailsluice.message.content import Content
from mailsluice.operations.plan.insertions import inserted_columns
from mailsluice.operations.plan.preview import Preview, preview
from mailsluice.operations.plan.warnings import MessageFacts, Reading, warnings

LOOKED_AT = 1_000
"""Recipients whose message is rendered."""


@dataclass(frozen=True, slots=True)
class MessageCheck:
    """Warnings about a message, and its preview."""

    warnings: Sequence[str]
    preview: Preview | None
    """None when the message could not be rendered for any recipient."""


def check_message(
    campaign: Campaign, audience: Audience, order: npt.NDArray[np.int64], looked_at: int = LOOKED_AT
) -> MessageCheck:
    """Render the message for the first recipients in send order, and collect warnings.

    Empty values are counted over the whole audience; other warnings concern the rendered messages.
    The message must compile for this audience.
    """
    content = Content(campaign.message, audience.columns)
    readings: list[Reading] = []
    unrendered: list[str] = []
    shown: Sample | None = None
    for sample in first_in(audience, order, looked_at):
        try:
            readings.append(_read(content, sample))
        except MessageError as error:
            unrendered.append(f"row {sample.row}: {error}")
        else:
            shown = shown or sample
    facts = MessageFacts(
        sender_domain=ascii_domain(campaign.message.sender).lower(),
        accepted=len(audience),
        readings=readings,
        unrendered=unrendered,
        empty_values=audience.empty_values(inserted_columns(campaign.message, audience.columns)),
    )
    seen = _shown(campaign, audience, shown, readings[0]) if shown else None
    return MessageCheck([*audience.notes(), *warnings(facts)], seen)


def _read(content: Content, sample: Sample) -> Reading:
    values = content.values(sample.email, sample.variables)
    url = content.unsubscribe_url(values)
    subject = content.subject(values)
    if url:
        values["unsubscribe_url"] = url
    bodies = dict(zip(content.subtypes, content.bodies(values), strict=True))
    html = bodies.get("html")
    size = 0 if html is None else len(encode_body(html, b"\0").partition(b"\r\n\r\n")[2])
    return Reading(subject, bodies["plain"], html, url, size)


def _shown(campaign: Campaign, audience: Audience, sample: Sample, reading: Reading) -> Preview:
    compiled = compile_message(
        campaign.message,
        campaign=campaign.name,
        columns=audience.columns,
        now=lambda: datetime.fromtimestamp(0, UTC),
    )
    size = len(compiled.render(0, sample.email, sample.variables).content)
    return preview(reading.subject, reading.text, reading.html, sample.email, size)
