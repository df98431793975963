"""Which replies are alike: the same words, whatever address, queue or machine they name. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from mailsluice.core.masking import masked
from mailsluice.reports.campaign.statistics import ReplyCount

_STATUS = r"[245]\.\d{1,3}\.\d{1,3}"  # RFC 3463
_VARIABLE = re.compile(
    rf"""
    (?<![\w.-]) (?!RFC|{_STATUS}(?![\w.-]))     # neither a standard nor an enhanced status
    # id, moment, IP, machine: has three digits
    (?: (?=(?:[A-Za-z_.=-]{{0,40}}\d){{3}}) [\w.=-]{{6,}}
      | (?<!RFC\ ) \d{{2,}} | \d(?=\ (?:sec|min|hour|day)) )  # a number, how long to wait
    (?![\w-])
    """,
    re.VERBOSE,
)
_AGAIN = re.compile(rf"(?<=\s){_STATUS}\s+")  # each line of a reply has it
_LONGEST = 160


def alike(text: str) -> str:
    """The text with addresses and what varies (ids, numbers, moments, machines) left out, cut."""
    line = _AGAIN.sub("", " ".join(masked(text[: 4 * _LONGEST]).split()))
    plain = _VARIABLE.sub("…", line).rstrip(" …")
    return plain if len(plain) <= _LONGEST else f"{plain[: _LONGEST - 1]}…"


@dataclass(frozen=True, slots=True)
class AlikeReplies:
    """Replies with the same code and words."""

    code: int | None
    text: str
    failed: int = 0
    """Recipients that failed with it, or are uncertain."""
    deferred: int = 0
    """Attempts that were put off with it."""
    connections: frozenset[str] = field(default_factory=frozenset)


def grouped(replies: Iterable[ReplyCount]) -> list[AlikeReplies]:
    """Alike replies together, the most frequent first."""
    found: dict[tuple[int | None, str], AlikeReplies] = {}
    for one in replies:
        key = (one.code, alike(one.text))
        before = found.get(key) or AlikeReplies(*key)
        found[key] = replace(
            before,
            failed=before.failed + one.failed,
            deferred=before.deferred + one.deferred,
            connections=before.connections | {one.connection},
        )
    return sorted(
        found.values(), key=lambda one: (-one.failed - one.deferred, one.code or 0, one.text)
    )
