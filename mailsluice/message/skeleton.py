"""The MIME structure, which the `email` package builds once, cut where the bodies go."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from email.message import EmailMessage
from email.policy import SMTP

from mailsluice.message.attachments import Attachment

_BODY = "body-{}-goes-here"


def mime_skeleton(
    subtypes: Sequence[str], attachments: Collection[Attachment], marker: str
) -> tuple[bytes, ...]:
    """Return the pieces of the message before, between and after the text bodies.

    A body is inserted with its own Content-Transfer-Encoding line, which follows the piece before.

    Args:
        subtypes: "plain", "html", or both in that order (multipart/alternative, RFC 2046 section
            5.1.4).
        attachments: The files.
        marker: The beginning of every boundary.

    Returns:
        `len(subtypes) + 1` pieces.
    """
    message = EmailMessage(policy=SMTP)
    message.set_content(_BODY.format(0), subtype=subtypes[0], cte="7bit")
    for number, subtype in enumerate(subtypes[1:], start=1):
        message.make_alternative(boundary=f"{marker}a")
        message.add_alternative(_BODY.format(number), subtype=subtype, cte="7bit")
    if attachments:
        message.make_mixed(boundary=f"{marker}m")
    for attachment in attachments:
        attachment.attach_to(message)
    for part in message.walk():
        if part.get_content_maintype() == "text" and not part.is_attachment():
            del part["Content-Transfer-Encoding"]
    return _cut(message.as_bytes(), len(subtypes))


def _cut(rest: bytes, bodies: int) -> tuple[bytes, ...]:
    pieces = []
    for number in range(bodies):
        piece, _, rest = rest.partition(f"\r\n\r\n{_BODY.format(number)}\r\n".encode())
        pieces.append(piece)
    return (*pieces, rest)
