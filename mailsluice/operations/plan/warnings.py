"""What is to be minded about a message before it is sent. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from mailsluice.operations.plan.links import link_warnings
from mailsluice.operations.plan.markup import read_markup

CLIPPED_BYTES = 102 * 1_024
"""Gmail shows no more of the HTML, and with it the unsubscribe link at its end is gone."""
HARDLY_ANY_TEXT = 100
"""Characters; a mail of images with less is what filters know from spam."""
_UNSUBSCRIBE = re.compile(
    r"unsubscri|opt[ _-]?out|abmeld|abbestell|austragen|d[ée]sabonn|d[ée]sinscri|afmeld|uitschrijv"
    r"|cancelar suscripci|darse de baja|disiscri|annulla iscrizione",
    re.IGNORECASE,
)
_FREE_MAIL = re.compile(
    r"(gmail|googlemail|ymail|rocketmail|outlook|msn|aol|icloud|me|mac|mail|protonmail|zoho|qq|163"
    r"|yeah)\.(com|net)|(yahoo|hotmail|live|gmx|yandex)\.[a-z.]{2,6}|web\.de|t-online\.de"
    r"|freenet\.de|mail\.ru|proton\.me|orange\.fr|free\.fr|libero\.it|comcast\.net"
)


@dataclass(frozen=True, slots=True)
class Reading:
    """What one recipient reads."""

    subject: str
    text: str
    html: str | None
    unsubscribe_url: str | None
    html_bytes: int
    """Of the HTML part, encoded as it is sent."""


@dataclass(frozen=True, slots=True)
class MessageFacts:
    """What was found out about a message and its audience."""

    sender_domain: str
    accepted: int
    """Recipients in the audience."""
    readings: Sequence[Reading]
    """Of the first recipients in send order, as far as they could be rendered."""
    unrendered: Sequence[str]
    """Why the others could not."""
    empty_values: Mapping[str, int]
    """By column that is inserted as it is: how many of the audience have nothing there."""

    @property
    def looked_at(self) -> int:
        return len(self.readings) + len(self.unrendered)


def warnings(facts: MessageFacts) -> Iterator[str]:
    """Sentences for an operator: what, how many, what to do. No values of anybody."""
    if facts.unrendered:
        yield (
            f"{_of(facts, len(facts.unrendered))} cannot be rendered, and will fail:"
            f" {facts.unrendered[0]}"
        )
    yield from _about_values(facts)
    if _FREE_MAIL.fullmatch(facts.sender_domain):
        yield (
            f"the sender is at {facts.sender_domain}, for which only its own servers may send:"
            " by DMARC others refuse it or take it for spam; use a domain of your own"
        )
    if facts.readings:
        yield from _about_counts(facts)
        yield from _about_first(facts.readings[0])


def _about_values(facts: MessageFacts) -> Iterator[str]:
    for column, number in facts.empty_values.items():
        if number:
            yield (
                f"{column!r} is empty for {number:,} of {facts.accepted:,} recipients: say what"
                " stands there then, as {{ first_name or 'there' }} does"
            )


def _about_counts(facts: MessageFacts) -> Iterator[str]:
    readings = facts.readings
    if number := sum(not reading.subject.strip() for reading in readings):
        yield f"the subject is empty for {_of(facts, number)}: correct the template or the column"
    if number := sum(not reading.text.strip() for reading in readings):
        yield (
            f"the text part is empty for {_of(facts, number)}: give the message a text, or HTML"
            " with words in it"
        )
    largest = max(reading.html_bytes for reading in readings)
    if number := sum(reading.html_bytes > CLIPPED_BYTES for reading in readings):
        yield (
            f"the HTML has up to {largest / 1_024:,.0f} kB, over {CLIPPED_BYTES // 1_024} kB for"
            f" {_of(facts, number)}: Gmail cuts it off there, often with the unsubscribe link;"
            " shorten it"
        )


def _about_first(reading: Reading) -> Iterator[str]:
    if reading.unsubscribe_url is None and not _UNSUBSCRIBE.search(
        f"{reading.text} {reading.html}"
    ):
        yield (
            "there is no way to unsubscribe, neither in the header nor in the text: Gmail and Yahoo"
            " demand both of who sends much, and the law often one; set unsubscribe_url, and put"
            " {{ unsubscribe_url }} into the message"
        )
    if reading.unsubscribe_url and not reading.unsubscribe_url.lower().startswith("https:"):
        yield (
            "unsubscribe_url is plain http: one-click unsubscribing takes https (RFC 8058), so the"
            " message goes without it"
        )
    if reading.html is None:
        return
    markup = read_markup(reading.html)
    yield from link_warnings(markup)
    if markup.without_alt:
        yield (
            f"{markup.without_alt} of {len(markup.sources)} images have no alt text: who does not"
            ' load images sees nothing; add alt="...", empty for decoration'
        )
    if markup.sources and len(markup.text) < HARDLY_ANY_TEXT:
        yield (
            f"the message is images with {len(markup.text)} characters of text: filters know that"
            " from spam, and many readers load no images; say it in words as well"
        )


def _of(facts: MessageFacts, number: int) -> str:
    return f"{number:,} of {facts.looked_at:,} looked at"
