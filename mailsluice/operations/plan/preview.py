"""The message as one recipient would read it, without addresses. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote, quote_plus

from markupsafe import escape

from mailsluice.core.markdown import cell
from mailsluice.core.masking import masked

MOST_SHOWN = 4_096
"""Characters of the text, and of the HTML's source."""


@dataclass(frozen=True, slots=True)
class Preview:
    """What is shown of it; see `preview`."""

    subject: str
    text: str
    html: str | None
    size_bytes: int
    """Of the whole message as it is sent, with header and attachments."""

    def markdown(self) -> list[str]:
        """The lines of a section."""
        lines = [
            "## Preview",
            "",
            "With the values of the first recipient in send order; addresses are hidden."
            f" {self.size_bytes / 1_024:,.1f} kB as it is sent.",
            "",
            f"Subject: {cell(self.subject)}",
            "",
            *_code(self.text),
        ]
        return lines if self.html is None else [*lines, *_code(self.html, "html")]


def preview(subject: str, text: str, html: str | None, email: str, size_bytes: int) -> Preview:
    """Hide the recipient's address, however it is written, and all that looks like one."""
    spellings = {email, str(escape(email)), quote(email), quote(email, safe=""), quote_plus(email)}
    source = None if html is None else masked(html, spellings)
    return Preview(masked(subject, spellings), masked(text, spellings), source, size_bytes)


def _code(text: str, language: str = "text") -> list[str]:
    """A block that nothing in the text can end (CommonMark section 4.5)."""
    longest = max(map(len, re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    cut = ["(the rest is not shown)", ""] if len(text) > MOST_SHOWN else []
    return [f"{fence}{language}", text[:MOST_SHOWN].rstrip(), fence, "", *cut]
