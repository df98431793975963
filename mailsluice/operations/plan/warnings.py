"""Warnings about a message before it is sent. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from mailsluice.operations.plan.links import link_warnings
from mailsluice.operations.plan.markup import read_markup

CLIPPED_BYTES = 102 * 1_024
"""Gmail cuts longer HTML off, often with the unsubscribe link at its end."""
BULK = 5_000
"""Messages a day from which Gmail and Yahoo require one-click unsubscribing."""
HARDLY_ANY_TEXT = 100
"""Characters; filters treat images with less text as spam."""
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
    """The message as one recipient reads it."""

    subject: str
    text: str
    html: str | None
    unsubscribe_url: str | None
    """The first address of List-Unsubscribe: for a click if there is one, else for a mail."""
    html_bytes: int
    """The size of the HTML part, encoded for sending."""
    empty_headers: Sequence[str] = ()
    """Extra headers that are left out because they are empty."""


@dataclass(frozen=True, slots=True)
class MessageFacts:
    """The facts about a message and its audience."""

    sender_domains: Sequence[str]
    """Of the senders on all connections."""
    accepted: int
    """Recipients in the audience."""
    readings: Sequence[Reading]
    """The messages of the first recipients in send order, without those that failed to render."""
    unrendered: Sequence[str]
    """The errors of the messages that failed to render."""
    empty_values: Mapping[str, int]
    """Recipients without a value, by column that the message inserts unchecked."""

    @property
    def looked_at(self) -> int:
        return len(self.readings) + len(self.unrendered)


def warnings(facts: MessageFacts) -> Iterator[str]:
    """Warnings in sentences: what is wrong, how often, what to do. They show no values."""
    if facts.unrendered:
        yield (
            f"the message cannot be rendered for {_of(facts, len(facts.unrendered))}, which will"
            f" fail: {facts.unrendered[0]}"
        )
    yield from _about_values(facts)
    for domain in filter(_FREE_MAIL.fullmatch, facts.sender_domains):
        yield (
            f"the sender is at {domain}, whose mail may come from its own servers only: other"
            " servers refuse it or treat it as spam (DMARC); use a domain of your own"
        )
    if facts.readings:
        yield from _about_counts(facts)
        yield from _about_unsubscribing(facts)
        yield from _about_first(facts.readings[0])


def _about_values(facts: MessageFacts) -> Iterator[str]:
    for column, number in facts.empty_values.items():
        if number:
            yield (
                f"{column!r} is empty for {number:,} of {facts.accepted:,} recipients: give a"
                " replacement, as {{ first_name or 'there' }} does"
            )


def _about_counts(facts: MessageFacts) -> Iterator[str]:
    readings = facts.readings
    if number := sum(not reading.subject.strip() for reading in readings):
        yield f"the subject is empty for {_of(facts, number)}: correct the template or the column"
    if number := sum(not reading.text.strip() for reading in readings):
        yield (
            f"the text part is empty for {_of(facts, number)}: give the message a text, or HTML"
            " with words"
        )
    for name in dict.fromkeys(name for reading in readings for name in reading.empty_headers):
        number = sum(name in reading.empty_headers for reading in readings)
        yield (
            f"header {name} is empty for {_of(facts, number)}, whose mail is sent without it:"
            " correct the template or the column, if you did not mean that"
        )
    largest = max(reading.html_bytes for reading in readings)
    if number := sum(reading.html_bytes > CLIPPED_BYTES for reading in readings):
        yield (
            f"the HTML has up to {largest / 1_024:,.0f} kB, over {CLIPPED_BYTES // 1_024} kB for"
            f" {_of(facts, number)}: Gmail cuts it off there, often with the unsubscribe link;"
            " shorten it"
        )


def _about_unsubscribing(facts: MessageFacts) -> Iterator[str]:
    """Look at one message of each kind: connections may differ in their unsubscribe address."""
    first = {
        one.unsubscribe_url and one.unsubscribe_url[:6].lower(): one for one in facts.readings[::-1]
    }
    without = first.get(None)
    if without and not _UNSUBSCRIBE.search(f"{without.text} {without.html}"):
        yield (
            "there is no way to unsubscribe, neither in the header nor in the text: Gmail and Yahoo"
            " require both of bulk senders, and many laws require one; set unsubscribe_url, or the"
            " one-click address of the connection's identity, and put {{ unsubscribe_url }} into"
            " the message"
        )
    elif facts.accepted >= BULK and {None, "mailto"} & first.keys():
        yield (
            f"the message has no one-click unsubscribing, which Gmail and Yahoo require of {BULK:,}"
            " messages a day: set the one-click address of the connection's identity, or"
            " unsubscribe_url"
        )
    if "http:/" in first:
        yield (
            "unsubscribe_url is plain http: one-click unsubscribing requires https (RFC 8058), so"
            " the message is sent without it"
        )


def _about_first(reading: Reading) -> Iterator[str]:
    if reading.html is None:
        return
    markup = read_markup(reading.html)
    yield from link_warnings(markup)
    if markup.without_alt:
        yield (
            f"{markup.without_alt} of {len(markup.sources)} images have no alt text: readers that"
            ' hide images show nothing; add alt="...", empty for decoration'
        )
    if markup.sources and len(markup.text) < HARDLY_ANY_TEXT:
        yield (
            f"the message has images and only {len(markup.text)} characters of text: filters treat"
            " that as spam, and many readers hide images; write the message in words as well"
        )


def _of(facts: MessageFacts, number: int) -> str:
    return f"{number:,} of {facts.looked_at:,} checked recipients"


def file_warnings(unused: Sequence[str], *, has_other_organizer: bool) -> Iterator[str]:
    """Warnings about inline images and the calendar.

    Args:
        unused: The names of inline images that the HTML does not show.
        has_other_organizer: Whether the organizer of the calendar is not the sender.
    """
    if unused:
        names = ", ".join(map(repr, unused))
        yield (
            f"the HTML does not show {names}, which each mail carries: show it by"
            f" cid:{unused[0]} in the src of an img element, or remove it from inline_images"
        )
    if has_other_organizer:
        yield (
            "the ORGANIZER of the calendar is another address than the sender: answers go to the"
            " organizer, and many programs show no buttons then; use the same address"
        )
