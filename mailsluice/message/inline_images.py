"""Images in the message itself, which its HTML shows by their file names.

The HTML of the document says `cid:logo.png`. A Content-ID has to be unique in the world (RFC 2045
section 7), or a reply that quotes another mail shows the wrong logo: so the HTML that is sent has
Content-IDs in the place of the names.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from email.message import EmailMessage
from hashlib import blake2b

from mailsluice.campaign import Message
from mailsluice.campaign.message import image_name
from mailsluice.core.errors import MessageError
from mailsluice.message.attachments import content_type, read_file
from mailsluice.message.headers import one_line
from mailsluice.message.image_references import with_references

_LONGEST_SHOWN = 100
"""Characters of a name in an error."""


@dataclass(frozen=True, slots=True)
class InlineImage:
    """An image of the message."""

    name: str
    content_id: str
    subtype: str
    data: bytes

    def add_to(self, message: EmailMessage) -> None:
        """Add the image to a multipart/related, in base64."""
        message.add_related(
            self.data,
            maintype="image",
            subtype=self.subtype,
            cid=f"<{self.content_id}>",
            filename=one_line(self.name),
            disposition="inline",
        )


def read_images(message: Message, domain: str) -> tuple[InlineImage, ...]:
    """Read the images, in the message's order; `domain` is that of their Content-IDs.

    Raises MessageError if one cannot be read, or is not an image by its name.
    """
    return tuple(_image(path, domain) for path in message.inline_images)


def _image(path: str, domain: str) -> InlineImage:
    maintype, subtype = content_type(path)
    if maintype != "image":
        raise MessageError(
            f"inline image {path!r} is not an image by its name: give a file such as logo.png, or"
            " send it as an attachment"
        )
    data, name = read_file(path), image_name(path)
    digest = blake2b(data, digest_size=12, person=b"inline", key=name.encode()[:64]).hexdigest()
    return InlineImage(name, f"{digest}@{domain}", subtype, data)


def with_content_ids(html: str | None, images: Sequence[InlineImage]) -> str | None:
    """Put the Content-IDs of the images in the place of their names.

    Raises MessageError for a name that no image has.
    """
    if html is None:
        return None
    ids = {image.name: image.content_id for image in images}

    def identified(name: str) -> str:
        if name not in ids:
            raise _unknown(name, [*ids])
        return ids[name]

    return with_references(html, identified)


def _unknown(name: str, known: Sequence[str]) -> MessageError:
    is_template, name = "{" in name, one_line(name[:_LONGEST_SHOWN])
    if is_template:
        return MessageError(
            f"html: cid:{name} depends on the recipient, and the name of an inline image cannot:"
            " write each image out, with {% if ... %} around it"
        )
    near = get_close_matches(name, known, n=3)
    names = ", ".join(map(repr, known)) or "none"
    advice = f"did you mean {' or '.join(map(repr, near))}? " if near else ""
    return MessageError(
        f"html shows cid:{name}, and no inline image has this file name: {advice}The inline images"
        f" are: {names}. Correct the name, or add the file to inline_images"
    )


def unused_images(message: Message) -> Iterator[str]:
    """Yield the names of inline images that the HTML does not show."""
    shown = set[str]()

    def noted(name: str) -> str:
        shown.add(name)
        return name

    with_references(message.html or "", noted)
    for path in message.inline_images:
        if image_name(path) not in shown:
            yield image_name(path)
