"""A server's extensions, and how Mailsluice uses them, in words. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mailsluice.smtp.commands import Offer
from mailsluice.smtp.connection import Connection

_MEGABYTE = 1_000_000
_SHOWN = ("starttls", "pipelining", "chunking", "8bitmime", "smtputf8", "dsn")


def keywords(extensions: Mapping[str, str], methods: Sequence[str]) -> str:
    """The relevant EHLO keywords, with the size limit and the methods of AUTH."""
    shown = [name.upper() for name in _SHOWN if name in extensions]
    limit = Offer.from_extensions(extensions).size_limit
    if limit is not None:
        shown.append(f"SIZE {limit / _MEGABYTE:.3g} MB")
    if methods:
        shown.append(f"AUTH {' '.join(methods).upper()}")
    return ", ".join(shown) or "nothing beyond plain SMTP"


def consequences(offer: Offer, connection: Connection) -> list[str]:
    """How Mailsluice uses the server's extensions, in sentences."""
    sentences = [_speed(offer, connection.messages_in_flight)]
    if offer.size_limit is not None:
        sentences.append(
            f"Messages above {offer.size_limit / _MEGABYTE:.3g} MB fail without being sent."
        )
    if not offer.smtputf8:
        sentences.append(
            "No SMTPUTF8: addresses that are not ASCII before their domain fail without being"
            " sent to."
        )
    return sentences


def _speed(offer: Offer, in_flight: int) -> str:
    if not offer.pipelining:
        return "No PIPELINING: four round trips a message, so a distant server needs more sessions."
    if not offer.chunking:
        return "PIPELINING: one round trip a message."
    if in_flight > 1:
        return f"PIPELINING and CHUNKING: up to {in_flight} messages in one round trip."
    return (
        "PIPELINING: one round trip a message. CHUNKING as well: with messages_in_flight above 1"
        " several messages share one."
    )
