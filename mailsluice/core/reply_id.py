"""The id that a server gives a message in its reply to the final dot. Pure.

A provider's console, log and events call the message by this id where they do not keep our
Message-ID. The reply is stored with the recipient, so the id is read from it when somebody asks.
Measured on PostgreSQL (`python -m benchmarks.reply_ids`), a message writes 595 bytes of WAL; with
the id in a column 724, with an index on that column 1,031 (half of the updates are no longer HOT),
with the id in a narrow indexed table 743. Without all of these, finding an id reads a campaign: one
or two seconds in a million recipients. Providers' events need no such search: they have a token
(`mailsluice.message.recipient_token`).
"""

from __future__ import annotations

import re

_LONGEST = 2_048
"""Characters that are looked at; the parser of replies keeps no more either."""
_ID = r"[^\s<>()\[\],;\"']{1,200}"

REPLY_FORMS = (
    # Postfix, SendGrid, Mailjet; in angle brackets, Brevo; "queued on HOST as", Yandex.
    re.compile(rf"\bqueued (?:on {_ID} )?as <?({_ID})", re.IGNORECASE),
    # Amazon SES.
    re.compile(r"^Ok ([0-9a-f]{16}-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}-[0-9]{6})$"),
    # Momentum, as at SparkPost.
    re.compile(r"^(?:2\.[0-9]\.[0-9] )?OK ([0-9A-F]{2}/[0-9A-F]{2}(?:-[0-9A-F]{1,12}){2,4})\b"),
    # Google.
    re.compile(rf"^2\.0\.0 OK {{1,2}}[0-9]{{9,11}} ({_ID}) - gsmtp"),
    # Exim.
    re.compile(rf"\bid=({_ID})"),
    # Exchange.
    re.compile(r"\[InternalId=([0-9]{1,20})\b"),
)
"""Forms of replies, without the code; the first that matches gives the id."""


def reply_id(text: str) -> str | None:
    """Return the id in a reply's text; None if there is none, as at Mailgun and PowerMTA."""
    text = text[:_LONGEST]
    for form in REPLY_FORMS:
        if match := form.search(text):
            return match[1].rstrip(".:")
    return None
