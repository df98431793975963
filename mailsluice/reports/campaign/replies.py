"""Grouping replies that differ only in the address, queue or machine they name. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from mailsluice.core.masking import masked
from mailsluice.reports.campaign.statistics import ReplyCount

_STATUS = r"[245]\.\d{1,3}\.\d{1,3}"  # RFC 3463
_VARIABLE = re.compile(
    rf"""
    (?<![\w.-]) (?!RFC|{_STATUS}(?![\w.-]))     # not the name of a standard, not an enhanced status
    # an id, time, IP address or machine: has three digits
    (?: (?=(?:[A-Za-z_.=-]{{0,40}}\d){{3}}) [\w.=-]{{6,}}
      | (?<!RFC\ ) \d{{2,}} | \d(?=\ (?:sec|min|hour|day)) )  # a number, or how long to wait
    (?![\w-])
    """,
    re.VERBOSE,
)
_AGAIN = re.compile(rf"(?<=\s){_STATUS}\s+")  # an enhanced status repeated on each line of a reply
_CODE = re.compile(r"([245]\d\d)[ -]")
_LONGEST = 160


def alike(text: str) -> str:
    """The text, cut, without addresses, ids, numbers, times and machine names."""
    line = _AGAIN.sub("", " ".join(masked(text[: 4 * _LONGEST]).split()))
    plain = _VARIABLE.sub("…", line).rstrip(" …")
    return plain if len(plain) <= _LONGEST else f"{plain[: _LONGEST - 1]}…"


def _coded(reply: ReplyCount) -> tuple[int | None, str]:
    """The code and the text; events give the code as a part of the text (RFC 5321 4.2)."""
    if reply.code is None and (found := _CODE.match(reply.text)):
        return int(found[1]), reply.text[found.end() :]
    return reply.code, reply.text


@dataclass(frozen=True, slots=True)
class AlikeReplies:
    """Replies with the same code and words."""

    code: int | None
    text: str
    failed: int = 0
    """Recipients that failed or became uncertain with such a reply."""
    deferred: int = 0
    """Attempts deferred with such a reply."""
    later: int = 0
    """Accepted messages that such a reply bounced or deferred later."""
    connections: frozenset[str] = field(default_factory=frozenset)

    @property
    def number(self) -> int:
        """How often such a reply came."""
        return self.failed + self.deferred + self.later


def grouped(replies: Iterable[ReplyCount]) -> list[AlikeReplies]:
    """Group replies by code and words, the most frequent first."""
    groups: dict[tuple[int | None, str], AlikeReplies] = {}
    for reply in replies:
        code, text = _coded(reply)
        key = (code, alike(text))
        before = groups.get(key) or AlikeReplies(*key)
        groups[key] = replace(
            before,
            failed=before.failed + reply.failed,
            deferred=before.deferred + reply.deferred,
            later=before.later + reply.later,
            connections=before.connections | {reply.connection},
        )
    return sorted(
        groups.values(),
        key=lambda group: (
            -group.failed - group.deferred - group.later,
            group.code or 0,
            group.text,
        ),
    )
