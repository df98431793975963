"""The whole message equals that of Python's `email` package."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import SMTP, default
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markupsafe import escape

from mailsluice.campaign import Header, Message
from mailsluice.core.envelope import Envelope
from mailsluice.core.errors import MessageError
from mailsluice.message import (
    CompiledMessage,
    attachment_digests,
    compile_message,
    message_id,
)
from mailsluice.message.headers import one_line
from tests.thorough import examples

NOON = datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=UTC)
COLUMNS = ("first_name", "note")
HTML = "<p>Dear {{ first_name }}, {{ note }}</p>\n{{ '<b>' }}"
ROW = {"first_name": "Anna", "note": "hello"}


def compiled(columns: tuple[str, ...] = COLUMNS, **fields: Any) -> CompiledMessage:
    document = {"sender": "News <news@example.com>", "subject": "Hi {{ first_name }}", **fields}
    return compile_message(
        Message(**document), campaign="spring", columns=columns, now=lambda: NOON
    )


def render(message: CompiledMessage, row: Mapping[str, str] = ROW) -> Envelope:
    return message.render(7, "anna@example.com", row)


def parsed(content: bytes) -> EmailMessage:
    message = BytesParser(policy=default).parsebytes(content)
    assert isinstance(message, EmailMessage)
    for part in message.walk():
        assert not part.defects
        assert not [defect for _, value in part.items() for defect in value.defects]
    return message


def body(message: EmailMessage, kind: str) -> str:
    part = message.get_body((kind,))
    assert part is not None
    return str(part.get_content()).replace("\r\n", "\n")


def assert_legal(content: bytes) -> None:
    assert content.isascii()
    assert content.endswith(b"\r\n")
    assert b"\0" not in content
    lines = content.split(b"\r\n")
    assert max(map(len, lines)) <= 998
    assert not any(b"\r" in line or b"\n" in line for line in lines)


plain = st.characters(exclude_categories=["Cs"])
NASTY = " \r\n\t\x00\x0b\x1c\x85\u2028é😀אب=?_.-<>&'\"{}%#a"
hostile = st.one_of(
    st.text(plain),
    st.text(
        st.sampled_from(list(" \r\n\t\x00\x0b\x1c\x85\u2028é😀אب=?_.-<>&'\"{}%#a")), max_size=200
    ),
    st.sampled_from(
        [
            "{{ 7 * 7 }}{% for x in y %}{# c #}",
            "x\r\nBcc: victim@example.com\r\n\r\nbody",
            "=?utf-8?q?x=0D=0ABcc:_a?=",
            "\r\n.\r\nMAIL FROM:<a@b>\r\n",
            "w" * 3000,
            "x" * 997 + "é",
            "--=_\r\n",
            "\ufdd00\ufdd1",
        ]
    ),
)
CASES = {
    "derived text": compiled(html=HTML),
    "html and text": compiled(html=HTML, text="Dear {{ first_name }}, {{ note }}"),
    "text": compiled(text="Dear {{ first_name }}, {{ note }}"),
    "blocks": compiled(
        html="{% if note %}" + HTML + "{% endif %}", text="{{ note }}{% if 1 %}{% endif %}"
    ),
}


@pytest.mark.parametrize("case", CASES)
@settings(deadline=None, max_examples=examples(60))
@given(name=hostile, note=hostile)
@example(name="", note="")
def test_a_message_equals_that_of_the_email_package(case: str, name: str, note: str) -> None:
    content = render(CASES[case], {"first_name": name, "note": note}).content
    assert_legal(content)
    message, expected = parsed(content), parsed(reference(case, name, note))
    assert message["From"] == expected["From"]
    assert message["To"] == expected["To"]
    assert message["Subject"] == one_line(f"Hi {name}")
    assert {*map(str.lower, message.keys())} == FIELDS | {*map(str.lower, expected.keys())}
    shapes = [[part.get_content_type() for part in whole.walk()] for whole in (message, expected)]
    assert shapes[0] == shapes[1]
    for kind in ("plain", "html"):
        if expected.get_body((kind,)) and (case, kind) != ("derived text", "plain"):
            assert body(message, kind) == body(expected, kind)


FIELDS = {"from", "to", "subject", "date", "message-id"}


def reference(case: str, name: str, note: str) -> bytes:
    """Build the content of a case with the `email` package only."""
    html = f"<p>Dear {escape(name)}, {escape(note)}</p>\n&lt;b&gt;"
    message = EmailMessage(policy=SMTP)
    message["From"] = "News <news@example.com>"
    message["To"] = "anna@example.com"
    message.set_content(note if case == "blocks" else f"Dear {name}, {note}", cte="base64")
    if case != "text":
        html = "" if case == "blocks" and not note else html
        message.add_alternative(html, subtype="html", cte="base64")
    return message.as_bytes()


def test_every_header_field_has_its_value() -> None:
    envelope = render(
        compiled(
            html="<a href='{{ unsubscribe_url }}'>bye</a>",
            reply_to="Zoë <reply@example.com>",
            unsubscribe_url="https://x.example/u?e={{ email|urlencode }}&n={{ note }}",
            headers=(Header(name="X-Campaign", value="spring"), Header(name="X-Name", value="Été")),
        ),
        {"first_name": "Zoë", "note": "a <b"},
    )
    message = parsed(envelope.content)
    assert envelope.recipient_id == 7
    assert envelope.sender == "news@example.com"
    assert envelope.recipient == "anna@example.com"
    assert not envelope.smtputf8
    assert message["Subject"] == "Hi Zoë"
    assert message["Date"].datetime == NOON.replace(microsecond=0)
    assert message["Message-ID"] == message_id("spring", "anna@example.com", "example.com")
    assert message["Reply-To"] == "Zoë <reply@example.com>"
    assert message["X-Campaign"] == "spring"
    assert message["X-Name"] == "Été"
    url = "https://x.example/u?e=anna%40example.com&n=a%20%3Cb"
    assert message["List-Unsubscribe"] == f"<{url}>"
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert body(message, "html") == f"<a href='{url.replace('&', '&amp;')}'>bye</a>\n"
    assert body(message, "plain") == f"[bye]({url})\n"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (f"a{' ' * 300}b", "a b"),
        (f"  a{' ' * 90}{'b' * 80}   c ", f"a {'b' * 80} c"),
        ("a  =?utf-8?q?b?=", "a =?utf-8?q?b?="),  # encoded already
        (f"Z\u00f6{' ' * 300}e", None),
    ],
)
def test_a_header_has_no_lines_of_blanks(value: str, expected: str | None) -> None:
    content = render(compiled(text="x", headers=(Header(name="X-A", value=value),))).content
    lines = content.partition(b"\r\n\r\n")[0].split(b"\r\n")
    assert all(line.strip() for line in lines)
    if expected is not None:
        assert b"X-A: " + expected.encode() in b"".join(lines)


def test_one_click_needs_https() -> None:
    message = parsed(render(compiled(text="x", unsubscribe_url="http://x.example/")).content)
    assert message["List-Unsubscribe"] == "<http://x.example/>"
    assert message["List-Unsubscribe-Post"] is None


def test_the_unsubscribe_address_may_be_a_column() -> None:
    message = compiled(
        columns=("first_name", "unsubscribe_url"),
        text="{{ unsubscribe_url }}",
        unsubscribe_url="{{ unsubscribe_url }}",
    )
    row = {"first_name": "Anna", "unsubscribe_url": "https://x.example/a b"}
    assert body(parsed(render(message, row).content), "plain") == "https://x.example/a%20b\n"
    with pytest.raises(MessageError, match="unsubscribe_url: not an https"):
        render(message, {**row, "unsubscribe_url": "n/a"})


def test_columns_are_usable_by_their_slugs() -> None:
    message = compiled(columns=("First Name",), text="{{ first_name }}")
    assert body(parsed(render(message, {"First Name": "Anna"}).content), "plain") == "Anna\n"


def test_the_date_follows_the_clock() -> None:
    clock = iter([NOON, NOON + timedelta(seconds=0.5), NOON + timedelta(seconds=1)])
    document = Message(sender="a@example.com", subject="s", text="t")
    message = compile_message(document, campaign="c", columns=(), now=lambda: next(clock))
    dates = [parsed(render(message).content)["Date"].datetime.second for _ in range(3)]
    assert dates == [0, 0, 1]


@pytest.mark.parametrize(
    ("sender", "email", "smtputf8"),
    [
        ("news@example.com", "zoë@example.com", True),
        ("Zoë <zoë@example.com>", "anna@example.com", True),
        ("Zoë <zoe@bücher.example>", "anna@example.com", False),
    ],
)
def test_a_local_part_outside_ascii_needs_smtputf8(sender: str, email: str, smtputf8: bool) -> None:
    envelope = compiled(sender=sender, text="x").render(1, email, ROW)
    head = envelope.content.partition(b"\r\n\r\n")[0].decode()
    assert envelope.smtputf8 is smtputf8
    assert f"To: {email}\r\n" in head
    assert envelope.content.isascii() is not smtputf8
    assert envelope.sender.rpartition("@")[2].isascii()
    assert f"<{envelope.sender}>" in head or f"From: {envelope.sender}" in head


@pytest.mark.parametrize("bodies", [{"html": HTML}, {"text": "x"}, {"html": HTML, "text": "x"}])
def test_attachments_arrive_whole(tmp_path: Path, bodies: dict[str, Any]) -> None:
    files = {
        "report.pdf": bytes(range(256)) * 40,
        "Übersicht – 2026, “neu”.csv": "a;ü\r\n".encode(),
        f"{'long name ' * 12}.png": b"",
        'odd\n"name;.bin': b"\x00",
        "mail.eml": b"From: a@b\r\n\r\nx",
        "packed.tar.gz": b"\x1f\x8b",
        "latin.txt": b"\xe9",
        "no-extension": b"body-0-goes-here\r\n\r\nbody-0-goes-here\r\n",
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    paths = tuple(str(tmp_path / name) for name in files)
    message = compiled(**bodies, attachments=paths)
    (tmp_path / "report.pdf").unlink()  # read once
    content = render(message).content
    assert_legal(content)
    parts = list(parsed(content).iter_attachments())
    assert [part.get_filename() for part in parts] == [one_line(name) for name in files]
    assert [part.get_payload(decode=True) for part in parts] == [*files.values()]
    types = [part.get_content_type() for part in parts]
    assert types[:3] == ["application/pdf", "text/csv", "image/png"]
    assert types[4:6] == ["application/octet-stream"] * 2
    assert parts[1].get_content() == "a;ü\r\n"


def test_digests_depend_on_the_content_of_attachments(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"abc")
    message = Message(sender="a@example.com", subject="s", text="t", attachments=(str(path),))
    sha = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert attachment_digests(message) == {str(path): sha}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"text": "{{ nope }}"}, "text, line 1: there is no variable 'nope'"),
        ({"html": "{{ note"}, "html, line 1: "),
        ({"text": "x", "subject": "{{ unsubscribe_url }}"}, "subject, line 1: "),
        ({"text": "x", "unsubscribe_url": "https://x/{{ id }}"}, "unsubscribe_url, line 1: "),
        ({"text": "{{ unsubscribe_url }}"}, "text, line 1: there is no variable 'unsubscribe_url'"),
        ({"text": "x", "unsubscribe_url": "mailto:{{ note }}"}, "begins with 'mailto:'"),
        ({"text": "x", "unsubscribe_url": "www.example.com"}, "begins with 'www.example.com'"),
        (
            {"text": "x", "attachments": ("/nowhere/a.pdf",)},
            "attachment '/nowhere/a.pdf' cannot be",
        ),
        ({"text": "x", "attachments": ("/",)}, "attachment '/' cannot be read: it is not a"),
        ({"text": "x", "sender": "News <news@-.example>"}, "sender: no header can hold"),
        ({"text": "x", "reply_to": "a@-.example"}, "reply_to: no header can hold"),
    ],
)
def test_an_invalid_message_is_refused_before_the_first_mail(
    fields: dict[str, Any], expected: str
) -> None:
    with pytest.raises(MessageError) as caught:
        compiled(**fields)
    assert expected in str(caught.value)


def test_a_row_that_cannot_be_rendered_does_not_affect_others() -> None:
    message = compiled(text="{{ 1 // note|int }}")
    with pytest.raises(MessageError, match=r"text, line 1: .* ZeroDivisionError"):
        render(message, {**ROW, "note": "0"})
    assert body(parsed(render(message, {**ROW, "note": "1"}).content), "plain") == "1\n"


def test_a_body_that_contains_the_boundary_does_not_end_its_part() -> None:
    message = compiled(html="{{ note }}", text="{{ note }}")
    boundary = parsed(render(message).content).get_boundary()
    inside = parsed(render(message, {**ROW, "note": f"\r\n--{boundary}--\r\nx"}).content)
    assert body(inside, "plain") == body(inside, "html") == f"\n--{boundary}--\nx\n"
