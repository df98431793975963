"""Attachments: files that are read once, when the message is compiled."""

from __future__ import annotations

import mimetypes
from dataclasses import dataclass
from email.message import EmailMessage
from hashlib import sha256
from pathlib import Path

from mailsluice.campaign import Message
from mailsluice.core.errors import MessageError
from mailsluice.core.files import FileError, open_named
from mailsluice.message.headers import one_line


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file of the message."""

    filename: str
    maintype: str
    subtype: str
    data: bytes

    def attach_to(self, message: EmailMessage) -> None:
        """Add the file in base64, with its name encoded after RFC 2231."""
        message.add_attachment(
            self.data,
            maintype=self.maintype,
            subtype=self.subtype,
            filename=self.filename,
            params={"charset": "utf-8"} if self.maintype == "text" and self._is_utf8() else None,
        )

    def _is_utf8(self) -> bool:
        try:
            self.data.decode()
        except UnicodeDecodeError:
            return False
        return True


def read_attachments(message: Message) -> tuple[Attachment, ...]:
    """Read the files, in the message's order. Raises MessageError if one cannot be read."""
    return tuple(_attachment(path) for path in message.attachments)


def least_octets(message: Message) -> int:
    """Return the size of the message's files in base64, which no message can be smaller than.

    Raises MessageError if a file cannot be read.
    """
    files = (read_file(path) for path in (*message.attachments, *message.inline_images))
    return sum(-(-len(data) // _LINE_OCTETS) * 76 for data in files)


_LINE_OCTETS = 57
"""Octets that a line of 76 characters holds (RFC 2045 section 6.8); its end is left out."""


def attachment_digests(message: Message) -> dict[str, str]:
    """Return the SHA-256 (hex) of the content of each file, by its path in the message.

    The digests belong to a campaign's content, which may not change between runs. Raises
    MessageError if a file cannot be read.
    """
    calendar = (message.calendar,) if message.calendar else ()
    paths = (*message.attachments, *message.inline_images, *calendar)
    return {path: sha256(read_file(path)).hexdigest() for path in paths}


def _attachment(path: str) -> Attachment:
    maintype, subtype = content_type(path)
    return Attachment(one_line(Path(path).name), maintype, subtype, read_file(path))


_MAX_BYTES = 50 << 20
"""No mail server takes larger messages."""


def read_file(path: str) -> bytes:
    """Read a file of the message. Raises MessageError if that is impossible."""
    try:
        with open_named(path) as file:
            data = file.read(_MAX_BYTES + 1)
    except (OSError, FileError) as error:
        reason = getattr(error, "strerror", None) or error
        raise MessageError(
            f"attachment {path!r} cannot be read: {reason}. The path has to lead to a file on the "
            "machine that sends: correct the path, or remove the attachment"
        ) from error
    if len(data) > _MAX_BYTES:
        raise MessageError(
            f"attachment {path!r} has more than {_MAX_BYTES >> 20} MB, which no mail server takes:"
            " put the file on a web server and link to it"
        )
    return data


def content_type(path: str) -> tuple[str, str]:
    """Guess the content type by the file's name.

    Compressed files are plain octets, and so are nested messages, which do not allow base64
    (RFC 2046 section 5.2.1).
    """
    guessed, compression = mimetypes.guess_type(Path(path).name)
    maintype, _, subtype = (guessed or "").partition("/")
    if compression or not subtype or maintype in {"message", "multipart"}:
        return "application", "octet-stream"
    return maintype, subtype
