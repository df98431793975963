"""Which mailbox provider a reply blames, and what that asks for, by rules kept as data. Pure.

A relay passes on what the server of a mailbox says: that server asks for less mail, while the relay
itself takes all that is offered. The rules are in `replies.toml`.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache, lru_cache
from importlib import resources
from typing import Any, NamedTuple

from mailsluice.mailbox_providers.provider import UNRESOLVED

_MAX_TEXT = 1_000
"""Characters of a reply that are looked at."""
_BLOCK_MINUTES = 30
_CODE = re.compile(r"[45](?:\d\d|\*\*)")
_STATUS = re.compile(r"(?<![\w.])[45]\.\d{1,3}\.\d{1,3}(?!\w|\.\d)")
_QUOTED = re.compile(r"(?<![\w.])[45]\d\d(?=[ -])|(?<![\w.])[45](?=\.\d{1,3}\.\d{1,3}(?!\w|\.\d))")
"""A code in a text, or the class of an enhanced status."""
_ADDRESS = re.compile(r"(?<![^\s<>@])[^\s<>@]*@[^\s<>]*")
"""Replies quote addresses, and one such as s3150@example.com looks like a provider's word."""


class Action(StrEnum):
    """What a reply asks for."""

    MAILBOX = "mailbox"
    """Nothing of the provider's other mailboxes: the reply is about one of them."""
    BLOCK = "block"
    """The sender's reputation is too bad: send nothing for a while."""
    REST = "rest"
    """Send nothing for a while."""
    SLOW = "slow"
    """Send less."""


class Blame(NamedTuple):
    """A provider that asks for less mail, or refuses it."""

    provider: str
    """The recipient's own provider; if that is not known, the provider that the reply names."""
    action: Action
    seconds: float
    """How long to send nothing to it at first; 0 where less is enough."""
    speakers: tuple[str, ...]
    """The providers whose servers say this; none where many do."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of `replies.toml`."""

    table: str
    line: str
    providers: tuple[str, ...]
    action: Action
    seconds: float
    code: str
    """The beginning of the code that the reply has to have."""
    parts: tuple[tuple[str, re.Pattern[str]], ...]
    """Texts in their order, each as itself and as a pattern of whole words."""

    def matches(self, text: str, code: str) -> bool:
        """Whether the line fits a text in lower case and a code, in linear time."""
        if not code.startswith(self.code):
            return False
        at = 0
        for part, words in self.parts:
            if text.find(part, at) < 0 or (found := words.search(text, at)) is None:
                return False
            at = found.end()
        return True


def blamed(reply: str, code: int | None, recipient_provider: str = "") -> Blame | None:
    """Decide whether a reply is a mailbox provider's wish for less mail, or its block.

    Args:
        reply: The reply's text, or one that quotes it.
        code: The reply's code (RFC 5321 section 4.2); None if only the text may tell it.
        recipient_provider: The provider of the recipient's mailbox; empty if it is unknown.
    """
    rule = rule_of(reply[:_MAX_TEXT], code)
    if rule is None:
        return None
    if recipient_provider in ("", UNRESOLVED):
        recipient_provider = rule.providers[0] if rule.providers else UNRESOLVED
    return Blame(recipient_provider, rule.action, rule.seconds, rule.providers)


@lru_cache(maxsize=256)  # servers repeat the same few replies
def rule_of(reply: str, code: int | None) -> Rule | None:
    """Return the line that fits a reply; the arguments are those of `blamed`."""
    text = _plain(reply)
    quoted = _QUOTED.search(text) if code is None else None
    known = quoted[0] if quoted else str(code or "")
    if known.startswith(("2", "3")):
        return None
    return next((rule for rule in rules() if rule.matches(text, known)), None)


def _plain(reply: str) -> str:
    """The reply in lower case, in one line, with only the first of its lines' equal statuses.

    It is without addresses.
    """
    text = " ".join(_ADDRESS.sub("", reply.lower()).split())
    status = _STATUS.search(text)
    if status is None:
        return text
    again = re.compile(rf"(?:[45]\d\d[ -])?{re.escape(status[0])} ")
    return text[: status.end()] + again.sub("", text[status.end() :])


@cache
def rules() -> tuple[Rule, ...]:
    """The lines of `replies.toml`, in the order in which they are tried."""
    text = resources.files(__package__).joinpath("replies.toml").read_text("utf-8")
    return tuple(rule for name, table in tomllib.loads(text).items() for rule in _of(name, table))


def _of(name: str, table: Mapping[str, Any]) -> Iterator[Rule]:
    minutes = {
        Action.BLOCK: table.get("block_minutes", _BLOCK_MINUTES),
        Action.REST: table.get("rest_minutes", 0),
    }
    providers = tuple(table.get("providers", (name,)))
    for action in Action:
        for line in table.get(action, ()):
            code, _, rest = line.partition(" ")
            has_code = _CODE.fullmatch(code) is not None
            yield Rule(
                name,
                line,
                providers,
                action,
                60.0 * minutes.get(action, 0),
                code.rstrip("*") if has_code else "",
                tuple(_part(part) for part in (rest if has_code else line).split(" ... ")),
            )


def _part(part: str) -> tuple[str, re.Pattern[str]]:
    text = part.removesuffix("*")
    before = r"(?<![\w.])" if text[0].isalnum() else ""
    after = ""
    if text[-1].isalnum():
        after = r"(?!\w|\.\d)" if text == part else r"(?![\w-]*\.\w)"  # no name of a host
    return text, re.compile(before + re.escape(text) + after)
