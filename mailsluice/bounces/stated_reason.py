"""Read the part of a report that is written for people, in any language. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from email.message import Message
from itertools import takewhile
from typing import Self

from mailsluice.bounces.notice import MAX_TEXT
from mailsluice.bounces.own_reply import OwnReply, own_reply
from mailsluice.bounces.quoted_subject import subjects_of, without_subjects
from mailsluice.bounces.report_parts import plain, texts, words
from mailsluice.bounces.words import MAX_WORDS

_MAX_LINES = 200
_LEAST_FAILURE, _LEAST_LASTING = 400, 500
_COPY = re.compile(
    r"(?im)^[ \t]*+(?:[-=|*]{3,}+ ?+)?+(?:below (?:this|the next) line|this is a copy"
    r"|original message|returned m|below is a copy|unsent message|message text follows"
    r"|(?:start of )?returned message|message header|----+ *+ message)"
)
"""Matches the line before the returned mail."""
_PASSING = re.compile(
    r"\bdelay|\bwarning\b|will (?:continue|keep|be|try)\b.{0,40}\b(?:try|tri|retr)|still trying"
    r"|not yet (?:been )?deliver|no action is required|do not (?:need to )?resend"
    r"|verz.gert|en retard|retrasad|ritardat",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class StatedReason:
    """The lines of a report before the returned mail."""

    lines: tuple[str, ...]

    @classmethod
    def of(cls, message: Message) -> Self:
        """Take the lines from the parts in plain text, without the subject of the returned mail."""
        whole = "\n".join(words(part, 4 * MAX_WORDS) for part in texts(message))
        before, *copy = _COPY.split(whole, maxsplit=1)
        lines = "\n".join(line[:MAX_WORDS] for line in before.splitlines()[:_MAX_LINES])
        spoken = without_subjects(lines, subjects_of(message, *copy))
        return cls(tuple(map(plain, spoken.split("\n"))))

    @property
    def is_passing(self) -> bool:
        """Whether the mail is only delayed."""
        return any(_PASSING.search(line) for line in self.lines)

    def about(self, addresses: Collection[str], *, is_alone: bool) -> StatedReason:
        """Return the words about these addresses.

        They begin in the line that names one of the addresses, and end before another address. If
        no other recipient is named (`is_alone`), all words are about them.
        """
        if is_alone:
            return self
        first = next((i for i, line in enumerate(self.lines) if _names(line, addresses)), None)
        if first is None:
            return StatedReason(())
        others = (
            i
            for i, line in enumerate(self.lines)
            if i > first and "@" in line and not _names(line, addresses)
        )
        return StatedReason(self.lines[first : next(others, None)])

    def reason(self) -> tuple[OwnReply, str]:
        """Return the server's reply and the paragraph that begins with it, or else all words.

        A code without a status counts only if it answers the recipient's address.
        """
        for index, line in enumerate(self.lines):
            own = own_reply(line)
            if own.status or (own.code or 0) >= _LEAST_FAILURE:
                text = " ".join(takewhile(bool, self.lines[index:]))
                is_bare = not own.status and own.code is not None and own.code >= _LEAST_LASTING
                if is_bare and not any("RCPT TO" in other for other in self.lines):
                    own = OwnReply(None, "")
                return own, text[:MAX_TEXT]
        return OwnReply(None, ""), self.text

    @property
    def text(self) -> str:
        """All words, on one line."""
        return " ".join(filter(None, self.lines))[:MAX_TEXT]


def _names(line: str, addresses: Collection[str]) -> bool:
    lowered = line.lower()
    return any(address in lowered for address in addresses)
