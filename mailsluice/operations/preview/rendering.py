"""Rendering a campaign's message for a few recipients, as it would be sent.

The message is read back from the bytes that would go over the wire, so the preview shows what
arrives. No secret of a campaign is in it: links to unsubscribe lead nowhere, and tokens are made
with a key that no campaign has.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.headerregistry import HeaderRegistry, UnstructuredHeader
from email.message import EmailMessage, Message

import numpy as np
import numpy.typing as npt

from mailsluice.audience.resolved import Audience
from mailsluice.audience.sample import Sample, first_in
from mailsluice.campaign import Campaign, SenderIdentity
from mailsluice.core.errors import MessageError
from mailsluice.message import CompiledMessage, compile_message, new_key
from mailsluice.operations.plan.insertions import inserted_columns
from mailsluice.operations.preview.choosing import choose
from mailsluice.operations.preview.hiding import hidden, hidden_in_html
from mailsluice.operations.preview.messages import (
    MOST_CHARACTERS,
    MOST_FIELDS,
    Elsewhere,
    Field,
    MessagePreview,
    ShownMessage,
    bounded,
    cut,
)

NOWHERE = "https://unsubscribe.invalid/preview"
"""The address of links to unsubscribe, which lead nowhere (RFC 2606 section 2)."""
LOOKED_AT = 1_000
"""Recipients, spread over the send order, among which the extreme ones are found."""
_LINKS = ("unsubscribe_url", "one_click_url")
_WORDS = policy.default.clone(
    header_factory=HeaderRegistry(default_class=UnstructuredHeader, use_default_map=False)
)
"""Decodes header fields as text: the library fails at some addresses that are none, such as `<`."""


def message_preview(
    campaign: Campaign,
    audience: Audience,
    order: npt.NDArray[np.int64],
    over: Callable[[int], str],
    identities: Mapping[str, SenderIdentity],
    chosen: Sample | None = None,
) -> MessagePreview:
    """Render the message for a few recipients, with addresses hidden.

    Args:
        campaign: The campaign; its message must compile for this audience.
        audience: Its recipients.
        order: The audience index at each send position.
        over: Returns the connection of the recipient at a send position.
        identities: The identity on each connection.
        chosen: A recipient that an operator has chosen, to be shown first.
    """
    places = np.unique(np.linspace(0, len(order) - 1, LOOKED_AT).astype(np.int64))
    places = places if len(order) else places[:0]
    candidates = first_in(audience, order[places], len(places))
    columns = inserted_columns(campaign.message, audience.columns) or audience.columns
    shown = [
        (why, over(int(places[number])), candidates[number])
        for number, why in choose(candidates, columns)
    ]
    if chosen:
        others = [one for one in shown if one[2] != chosen]
        shown = [("the chosen recipient", next(iter(identities)), chosen), *others][: len(shown)]
    compiled = _compiled(campaign, audience, identities)
    return MessagePreview(campaign.name, [_shown(compiled, *one) for one in shown])


def _compiled(
    campaign: Campaign, audience: Audience, identities: Mapping[str, SenderIdentity]
) -> dict[str, CompiledMessage]:
    """The message on each connection; connections with equal identities share one."""
    message = campaign.message
    if message.unsubscribe_url:
        message = message.model_copy(update={"unsubscribe_url": NOWHERE})
    key, now = new_key(), datetime.now(UTC)
    made: dict[SenderIdentity, CompiledMessage] = {}
    for identity in identities.values():
        if identity not in made:
            nowhere = {name: NOWHERE for name in _LINKS if getattr(identity, name)}
            made[identity] = compile_message(
                message,
                campaign=campaign.name,
                columns=audience.columns,
                now=lambda: now,
                return_key=key,
                identity=identity.model_copy(update=nowhere),
            )
    return {name: made[identity] for name, identity in identities.items()}


def _shown(
    compiled: Mapping[str, CompiledMessage], why: str, connection: str, sample: Sample
) -> ShownMessage:
    variables = [
        Field(hidden(cut(name), sample.email), hidden(cut(value), sample.email))
        for name, value in [*sample.variables.items()][:MOST_FIELDS]
    ]
    try:
        content = compiled[connection].render(0, sample.email, sample.variables).content
        headers = _headers(content, sample)
        elsewhere = _elsewhere(compiled, connection, headers, sample)
    except MessageError as error:
        note = f"the message cannot be rendered, so this recipient would fail: {error}"
        return ShownMessage(why, connection, sample.row, variables, notes=[note])
    message = _parsed(content)
    text, notes = bounded("the text part", _body(message, "plain"))
    html, more = bounded("the HTML part", _body(message, "html"))
    calendar, still_more = bounded("the invitation", _invitation(message))
    return ShownMessage(
        why,
        connection,
        sample.row,
        variables,
        headers,
        elsewhere,
        None if text is None else hidden(text, sample.email),
        None if html is None else hidden_in_html(_with_images(html, message), sample.email),
        None if calendar is None else hidden(calendar, sample.email),
        _attachments(message, sample),
        len(content),
        [*notes, *more, *still_more],
    )


def _parsed(content: bytes) -> EmailMessage:
    return message_from_bytes(content, policy=policy.default)


def _headers(content: bytes, sample: Sample) -> list[Field]:
    """The header fields, decoded, in their order."""
    head = content.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
    fields = [*message_from_bytes(head, policy=_WORDS).items()][:MOST_FIELDS]
    return [Field(name, hidden(cut(str(value)), sample.email)) for name, value in fields]


def _elsewhere(
    compiled: Mapping[str, CompiledMessage],
    connection: str,
    headers: Sequence[Field],
    sample: Sample,
) -> list[Elsewhere]:
    """The header fields that differ over other connections."""
    differing = []
    seen = {id(compiled[connection])}
    for name, message in compiled.items():
        if id(message) in seen:
            continue
        seen.add(id(message))
        content = message.render(0, sample.email, sample.variables).content
        fields = [field for field in _headers(content, sample) if field not in headers]
        if fields:
            differing.append(Elsewhere(name, fields))
    return differing


def _with_images(html: str, message: EmailMessage) -> str:
    """The HTML with the message's inline images in it, as far as they are small."""
    for part in message.walk():
        name = (part["Content-ID"] or "").strip("<> ")
        if not name or part.get_content_maintype() != "image" or f"cid:{name}" not in html:
            continue
        data = b64encode(_octets(part)).decode()
        filled = html.replace(f"cid:{name}", f"data:{part.get_content_type()};base64,{data}")
        html = filled if len(filled) <= 2 * MOST_CHARACTERS else html
    return html


def _body(message: EmailMessage, subtype: str) -> str | None:
    part = message.get_body((subtype,))
    return None if part is None else str(part.get_content()).replace("\r\n", "\n")


def _invitation(message: EmailMessage) -> str | None:
    """The calendar with its lines unfolded (RFC 5545 section 3.1), so that addresses are whole."""
    calendar = _body(message, "calendar")
    return None if calendar is None else re.sub(r"\n[ \t]", "", calendar).strip()


def _attachments(message: EmailMessage, sample: Sample) -> list[Field]:
    attachments = [*message.iter_attachments()][:MOST_FIELDS] if message.is_multipart() else []
    return [
        Field(
            hidden(cut(part.get_filename() or "without a name"), sample.email),
            f"{len(_octets(part)) / 1_024:,.1f} kB",
        )
        for part in attachments
    ]


def _octets(part: Message) -> bytes:
    data = part.get_payload(decode=True)
    return data if isinstance(data, bytes) else b""
