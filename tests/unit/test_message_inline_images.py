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
from mailsluice.message.inline_images import unused_images

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


@pytest.mark.parametrize(
    ("html", "advice"),
    [
        ('<img src="cid:logo.pgn">', "cid:logo.pgn, and no inline image has this file name: did"),
        ("<img src='cid:x'>", "The inline images are: 'logo.png', 'my cat.jpg'"),
        ("<img src = CID:x>", "no inline image has this file name"),
        ("<p style='background: url( cid:x )'>", "no inline image has this file name"),
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
