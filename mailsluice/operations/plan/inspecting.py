"""Checking a campaign's message by rendering it for its first recipients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt

from mailsluice.audience.resolved import Audience
from mailsluice.audience.sample import Sample, first_in
from mailsluice.campaign import Campaign, Message, SenderIdentity
from mailsluice.core.errors import MessageError
from mailsluice.core.folding import folded
from mailsluice.core.named_address import addr_spec, parse_mailbox
from mailsluice.message import ascii_domain, compile_message
from mailsluice.message.body import encode_body
from mailsluice.message.calendar import organizer_of
from mailsluice.message.content import Content
from mailsluice.message.inline_images import unused_images
from mailsluice.message.unsubscribing import unsubscribing
from mailsluice.operations.plan.insertions import inserted_columns
from mailsluice.operations.plan.preview import Preview, preview
from mailsluice.operations.plan.warnings import MessageFacts, Reading, file_warnings, warnings

LOOKED_AT = 1_000
"""Recipients whose message is rendered."""


@dataclass(frozen=True, slots=True)
class MessageCheck:
    """Warnings about a message, and its preview."""

    warnings: Sequence[str]
    preview: Preview | None
    """None when the message could not be rendered for any recipient."""


def check_message(
    campaign: Campaign,
    audience: Audience,
    order: npt.NDArray[np.int64],
    over: Sequence[str],
    identities: Mapping[str, SenderIdentity],
) -> MessageCheck:
    """Render the message for the first recipients in send order, and collect warnings.

    Empty values are counted over the whole audience; other warnings concern the rendered messages.
    The message must compile for this audience.

    Args:
        campaign: The campaign.
        audience: Its recipients.
        order: The audience index at each send position.
        over: The connection of each of the first recipients in send order; so many are rendered.
        identities: The identity on each connection.
    """
    contents = {
        identity: Content(
            identity.applied_to(campaign.message),
            audience.columns,
            identity.headers,
            has_link=identity.one_click_url is not None,
        )
        for identity in identities.values()
    }
    readings: list[Reading] = []
    unrendered: list[str] = []
    shown: tuple[str, Sample] | None = None
    for sample, connection in zip(first_in(audience, order, len(over)), over, strict=False):
        try:
            identity = identities[connection]
            readings.append(_read(contents[identity], identity, sample))
        except MessageError as error:
            unrendered.append(f"row {sample.row}: {error}")
        else:
            shown = shown or (connection, sample)
    messages = [identity.applied_to(campaign.message) for identity in contents]
    columns = {name for one in messages for name in inserted_columns(one, audience.columns)}
    facts = MessageFacts(
        sender_domains=sorted({ascii_domain(one.sender).lower() for one in messages}),
        accepted=len(audience),
        readings=readings,
        unrendered=unrendered,
        empty_values=audience.empty_values(sorted(columns)),
    )
    seen = _shown(campaign, audience, *shown, identities, readings[0]) if shown else None
    about_files = file_warnings(
        [*unused_images(campaign.message)],
        has_other_organizer=_has_other_organizer(campaign, messages),
    )
    return MessageCheck([*audience.notes(), *warnings(facts), *about_files], seen)


def _has_other_organizer(campaign: Campaign, messages: Sequence[Message]) -> bool:
    """Whether the invitation is from somebody else than the mail, on some connection."""
    if campaign.message.calendar is None:
        return False
    organizer = organizer_of(campaign.message.calendar)
    senders = [parse_mailbox(one.sender) for one in messages]
    return organizer is not None and any(
        folded(addr_spec(one.username, one.domain)) != folded(organizer) for one in senders
    )


def _read(content: Content, identity: SenderIdentity, sample: Sample) -> Reading:
    values = content.values(sample.email, sample.variables)
    url = content.unsubscribe_url(values)
    _, page = unsubscribing(identity, None)(sample.row, url)
    subject = content.subject(values)
    content.headers(values)  # raises an error if they cannot be rendered
    empty_headers = content.empty_headers(values)
    if page:
        values["unsubscribe_url"] = page
    bodies = dict(zip(content.subtypes, content.bodies(values), strict=True))
    html = bodies.get("html")
    size = 0 if html is None else len(encode_body(html, b"\0").partition(b"\r\n\r\n")[2])
    mailbox = f"mailto:{identity.unsubscribe_mailbox}" if identity.unsubscribe_mailbox else None
    way = identity.one_click_url or url or mailbox
    return Reading(subject, bodies["plain"], html, way, size, empty_headers)


def _shown(
    campaign: Campaign,
    audience: Audience,
    connection: str,
    sample: Sample,
    identities: Mapping[str, SenderIdentity],
    reading: Reading,
) -> Preview:
    compiled = compile_message(
        campaign.message,
        campaign=campaign.name,
        columns=audience.columns,
        now=lambda: datetime.fromtimestamp(0, UTC),
        identity=identities[connection],
    )
    size = len(compiled.render(0, sample.email, sample.variables).content)
    return preview(connection, reading.subject, reading.text, reading.html, sample.email, size)
