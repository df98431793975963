"""Read returned mail that is only written for people. Pure.

flufl.bounce knows many forms, and finds the addresses. For other forms, only the words count.
"""

from __future__ import annotations

import logging
import re
from email.message import Message

from flufl.bounce import all_failures

from mailsluice.bounces.notice import Reported
from mailsluice.bounces.own_reply import OwnReply
from mailsluice.bounces.quoted_subject import own_subject
from mailsluice.bounces.report_parts import address, field, parse
from mailsluice.bounces.stated_reason import StatedReason
from mailsluice.bounces.words import Topic, topics

_SYSTEMS = re.compile(r"(?i)mailer-daemon|post_?master|mail[-_. ]?deliver|microsoftexchange")
_TELLING = frozenset((Topic.NOBODY, Topic.REJECTED, Topic.FULL))
_MAX_LINES, _MAX_LINE = 300, 200
"""Bounds of the text for flufl.bounce, since some of its patterns take quadratic time."""
_MAX_FIELD = 500

logging.getLogger("flufl.bounce").setLevel(logging.CRITICAL)  # it would log text of strangers


def comes_from_a_system(message: Message) -> bool:
    """Whether a mail system wrote the mail, rather than a person or a person's auto-responder."""
    sender = field(message, "From")[:_MAX_FIELD]
    is_named = _SYSTEMS.search(sender) is not None
    return is_named or sender.endswith("<>") or "X-Failed-Recipients" in message


def recipients(message: Message, content: bytes, stated: StatedReason) -> tuple[Reported, ...]:
    """Read the recipients from a mail system's text; an empty tuple if it is not understood.

    If no address can be found, the words are about the recipient whom the mail's proofs name.
    """
    failed, passing = _named(content)
    named = tuple(
        Reported((name,), is_final, own.status, own.code, text)
        for is_final, names in ((True, failed), (False, passing))
        for name in names
        for own, text in [stated.about((name,), is_alone=len(failed) + len(passing) == 1).reason()]
    )
    return named or _nameless(message, stated)


def _named(content: bytes) -> tuple[list[str], list[str]]:
    """Return the addresses that failed, and those whose mail is delayed."""
    lines = content.split(b"\n")[:_MAX_LINES]
    short = b"\n".join(line[:_MAX_LINE] for line in lines)
    passing, failed = all_failures(parse(short))
    return _readable(failed), _readable(passing)


def _readable(addresses: frozenset[bytes]) -> list[str]:
    names = (address(octets.decode("ascii", "replace")) for octets in sorted(addresses))
    return [name for name in names if name]


def _nameless(message: Message, stated: StatedReason) -> tuple[Reported, ...]:
    own, text = stated.reason()
    subject = own_subject(message)[:_MAX_FIELD]
    is_passing = stated.is_passing or StatedReason((subject,)).is_passing
    if is_passing:
        return (Reported((), False, own.status, own.code, text),)
    is_telling = _is_lasting(own) or topics(text) & _TELLING
    return (Reported((), True, own.status, own.code, text),) if is_telling else ()


def _is_lasting(own: OwnReply) -> bool:
    return own.status.startswith("5") or (own.code or 0) // 100 == 5
