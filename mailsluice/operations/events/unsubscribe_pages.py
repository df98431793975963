"""The pages that readers see who follow an unsubscribe link: plain, without scripts. Pure."""

from __future__ import annotations

import base64
from hashlib import sha256
from html import escape

from mailsluice.message.unsubscribing import ONE_CLICK

_STYLE = (
    "body{font:1.1rem/1.5 sans-serif;max-width:32rem;margin:3rem auto;padding:0 1rem;"
    "color:#111;background:#fff}button{font:inherit;padding:.6rem 1.2rem}"
)
_STYLE_HASH = base64.b64encode(sha256(_STYLE.encode()).digest()).decode()
HEADERS = {
    "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}';"
    " form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "X-Robots-Tag": "noindex, nofollow",
}
"""Header fields of all pages: nothing is loaded, kept, framed, indexed or told to other sites."""


def confirmation(sender_domain: str) -> str:
    """Ask for a click: programs that follow links must not unsubscribe anybody."""
    name, value = ONE_CLICK
    return _page(
        "Unsubscribe",
        f"<p>Do you want no more mail{_from(sender_domain)}?</p>"
        f'<form method="post"><input type="hidden" name="{name}" value="{value}">'
        '<button type="submit">Unsubscribe</button></form>'
        "<p>If you close this page, nothing changes.</p>",
    )


def done(sender_domain: str) -> str:
    """Say that the reader is unsubscribed."""
    return _page(
        "You are unsubscribed",
        f"<p>You will get no more mail{_from(sender_domain)}."
        " A mail that is on its way already may still arrive.</p>",
    )


UNKNOWN_LINK = (
    "This link does not work",
    "The link is incomplete, or the mail was sent too long ago. Open the unsubscribe link in the"
    " latest mail of the sender again, or copy the whole link. If that does not help, reply to the"
    " mail, and ask to be unsubscribed.",
)
NOT_CONFIRMED = (
    "Nothing has changed",
    "The request does not say that you want to unsubscribe. Open the link in the mail again, and"
    " press the button.",
)
LATER = (
    "Please try again in a minute",
    "You are not unsubscribed yet: the server is busy. Open the link in the mail again then.",
)


def notice(title: str, text: str) -> str:
    """Say that nobody was unsubscribed, and what to do."""
    return _page(title, f"<p>{escape(text)}</p>")


def _from(sender_domain: str) -> str:
    return f" from {escape(sender_domain)}" if sender_domain else " from this sender"


def _page(title: str, body: str) -> str:
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{_STYLE}</style></head>\n"
        f"<body><main><h1>{title}</h1>{body}</main></body></html>\n"
    )
