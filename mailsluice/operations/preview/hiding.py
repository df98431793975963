"""Hide addresses in a message: the recipient's own in every form, and all that look like one. Pure.

The HTML stays HTML: the mark for an address is written as text.
"""

from __future__ import annotations

import re
from urllib.parse import quote, quote_plus

from markupsafe import escape

from mailsluice.core.masking import ADDRESS_MARK, SECRET_MARK, masked, without_secrets

_OWN_TAG = re.compile(ADDRESS_MARK, re.IGNORECASE)
_AT_SIGN = re.compile(r"&(?:#0{0,6}64|#x0{0,6}40|commat);?", re.IGNORECASE)


def hidden(text: str, email: str) -> str:
    """Hide addresses in plain text, those of the recipient also as quoted or in base64."""
    return without_secrets(masked(text, _spellings(email)), [email])


def hidden_in_html(html: str, email: str) -> str:
    """Hide addresses in HTML, also with an entity for the @; tags named `address` stay."""
    plain = _AT_SIGN.sub("@", html)
    text = hidden(_OWN_TAG.sub(f"{ADDRESS_MARK[:-1]} >", plain), email)
    for mark in (ADDRESS_MARK, SECRET_MARK):
        text = text.replace(mark, str(escape(mark)))
    return text


def _spellings(email: str) -> set[str]:
    in_link = quote(email, safe="")
    twice = quote(in_link)  # in a link that another link has as its value
    return {email, str(escape(email)), quote(email), in_link, quote_plus(email), twice}
