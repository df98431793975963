"""Warnings about a message."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mailsluice.operations.plan.warnings import MessageFacts, Reading, warnings

WORDS = "This letter has words enough for readers that hide images. " * 2
GOOD = Reading(
    subject="Hello",
    text=WORDS,
    html=f"<p>{WORDS}</p><a href='https://example.com/u'>Unsubscribe</a>",
    unsubscribe_url="https://example.com/u",
    html_bytes=10_000,
)
FACTS = MessageFacts(
    sender_domains=["example.com"], accepted=100, readings=[GOOD], unrendered=[], empty_values={}
)


def about(reading: Reading) -> list[str]:
    return [*warnings(replace(FACTS, readings=[reading]))]


def about_html(html: str) -> list[str]:
    return about(replace(GOOD, html=f"<p>{WORDS}</p>{html}"))


def test_a_good_message_has_no_warnings() -> None:
    assert [*warnings(FACTS)] == []


@pytest.mark.parametrize(
    ("url", "html", "warned"),
    [
        (None, "<p>Bye</p>", True),
        (None, "<a href='https://example.com/x'>Unsubscribe here</a>", False),
        (None, "<a href='https://example.com/abmelden'>hier</a>", False),
        (None, "<a href='https://example.com/'>se désabonner</a>", False),
        ("https://example.com/u", "<p>Bye</p>", False),
    ],
)
def test_a_message_without_a_way_to_unsubscribe_is_warned_about(
    url: str | None, html: str, warned: bool
) -> None:
    found = about(replace(GOOD, unsubscribe_url=url, html=f"<p>{WORDS}</p>{html}"))
    assert [warning.startswith("there is no way to unsubscribe") for warning in found] == [
        True
    ] * warned


@pytest.mark.parametrize(
    ("url", "accepted", "warned"),
    [
        (None, 5_000, True),  # the text has a link
        (None, 4_999, False),
        ("mailto:unsubscribe@example.com", 5_000, True),
        ("https://events.example.com", 5_000, False),
    ],
)
def test_a_large_campaign_without_one_click_unsubscribing_is_warned_about(
    url: str | None, accepted: int, warned: bool
) -> None:
    reading = replace(GOOD, unsubscribe_url=url)
    found = [*warnings(replace(FACTS, accepted=accepted, readings=[GOOD, reading]))]
    assert [warning.partition(",")[0] for warning in found] == [
        "the message has no one-click unsubscribing"
    ] * warned


def test_an_unsubscribe_address_without_https_is_warned_about() -> None:
    found = about(replace(GOOD, unsubscribe_url="http://example.com/u"))
    assert [warning.partition(":")[0] for warning in found] == ["unsubscribe_url is plain http"]


def test_html_that_is_cut_off_is_counted() -> None:
    large = [replace(GOOD, html_bytes=size) for size in (104_448, 104_449, 204_800)]
    (found,) = warnings(replace(FACTS, readings=[GOOD, *large]))
    assert found.startswith(
        "the HTML has up to 200 kB, over 102 kB for 2 of 4 checked recipients: Gmail"
    )


def test_empty_subjects_and_texts_are_counted() -> None:
    empty = replace(GOOD, subject=" ", text="\n")
    found = [*warnings(replace(FACTS, readings=[GOOD, empty, empty]))]
    assert [warning.partition(":")[0] for warning in found] == [
        "the subject is empty for 2 of 3 checked recipients",
        "the text part is empty for 2 of 3 checked recipients",
    ]


@pytest.mark.parametrize(
    ("html", "warning"),
    [
        ("<a href='https://example.com'>x</a>", ""),
        ("<a href='mailto:help@example.com'>x</a>", ""),
        ("<a href='http://a.example/x'>x</a>", "links or images use plain http (1), to a.example:"),
        ("<a href='HTTP://a.example'>x</a>", "links or images use plain http (1), to a.example:"),
        (
            "<img alt='' src='http://i.example/x.png'>",
            "links or images use plain http (1), to i.ex",
        ),
        (
            "".join(f"<a href='http://{name}.example'>x</a>" for name in "aabcd"),
            "links or images use plain http (5), to a.example, b.example, c.example and 1 more:",
        ),
        ("<a href='https://u:secret@a.example'>x</a>", ""),
        ("<a href='https://a.example'>https://a.example/page</a>", ""),
        ("<a href='https://track.a.example/1'>www.a.example</a>", ""),  # below it
        ("<a href='https://a.example'>shop.a.example</a>", ""),  # above it
        ("<a href='https://a.example'>node.js and more</a>", ""),
        ("<a href='https://a.example'>terms.pdf</a>", ""),
        ("<a href='mailto:x@b.example'>www.a.example</a>", ""),
        (
            "<a href='https://evil.example'><b>bank</b>.com</a>",
            "1 links show another host than they lead to (bank.com for evil.example):",
        ),
        (
            "<a href='https://notbank.com'>https://bank.com/login",  # never ended
            "1 links show another host than they lead to (bank.com for notbank.com):",
        ),
        ("<img alt='' src='x'>", ""),
        ("<img src='x'><img alt='A' src='y'><IMG SRC='z'/>", "2 of 3 images have no alt text:"),
    ],
)
def test_wrong_links_and_images_are_warned_about(html: str, warning: str) -> None:
    found = about_html(html)
    assert len(found) == bool(warning)
    assert "".join(found).startswith(warning)
    assert "@" not in "".join(found)


@pytest.mark.parametrize(
    ("html", "warned"),
    [
        ("<img alt='sale' src='x'>", True),
        (f"<style>{WORDS}</style><img alt='sale' src='x'><p>Sale</p>", True),
        (f"<img alt='sale' src='x'><p>{WORDS}</p>", False),
        ("<p>short</p>", False),
    ],
)
def test_a_message_of_images_only_is_warned_about(html: str, warned: bool) -> None:
    found = about(replace(GOOD, html=html))
    assert [warning.startswith("the message has images and only") for warning in found] == [
        True
    ] * warned


@pytest.mark.parametrize(
    ("domain", "warned"),
    [
        ("gmail.com", True),
        ("yahoo.co.uk", True),
        ("gmx.de", True),
        ("web.de", True),
        ("news.gmail.com.example.org", False),
        ("mail.example.com", False),
        ("notgmail.com", False),
    ],
)
def test_a_sender_at_a_provider_of_free_mail_is_warned_about(domain: str, warned: bool) -> None:
    found = [*warnings(replace(FACTS, sender_domains=[domain]))]
    assert [warning.startswith(f"the sender is at {domain}, ") for warning in found] == [
        True
    ] * warned


def test_empty_values_are_counted_by_column() -> None:
    found = [*warnings(replace(FACTS, empty_values={"First Name": 12, "city": 0}))]
    assert [warning.partition(":")[0] for warning in found] == [
        "'First Name' is empty for 12 of 100 recipients"
    ]


def test_recipients_that_cannot_be_rendered_are_counted_with_the_reason() -> None:
    (found,) = warnings(replace(FACTS, readings=[], unrendered=["html, line 1: no", "other"]))
    assert found == (
        "the message cannot be rendered for 2 of 2 checked recipients, which will fail:"
        " html, line 1: no"
    )


def test_a_message_without_html_has_no_warnings_about_html() -> None:
    assert about(replace(GOOD, html=None, html_bytes=0)) == []
