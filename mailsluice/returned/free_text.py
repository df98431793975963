"""Returned mail in its sender's own words, as flufl.bounce knows them. Pure."""

from __future__ import annotations

import logging
import re
from email.message import Message
from email.utils import parseaddr

from flufl.bounce import all_failures

from mailsluice.returned.delivery_status import code_in, status_in
from mailsluice.returned.notice import MAX_TEXT, Reported
from mailsluice.returned.parts import address, parts, plain, text

_COPY = re.compile(r"(?im)^-{3,} ?(?:below|this is a copy|original|returned)")
_SYSTEMS = re.compile(r"(?i)mailer-daemon|postmaster|mail[-_. ]?delivery|microsoftexchange")

logging.getLogger("flufl.bounce").setLevel(logging.CRITICAL)  # it would log what strangers send


def comes_from_a_system(message: Message) -> bool:
    """Whether a mail system has written it, rather than a person or a person's auto-responder."""
    name, sender = parseaddr(str(message.get("From", "")))
    is_named = _SYSTEMS.search(f"{name} {sender}") is not None
    return is_named or "X-Failed-Recipients" in message


def recipients(message: Message) -> tuple[Reported, ...]:
    """What a mail system's own words say; nothing where they are not known."""
    passing, failed = all_failures(message)
    said = _said(message)
    reply = _reply(said)
    named = (
        (is_final, address(one.decode("ascii", "replace")))
        for is_final, addresses in ((True, failed), (False, passing))
        for one in sorted(addresses)
    )
    return tuple(Reported((name,), is_final, *reply) for is_final, name in named if name)


def _said(message: Message) -> str:
    """The words before the mail that is returned."""
    words = (text(part) for part in parts(message) if part.get_content_type() == "text/plain")
    return _COPY.split(b"\n".join(words).decode("ascii", "replace"), maxsplit=1)[0]


def _reply(said: str) -> tuple[str, int | None, str]:
    """(status, code, text) of the server's reply, from the line that holds it."""
    for line in said.splitlines():
        status, code = status_in(line), code_in(line)
        if status or (code and code >= 400):
            return status, code, plain(line)[:MAX_TEXT]
    return "", None, plain(said)[:MAX_TEXT]
