"""Inline images: the structure of the message, and names that fit nothing."""

from __future__ import annotations

from datetime import UTC, datetime
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from mailsluice.campaign import Message
from mailsluice.core.errors import MessageError
from mailsluice.message import attachment_digests, compile_message
from mailsluice.message.image_references import with_references
from mailsluice.message.inline_images import unused_images
from tests.unit.growth import TIMES, is_in_proportion

LOGO, CAT = b"\x89PNG logo", b"\xff\xd8 cat"
HTML = '<p>{{ name }}</p><img src="cid:logo.png" alt=""><td background=cid:my%20cat.jpg>'


@pytest.fixture
def images(tmp_path: Path) -> tuple[str, ...]:
    (tmp_path / "logo.png").write_bytes(LOGO)
    (tmp_path / "my cat.jpg").write_bytes(CAT)
    return str(tmp_path / "logo.png"), str(tmp_path / "my cat.jpg")


def sent(name: str = "Ada", **fields: Any) -> EmailMessage:
    message = Message(sender="News <news@example.com>", subject="s", **fields)
    compiled = compile_message(
        message, campaign="c", columns=["name"], now=lambda: datetime.fromtimestamp(0, UTC)
    )
    contents = [compiled.render(1, "a@example.com", {"name": name}).content for _ in range(3)]
    assert len({*contents}) == 1
    parsed = message_from_bytes(contents[0], policy=SMTP)
    assert isinstance(parsed, EmailMessage)
    assert not [part.defects for part in parsed.walk() if part.defects]
    return parsed


def structure(part: EmailMessage) -> Any:
    """The content types of a message, nested."""
    parts = [structure(inner) for inner in part.iter_parts() if isinstance(inner, EmailMessage)]
    return (part.get_content_type(), *parts) if part.is_multipart() else part.get_content_type()


@pytest.mark.parametrize("name", ["Ada", "Łucja", "a=b." * 400])
def test_images_are_related_to_the_bodies_and_files_come_after(
    images: tuple[str, ...], tmp_path: Path, name: str
) -> None:
    (tmp_path / "terms.pdf").write_bytes(b"%PDF")
    files = (str(tmp_path / "terms.pdf"),)
    message = sent(name, html=HTML, text="Hi {{ name }}", inline_images=images, attachments=files)
    bodies = ("multipart/alternative", "text/plain", "text/html")
    assert structure(message) == (
        "multipart/mixed",
        ("multipart/related", bodies, "image/png", "image/jpeg"),
        "application/pdf",
    )
    [related, _] = message.iter_parts()
    assert related.get_param("type") == "multipart/alternative"
    assert message.get_all("MIME-Version") == ["1.0"]
    html = message.get_body(("html",))
    assert html is not None
    _, logo, cat = related.iter_parts()
    for part, data, file_name in ((logo, LOGO, "logo.png"), (cat, CAT, "my cat.jpg")):
        assert part.get_content() == data
        assert part.get_filename() == file_name
        assert part.get_content_disposition() == "inline"
        assert f"cid:{part['Content-ID'].strip('<>')}" in html.get_content()
        assert part["Content-ID"].endswith("@example.com>")
    assert logo["Content-ID"] != cat["Content-ID"]
    assert "cid:logo.png" not in html.get_content()


def test_html_alone_has_its_derived_text_beside_it(images: tuple[str, ...]) -> None:
    message = sent(html='<p>Hi</p><img src="cid:logo.png" alt="Logo">', inline_images=images[:1])
    bodies = ("multipart/alternative", "text/plain", "text/html")
    assert structure(message) == ("multipart/related", bodies, "image/png")
    text = message.get_body(("plain",))
    assert text is not None
    assert "Logo" in text.get_content()
    assert "cid" not in text.get_content()


FOUND = [
    # (HTML, the names in it)
    ('<img src="cid:a.png">', ["a.png"]),
    ("<img src = CID:a(1).png alt=x>", ["a(1).png"]),  # as browsers name a second download
    ("<img src='cid:a(1).png'>", ["a(1).png"]),
    ("""<img src="cid:a'b.png">""", ["a'b.png"]),
    ('<img src=" cid:my logo.png ">', ["my logo.png"]),
    ('<img src="cid:100%25.png">', ["100%.png"]),
    ('<img src="cid:R&amp;D.png">', ["R&D.png"]),
    ('<img src="cid:R&D.png">', ["R&D.png"]),
    ('<img src="cid:a&copy1.png">', ["a&copy1.png"]),  # no character without its semicolon
    ('<img src="cid&#58;a.png">', ["a.png"]),
    ('<img srcset="cid:a.png 1x, cid:b(1).png 2x">', ["a.png", "b(1).png"]),
    ("""<img srcset = "cid:a'b.png">""", ["a'b.png"]),
    ('<p style="background:url(&quot;cid:a.png&quot;)">', ["a.png"]),  # as DOM serialisers write it
    ("<p style='background:url(&apos;cid:a%20b.png&#39;)'>", ["a b.png"]),
    ('<p style="background:url(&#x22;cid:R&amp;D.png&#34;)">', ["R&D.png"]),
    ("""<p style="background:url( 'cid:a(1).png' ), url(cid:b.png)">""", ["a(1).png", "b.png"]),
    ("""<p style="background:url('cid:a\\'b.png')">""", ["a'b.png"]),
    ('<p style="background:url(cid:a(1).png)">', ["a(1).png"]),
    (r"<style>p {background: URL(cid:a\(1\)\2e png)}</style>", ["a(1).png"]),
    ('<style>p {background: url("cid:a.png")}</style>', ["a.png"]),
    ('<!--[if mso]><v:fill src="cid:a.png"/><![endif]-->', ["a.png"]),
    ('<img src="{% if name %}cid:a.png{% else %} cid:b.png{% endif %}">', ["a.png", "b.png"]),
    ("""<img src="{{ 'cid:a.png' if name else "cid:b.png" }}">""", ["a.png", "b.png"]),
    ('<img src="cid:{{ name }}.png">', ["{{ name }}.png"]),
    ('<img src="{% if 2 > 1 %}cid:a b.png{% endif %}">', ["a b.png"]),
    ("<p>acid:a, CID:7 {{ name }} cidre", []),
    ("<td>{% if name %}CID: {{ name }}{% endif %}</td>", []),  # words of the message
    ("<p>{{ name }} CID: 4411 {{ name }}cid:77 {{ 'cid:5' }}</p>", []),
    ('<a href="https://example.com/?q=1&amp;cid:x">', []),
]


@pytest.mark.parametrize(("html", "names"), FOUND)
def test_references_are_read_as_html_and_css_read_them(html: str, names: list[str]) -> None:
    found: list[str] = []

    def identified(name: str) -> str:
        found.append(name)
        return f"{len(found)}@x"

    replaced = with_references(html, identified)
    assert found == names
    if not names:
        assert replaced == html
    assert with_references(replaced, str) == replaced
    assert all(f"cid:{n}@x" in replaced for n in range(1, len(names) + 1))
    assert "cid:{" not in replaced


@pytest.mark.parametrize(
    "part",
    [
        "=",
        '="cid:',
        "url(",
        'url("cid:',
        "url(&quot;cid:",
        "url(cid:(",
        "url(cid:\\",
        "{{",
        'srcset="',
    ],
)
def test_the_time_for_references_is_linear(part: str) -> None:
    def read(html: str) -> str:
        return with_references(html, str)

    assert is_in_proportion(read, part * 1_000, part * 1_000 * TIMES, 0.02)


@pytest.mark.parametrize(
    ("html", "advice"),
    [
        ('<img src="cid:logo.pgn">', "cid:logo.pgn, and no inline image has this file name: did"),
        ("<img src='cid:x'>", "The inline images are: 'logo.png', 'my cat.jpg'"),
        ("<img src = CID:x>", "no inline image has this file name"),
        ("<p style='background: url( cid:x )'>", "no inline image has this file name"),
        ('<p style="background:url(&quot;cid:x&quot;)">', "cid:x, and no inline image has this"),
        ("<img src='{% if name %}cid:x{% endif %}'>", "no inline image has this file name"),
        ('<img src="cid:{{ name }}.png">', "depends on the recipient"),
    ],
)
def test_an_image_that_the_message_does_not_have_is_named(
    images: tuple[str, ...], html: str, advice: str
) -> None:
    with pytest.raises(MessageError) as caught:
        sent(html=html, inline_images=images)
    assert advice in str(caught.value)


def test_words_are_no_references(images: tuple[str, ...]) -> None:
    html = '<p>acid:base, CID:7</p><a href="https://example.com/?q=1&amp;cid:x">x</a>'
    message = sent(html=html, inline_images=images)
    body = message.get_body(("html",))
    assert body is not None
    assert html in body.get_content()


def test_images_that_the_html_does_not_show_are_told(images: tuple[str, ...]) -> None:
    html = '<img src="cid:logo.png">'
    message = Message(sender="a@b.de", subject="s", html=html, inline_images=images)
    assert [*unused_images(message)] == ["my cat.jpg"]
    assert {*attachment_digests(message)} == {*images}


def test_inline_images_are_images_with_names_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(b"")
    with pytest.raises(MessageError, match="is not an image by its name"):
        sent(html="x", inline_images=(str(tmp_path / "a.pdf"),))
    with pytest.raises(ValidationError, match="two images have the file name"):
        sent(html="x", inline_images=("/x/a.png", "/y/a.png"))
    with pytest.raises(ValidationError, match="inline images are shown by HTML"):
        sent(text="x", inline_images=("/x/a.png",))
