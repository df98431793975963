"""The message for a few recipients: who is chosen, what is hidden, what the page allows."""

from __future__ import annotations

import base64
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest

from mailsluice.audience.sample import Sample
from mailsluice.operations.preview import Field, MessagePreview, ShownMessage
from mailsluice.operations.preview.choosing import choose
from mailsluice.operations.preview.hiding import hidden, hidden_in_html
from mailsluice.operations.preview.inert import inert
from mailsluice.operations.preview.messages import LONGEST_VALUE, MOST_CHARACTERS
from mailsluice.operations.preview.page import page
from mailsluice.operations.preview.rendering import message_preview
from mailsluice.operations.preview.stored import as_data, from_data
from tests.unit.growth import TIMES, is_in_proportion
from tests.unit.test_assignment import campaign
from tests.unit.test_audience_sample import resolved

ANN = "ann.lee@x.example.com"


def sample(number: int, **values: str) -> Sample:
    return Sample(f"user{number}@x.example.com", values, number)


def test_the_chosen_are_spread_over_the_list_and_extreme() -> None:
    people = [sample(number, name="Ann", city="Rome") for number in range(100)]
    people[37] = sample(37, name="Wolfeschlegelsteinhausen", city="Rome")
    people[61] = sample(61, name=" ", city="")
    assert choose(people, ["name", "city"]) == [
        (0, "the first in send order"),
        (37, "the longest value"),
        (50, "one between them"),
        (61, "the most empty values"),
        (99, "the last in send order"),
    ]


@pytest.mark.parametrize("number", range(5))
def test_a_short_list_is_shown_whole(number: int) -> None:
    chosen = choose([sample(place) for place in range(number)], ["name"])
    assert [place for place, _ in chosen] == [*range(number)]


@pytest.mark.parametrize(
    "text",
    [
        ANN,
        ANN.upper(),
        "https://x.de/?e=ann.lee%40x.example.com",
        "?e=" + base64.b64encode(ANN.encode()).decode(),
        "?e=" + base64.b64encode(b"id=7&mail=" + ANN.encode() + b"&x=1").decode(),
        "write to <somebody@else.example>",
        f"https://t.example/?to={quote(f'https://x.example/?e={quote(ANN)}')}",  # link in a link
    ],
)
def test_addresses_are_hidden_in_every_form(text: str) -> None:
    for shown in (hidden(text, ANN), hidden_in_html(f'<a href="{text}">{text}</a>', ANN)):
        assert "@" not in shown
        assert "%40" not in shown
        assert "ann.lee" not in shown.lower()
        assert base64.b64encode(ANN.encode()).decode()[4:20] not in shown


def test_the_mark_for_an_address_is_text_in_html_and_tags_stay() -> None:
    html = "<address>Shop, Rome</address><p>To ann.lee&#64;x.example.com, b&commat;c.de</p>"
    assert hidden_in_html(html, ANN) == (
        "<address >Shop, Rome</address><p>To &lt;address&gt;, &lt;address&gt;</p>"
    )


ROWS = [
    ["email", "name", "size"],
    [ANN, "Ann Lee", "1"],
    ["b@x.example.com", "Bob, see b@x.example.com", "0"],  # by zero: cannot be rendered
    ["c@x.example.com", "C" * 5_000, "2"],
]
MESSAGE: dict[str, Any] = {
    "sender": "News <news@example.com>",
    "subject": "Hi {{ name }}",
    "html": "<p>{{ name }} {{ 1 // size|int }} {{ email }}</p>"
    "<a href='{{ unsubscribe_url }}'>x</a>",
    "unsubscribe_url": "https://example.com/off?who={{ email }}",
}


def previewed(tmp_path: Path, *, size: int = 1, **message: Any) -> MessagePreview:
    attached = tmp_path / "offer.pdf"
    attached.write_bytes(b"x" * 1_024 * size)
    document = campaign(
        strategy="percentage",
        routes=[
            {"connection": "a", "percent": 50},
            {"connection": "b", "percent": 50, "identity": {"sender": "Shop <s@example.com>"}},
        ],
        message={**MESSAGE, "attachments": [str(attached)], **message},
    )
    with resolved(tmp_path, ROWS) as audience:
        order = np.array([0, 1, 2])
        return message_preview(document, audience, order, lambda _: "a", document.identities({}))


def test_each_part_of_the_message_is_shown_without_addresses(tmp_path: Path) -> None:
    preview = previewed(tmp_path)
    first, broken, last = preview.messages
    header = {field.name: field.value for field in first.headers}
    assert header["Subject"] == "Hi Ann Lee"
    assert header["To"] == "<address>"
    assert header["From"].startswith("News ")
    assert "https://unsubscribe.invalid/preview" in header["List-Unsubscribe"]
    assert [(one.connection, one.headers[0].name) for one in first.elsewhere] == [("b", "From")]
    assert first.elsewhere[0].headers[0].value.startswith("Shop ")
    assert first.html
    assert "<p>Ann Lee 1 &lt;address&gt;</p>" in first.html
    assert "href='https://unsubscribe.invalid/preview'" in first.html
    assert first.text
    assert "Ann Lee" in first.text
    assert first.attachments == [Field("offer.pdf", "1.0 kB")]
    assert first.variables == [Field("name", "Ann Lee"), Field("size", "1")]
    assert "this recipient would fail" in broken.notes[0]
    assert broken.variables[0] == Field("name", "Bob, see <address>")
    assert len(last.variables[0].value) == LONGEST_VALUE + 1
    assert "@" not in str(as_data(preview))
    assert from_data(as_data(preview)).messages[0].html == first.html


def test_a_header_field_that_no_program_can_read_is_shown_as_it_is(tmp_path: Path) -> None:
    preview = previewed(tmp_path, headers=[{"name": "Resent-From", "value": "<"}])
    assert Field("Resent-From", "<") in preview.messages[0].headers


def test_inline_images_are_in_the_page(tmp_path: Path) -> None:
    (tmp_path / "logo.png").write_bytes(b"\x89PNG logo")
    html = "<p>{{ name }}</p><img src='cid:logo.png' alt='Shop'>"
    preview = previewed(tmp_path, html=html, inline_images=[str(tmp_path / "logo.png")])
    text = page(preview)
    data = base64.b64encode(b"\x89PNG logo").decode()
    assert f"&lt;img src=&#34;data:image/png;base64,{data}&#34; alt=&#34;Shop&#34;&gt;" in text


def test_an_invitation_is_shown_with_its_values_and_without_addresses(tmp_path: Path) -> None:
    calendar = tmp_path / "launch.ics"
    calendar.write_text(
        "BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:-//Shop//EN\nMETHOD:REQUEST\nBEGIN:VEVENT\n"
        "UID:1@example.com\nDTSTAMP:20261101T080000Z\nDTSTART:20261201T090000Z\n"
        "ORGANIZER:mailto:news@example.com\n"
        f'ATTENDEE;CN="{"x" * 40} {{{{ name }}}}";RSVP=TRUE:mailto:{{{{ email }}}}\n'
        "SUMMARY:Launch\nEND:VEVENT\nEND:VCALENDAR\n"
    )
    preview = previewed(tmp_path, calendar=str(calendar))
    shown = preview.messages[0].calendar
    assert shown
    assert "Ann Lee" in shown
    assert "@" not in shown
    assert "<h3>Invitation</h3>" in page(preview)


def test_a_part_that_is_too_large_is_not_stored(tmp_path: Path) -> None:
    preview = previewed(tmp_path, html="<p>{{ name }}</p>" + "x" * 900_000, text="short")
    for message in preview.messages:
        assert message.html is None
        assert message.text == "short\n"
        assert message.notes == [
            "the HTML part is not shown: it has 0.9 MB. Send a copy to yourself to see it"
        ]
    assert len(str(as_data(preview))) < 100_000
    assert MOST_CHARACTERS < 1_000_000


class Reader(HTMLParser):
    """The tags of a page, with their attributes; a frame's document is an attribute."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for found, attributes in self.tags if found == tag]


HOSTILE = (
    "</iframe><script>alert(1)</script>\"'></iframe><svg onload=alert(1)><base href=//evil>"
    '<meta http-equiv="refresh" content="0;url=https://evil.example">{{ 7 * 7 }}'
)


@pytest.mark.parametrize("field", ["why", "connection", "text", "html", "notes", "headers"])
def test_no_text_leaves_its_place(field: str) -> None:
    values: dict[str, Any] = {"headers": [Field(HOSTILE, HOSTILE)], "notes": [HOSTILE]}
    shown = ShownMessage("first", "a", 1, [Field(HOSTILE, HOSTILE)], [], [], "text", "<p>x</p>")
    shown = replace(shown, **{field: values.get(field, HOSTILE)})
    for is_served in (False, True):
        text = page(MessagePreview(HOSTILE, [shown]), is_served=is_served)
        reader = Reader(text)
        for tag in ("script", "svg", "base", "form", "object", "embed"):
            assert not reader.of(tag)
        (frame,) = reader.of("iframe")
        assert frame["sandbox"] == ""
        assert frame["srcdoc"]
        assert frame["srcdoc"].startswith(
            '<!doctype html><meta http-equiv="Content-Security-Policy"'
        )
        assert [meta for meta in reader.of("meta") if meta.get("http-equiv") == "refresh"] == []
        assert "{{ 7 * 7 }}" in text
        links = [attributes["href"] for attributes in reader.of("a")]
        assert links == (["?images=yes"] if is_served else []) + ["#m1"]


def test_images_from_the_web_are_loaded_only_when_asked_for() -> None:
    preview = MessagePreview("x", [ShownMessage("first", "a", 1, [], html="<p>x</p>")])
    assert "https:" not in page(preview).partition("<body>")[0]
    assert "img-src data: https:;" in page(preview, images=True, is_served=True)
    assert "default-src &#39;none&#39;" in page(preview, images=True)


@pytest.mark.parametrize(
    ("given", "written"),
    [
        ('<p style="color: red" onclick=x>Hi &amp; <b>you</b></p>',
         '<p style="color: red">Hi &amp; <b>you</b></p>'),
        ('<a href="https://x.de/?a=1&amp;b=2" target=_top ping=y>x</a>',
         '<a title="leads to https://x.de/?a=1&amp;b=2">x</a>'),
        ("<IMG SRC='a.png' ALT=\"it's\" onerror=x>", '<img src="a.png" alt="it&#x27;s">'),
        ("<form action=x><button formaction=y>go</button></form>", "<button>go</button>"),
        ("<base href=x><meta http-equiv=refresh content=0><link rel=stylesheet href=y>x", "x"),
        ("a<script>if (a < b) '</p><a href=x>'</script >b", "ab"),
        ("a<svg><style><a href=x></style><svg></svg><image href=y /></svg>b", "ab"),
        ("<style><a href=x></style>", "<style>a href=x></style>"),
        ("<title><a href=x></title>b<iframe srcdoc='<script>'></iframe>c", "bc"),
        ("1 < 2 & 3 > 2 &lt;b&gt;", "1 &lt; 2 &amp; 3 &gt; 2 &lt;b&gt;"),
        ("a<!-- <b> --><!doctype html><?xml ?></ x>b", "ab"),
        ("x<a href='never ends", "x"),
        ("x<!-- never ends", "x"),
        ("<p =a b = 'c' / id=d/>x", '<p id="d/">x'),
        ("<blink>x</blink><custom-tag href=y>z", "xz"),
    ],
)  # fmt: skip
def test_a_message_is_written_anew_without_what_acts(given: str, written: str) -> None:
    assert inert(given) == written


@pytest.mark.parametrize(
    "piece", ["<", "<a ", "<a b=", "<!--", "</", "<style>", '<a "', "<svg>", "&"]
)
def test_reading_takes_time_in_proportion_to_the_length(piece: str) -> None:
    short = piece * (20_000 // len(piece))
    assert is_in_proportion(inert, short, short * TIMES, 0.05)
