"""Whether a refusal is about its recipient, and for good. Pure.

What counts, in this order:

1. The class: where the code or the status is of class 4, nothing is for good.
2. Words that contradict: a block list's name, a full mailbox, a rate. No status makes these hard.
3. The enhanced status where it is definite (RFC 3463). It decides alone; doubt makes it soft.
4. Words, where the status is missing or is used for anything.
5. The bare code, where it answers the recipient's address. 550 and 553 are said of anything, in
   any language, so alone they are in doubt.

A server's own reply comes before what somebody else reports about it: see
`mailsluice.bounces.own_reply`.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from mailsluice.bounces.bounce import BounceKind
from mailsluice.bounces.own_reply import statuses
from mailsluice.bounces.words import Topic, topics

HARD, SOFT = BounceKind.HARD, BounceKind.SOFT
_FULL, _LATER, _LISTED, _NOBODY = Topic.FULL, Topic.LATER, Topic.LISTED, Topic.NOBODY
_POLICY, _RATE, _REJECTED, _SENDER = Topic.POLICY, Topic.RATE, Topic.REJECTED, Topic.SENDER

# Subject and detail of an enhanced status, as patterns.
_ANY = r".*"
_GONE = (
    r"1\.([12346]|10"  # no such mailbox, no such domain, bad syntax, ambiguous, moved, null MX
    r"|351)"  # Microsoft 365: unknown at the server behind it
    r"|2\.1"  # the mailbox is disabled
    r"|4\.(4|310)"  # no route: the domain has no mail server, or does not exist (Microsoft 365)
)
_MAILBOX = r"2\.(2|12\d)|4\.\d+"  # full, or gets too much (Microsoft 365); not reached in time
_RECEIVES = r"2\.(1|12\d)"  # about what the mailbox gets
_ADDRESS = r"1\.0"
_VAGUE = r"|[0-5]\.0|4\.1|5\.\d+"
""""Other", or used for anything. 4.1: Microsoft 365 says so of unknown recipients."""
_REFUSED = r"7\.[01]"  # what many servers say whatever the reason
_UNSAID = r"[0-5]\.0"


@dataclass(frozen=True, slots=True)
class _Row:
    """A line of the table; the first that matches decides."""

    kind: BounceKind | None
    status: str = _ANY
    words: Collection[Topic] = ()
    """All of these are spoken of,"""
    without: Collection[Topic] = ()
    """none of these,"""
    is_doubted: bool = False
    """and the reply contradicts its status: by another status in its text, by its code, or by the
    address of a machine where nothing says that there is no such recipient."""

    def matches(self, status: str, spoken: Collection[Topic], is_doubted: bool) -> bool:
        return (
            re.fullmatch(self.status, status) is not None
            and all(one in spoken for one in self.words)
            and not any(one in spoken for one in self.without)
            and (is_doubted or not self.is_doubted)
        )


_REASONS = (_LISTED, _SENDER, _POLICY, _RATE)
_FOR_GOOD = (
    # Words that no status makes hard.
    _Row(SOFT, _GONE, words=(_LISTED, _NOBODY)),
    _Row(None, words=(_LISTED,)),
    _Row(SOFT, _RECEIVES, words=(_RATE,)),
    _Row(SOFT, rf"{_GONE}|{_MAILBOX}|{_VAGUE}|{_REFUSED}", words=(_FULL,)),
    _Row(None, rf"{_GONE}|{_VAGUE}|{_REFUSED}", words=(_RATE,), without=(_NOBODY,)),
    # A definite status.
    _Row(SOFT, _GONE, words=(_LATER,)),
    _Row(SOFT, _GONE, is_doubted=True),
    _Row(SOFT, _GONE, words=(_SENDER,)),
    _Row(HARD, _GONE),
    # A status that tells little, and words.
    _Row(SOFT, rf"{_VAGUE}|{_REFUSED}", words=(_NOBODY, _LATER), without=_REASONS),
    _Row(SOFT, rf"{_VAGUE}|{_REFUSED}", words=(_NOBODY,), without=_REASONS, is_doubted=True),
    _Row(HARD, rf"{_VAGUE}|{_REFUSED}", words=(_NOBODY,), without=(*_REASONS, _LATER)),
    _Row(SOFT, _VAGUE, words=(_REJECTED,), is_doubted=True),
    _Row(HARD, r"4\.1", words=(_REJECTED,), without=(_LISTED, _SENDER, _RATE, _LATER)),
    _Row(HARD, r"|[0-2]\.0|5\.\d+", words=(_REJECTED,), without=(*_REASONS, _LATER)),
    _Row(SOFT, _MAILBOX, without=(_SENDER,)),
    *(_Row(None, _VAGUE, words=(reason,)) for reason in _REASONS),
    _Row(SOFT, rf"{_ADDRESS}|2\.0|4\.[01]"),
)

# Nothing about the sender (4.1.7 to 4.1.9), the system's own trouble (4.3), too many recipients
# (4.5.3), or policy (4.7).
_SOFT_FOR_NOW = r"(1\.(?![789])|[24]\.)\d+"
_FOR_NOW = (
    _Row(None, words=(_LISTED,)),
    _Row(SOFT, rf"|{_UNSAID}", words=(_FULL,)),
    *(_Row(None, rf"|{_UNSAID}", words=(reason,)) for reason in _REASONS),
    _Row(SOFT, _SOFT_FOR_NOW),
)

_BARE_FOR_GOOD = {550: SOFT, 551: HARD, 552: SOFT, 553: SOFT, 556: HARD}
_BARE_FOR_NOW = {450: SOFT, 452: SOFT}
"""Codes without status and telling words: unavailable, not local, full, its name, no mail there
(RFC 5321 section 4.2.3, RFC 7504)."""
_MACHINE = re.compile(r"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?![\d.]*\d)")
_STATUS = re.compile(r"([245])\.(\d{1,3}\.\d{1,3})")


def kind_of(code: int | None, status: str, text: str) -> BounceKind | None:
    """What a refusal says about its recipient: hard, soft, or None, nothing.

    `code` is the reply's code (RFC 5321 section 4.2), None where it is not known or does not answer
    the recipient's address but the message itself; `status` the enhanced status such as "5.1.1"
    (RFC 3463), or empty; `text` what the server said.

    None means that it is about something else (policy, content, sender, size, the server itself):
    the next message may well arrive.
    """
    match = _STATUS.fullmatch(status)
    classes = {one for one in (match and int(match[1]), code and code // 100) if one} or {5}
    if not classes <= {4, 5}:
        return None
    is_for_now = 4 in classes
    detail = match[2] if match else ""
    spoken = topics(text)
    is_elsewhere = code == 552 or _MACHINE.search(text) is not None
    is_doubted = (is_elsewhere and _NOBODY not in spoken) or _contradicts(status, text)
    for row in _FOR_NOW if is_for_now else _FOR_GOOD:
        if row.matches(detail, spoken, is_doubted):
            return row.kind
    if detail:
        return None
    kind = (_BARE_FOR_NOW if is_for_now else _BARE_FOR_GOOD).get(code or 0)
    return SOFT if kind is HARD and (is_doubted or _LATER in spoken) else kind


def _contradicts(status: str, text: str) -> bool:
    """Whether another status in the text blames something else, or is not for good."""
    return any(one != status and re.match(r"4|5\.7|5\.2\.2$", one) for one in statuses(text))
