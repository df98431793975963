"""A preview of the message for one recipient, without addresses. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote, quote_plus

from markupsafe import escape

from mailsluice.core.markdown import cell
from mailsluice.core.masking import masked

MOST_SHOWN = 4_096
"""The most characters shown of the text, and of the HTML's source."""


@dataclass(frozen=True, slots=True)
class Preview:
    """A message with hidden addresses; see `preview`."""

    connection: str
    subject: str
    text: str
    html: str | None
    size_bytes: int
    """The size of the whole message, with header and attachments."""

    def markdown(self) -> list[str]:
        """The lines of the page's section."""
        lines = [
            "## Preview",
            "",
            "The message has the values of the first recipient in send order, and goes over"
            f" {cell(self.connection)}; addresses are hidden. Its size is"
            f" {self.size_bytes / 1_024:,.1f} kB.",
            "",
            f"Subject: {cell(self.subject)}",
            "",
            *_code(self.text),
        ]
        return lines if self.html is None else [*lines, *_code(self.html, "html")]


def preview(
    connection: str, subject: str, text: str, html: str | None, email: str, size_bytes: int
) -> Preview:
    """Make a preview, hiding the recipient's address in any form and all texts like addresses."""
    spellings = {email, str(escape(email)), quote(email), quote(email, safe=""), quote_plus(email)}
    source = None if html is None else masked(html, spellings)
    return Preview(
        connection, masked(subject, spellings), masked(text, spellings), source, size_bytes
    )


def _code(text: str, language: str = "text") -> list[str]:
    """A code block that no text inside can end (CommonMark section 4.5)."""
    longest = max(map(len, re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    cut = ["(the rest is not shown)", ""] if len(text) > MOST_SHOWN else []
    return [f"{fence}{language}", text[:MOST_SHOWN].rstrip(), fence, "", *cut]
