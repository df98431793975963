"""The MIME structure, which the `email` package builds once, cut where the bodies go."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from email.message import EmailMessage
from email.policy import SMTP

from mailsluice.message.attachments import Attachment
from mailsluice.message.inline_images import InlineImage

_BODY = "body-{}-goes-here"


def mime_skeleton(
    subtypes: Sequence[str],
    attachments: Collection[Attachment],
    marker: str,
    images: Collection[InlineImage] = (),
    method: str | None = None,
) -> tuple[bytes, ...]:
    """Return the pieces of the message before, between and after the text bodies.

    A body is inserted with its own Content-Transfer-Encoding line, which follows the piece before.

    Args:
        subtypes: "plain", "html", or both in that order (multipart/alternative, RFC 2046 section
            5.1.4), and perhaps "calendar" after them.
        attachments: The files.
        marker: The beginning of every boundary.
        images: The images, which the bodies refer to (multipart/related, RFC 2387).
        method: The method of the calendar (RFC 6047 section 2.4).

    Returns:
        `len(subtypes) + 1` pieces.
    """
    message = EmailMessage(policy=SMTP)
    message.set_content(_BODY.format(0), subtype=subtypes[0], cte="7bit")
    if len(subtypes) > 1:
        message.make_alternative(boundary=f"{marker}a")
    for number, subtype in enumerate(subtypes[1:], start=1):
        message.add_alternative(_BODY.format(number), subtype=subtype, cte="7bit")
        if subtype == "calendar" and method:
            [*_, part] = message.iter_parts()
            part.set_param("method", method)
    if images:
        message = _related(message, images, f"{marker}r")
    if attachments:
        message.make_mixed(boundary=f"{marker}m")
    for attachment in attachments:
        attachment.attach_to(message)
    for part in message.walk():
        if part.get_content_maintype() == "text" and not part.is_attachment():
            del part["Content-Transfer-Encoding"]
    return _cut(message.as_bytes(), len(subtypes))


def _related(bodies: EmailMessage, images: Iterable[InlineImage], boundary: str) -> EmailMessage:
    """Put the bodies and their images into a multipart/related, which is then the message."""
    message = EmailMessage(policy=SMTP)
    message["MIME-Version"] = bodies["MIME-Version"]
    del bodies["MIME-Version"]
    message.make_related(boundary=boundary)
    message.attach(bodies)
    message.set_param("type", bodies.get_content_type())
    for image in images:
        image.add_to(message)
    return message


def _cut(rest: bytes, bodies: int) -> tuple[bytes, ...]:
    pieces = []
    for number in range(bodies):
        piece, _, rest = rest.partition(f"\r\n\r\n{_BODY.format(number)}\r\n".encode())
        pieces.append(piece)
    return (*pieces, rest)
