"""Decide whether a refusal is about its recipient, and whether it is permanent. Pure.

These count, in this order:

1. The class: if the code or the status is of class 4, the refusal is not permanent.
2. Words that contradict: a block list's name, a full mailbox, a rate. No status makes these hard.
3. A definite enhanced status (RFC 3463), which decides alone; if it is in doubt, it is soft.
4. Words, if the status is missing or vague.
5. The bare code, if it answers the recipient's address. Servers use 550 and 553 for anything, so
   without status and words these are in doubt.

The reply of the server that refused counts before another server's report of it: see
`mailsluice.bounces.own_reply`.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from mailsluice.bounces.bounce import BounceKind
from mailsluice.bounces.own_reply import statuses
from mailsluice.bounces.words import Answer, Topic, topics

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
_RECEIVES = r"2\.(1|12\d)"  # about the mail that the mailbox gets
_ADDRESS = r"1\.0"
_VAGUE = r"|[0-5]\.0|4\.1|5\.\d+"
""""Other", or used for anything. Microsoft 365 uses 4.1 for unknown recipients."""
_REFUSED = r"7\.[01]"  # used by many servers for any reason
_UNSAID = r"[0-5]\.0"


@dataclass(frozen=True, slots=True)
class _Row:
    """A row of the table; the first row of which all conditions hold decides."""

    kind: BounceKind | None
    status: str = _ANY
    words: Collection[Topic] = ()
    """Topics that the reply's words have to have."""
    without: Collection[Topic] = ()
    """Topics that the reply's words must not have."""
    is_doubted: bool = False
    """Whether the reply has to contradict its status: by another status in its text, by its code,
    or by the address of a machine without words about a missing recipient."""

    def matches(self, status: str, spoken: Collection[Topic], is_doubted: bool) -> bool:
        """Return whether all conditions hold for a reply."""
        return (
            re.fullmatch(self.status, status) is not None
            and all(topic in spoken for topic in self.words)
            and not any(topic in spoken for topic in self.without)
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
    # A vague status, and words.
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

# Not about the sender (4.1.7 to 4.1.9), the server's own trouble (4.3), too many recipients
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
"""Kinds of codes without a status and known words: unavailable, not local, full, invalid name, no
mail accepted (RFC 5321 section 4.2.3, RFC 7504)."""
_MACHINE = re.compile(r"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?![\d.]*\d)")
_STATUS = re.compile(r"([245])\.(\d{1,3}\.\d{1,3})")


def kind_of(
    code: int | None, status: str, text: str, answer: Answer = Answer.UNKNOWN
) -> BounceKind | None:
    """Decide what a refusal says about its recipient.

    Args:
        code: The reply's code (RFC 5321 section 4.2); None if it is unknown, or answers the message
            rather than the recipient's address.
        status: The enhanced status such as "5.1.1" (RFC 3463), or empty.
        text: The server's words.
        answer: The part of the dialogue that the words answer.

    Returns:
        Hard or soft. None if the refusal is about something else (policy, content, sender, size,
        the server itself), so that the next message may arrive.
    """
    match = _STATUS.fullmatch(status)
    classes = {digit for digit in (match and int(match[1]), code and code // 100) if digit} or {5}
    if not classes <= {4, 5}:
        return None
    is_for_now = 4 in classes
    detail = match[2] if match else ""
    spoken = topics(text, answer)
    if Topic.NOWHERE in spoken:
        spoken |= {_NOBODY}  # nobody is at a domain that does not exist
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
    """Whether another status in the text blames something else, or is not permanent."""
    others = (other for other in statuses(text) if other != status)
    return any(re.match(r"4|5\.7|5\.2\.2$", other) for other in others)
