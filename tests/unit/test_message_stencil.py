"""Messages from a stencil equal rendered and encoded messages.

7-bit bodies are equal byte for byte. Quoted-printable and base64 bodies have other line breaks, and
are equal when they are decoded.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from copy import copy
from datetime import UTC, datetime
from email import message_from_bytes
from email.policy import default
from itertools import count
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mailsluice.campaign import Message
from mailsluice.core.errors import MessageError
from mailsluice.message import CompiledMessage, compile_message
from mailsluice.message.content import Shape
from mailsluice.message.simple import SimpleTemplate
from mailsluice.message.stencil import Stencil, Stencils
from mailsluice.smtp.commands import stuffed
from tests.thorough import examples

TRANSFER_ENCODING = "Content-Transfer-Encoding"
ENCODED = re.compile(rb"Transfer-Encoding: (quoted|base64)")
NOON = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
EMAIL = "anna@example.com"
ROW = {"Name": "Anna", "note": "hello"}
HTML = (
    '<p class="a">Dear {{ name }},</p>\n<a href="https://x.example/?n={{ note }}">{{ email }}</a>'
)
TEXT = "Dear {{ name|upper }},\n{{ note }} {{ note|title }}"
URL = "https://x.example/u?e={{ email|urlencode }}&n={{ note }}"


def compiled(**fields: Any) -> CompiledMessage:
    document = {"sender": "News <news@example.com>", "subject": "Hi {{ name }}", **fields}
    return compile_message(
        Message(**document), campaign="spring", columns=("Name", "note"), now=lambda: NOON
    )


def filled(message: CompiledMessage, row: Mapping[str, str]) -> bytes | None:
    """Return the stencil's message; None if the row has to be rendered."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CompiledMessage, "_encoded", lambda *_: b"")
        message.render(7, EMAIL, row)  # a shape gets its stencil when it is seen again
        return message.render(7, EMAIL, row).content or None


def rendered(message: CompiledMessage, row: Mapping[str, str]) -> bytes | str:
    """Return the rendered and encoded message, or the error."""
    slow = copy(message)
    slow._filled = lambda *_: None  # type: ignore[method-assign]
    return outcome(slow, row)


def decoded(message: bytes | str) -> object:
    """Return what a reader gets, header fields and contents; an error as it is."""
    if isinstance(message, str):
        return message
    assert longest_line(message) <= 998
    parsed = message_from_bytes(message, policy=default)
    return [
        (
            [(name, str(value)) for name, value in part.items() if name != TRANSFER_ENCODING],
            None if part.is_multipart() else part.get_payload(decode=True),
            part.defects,
        )
        for part in parsed.walk()
    ]


def longest_line(message: bytes) -> int:
    """Return the octets of the longest line, without its end."""
    return max(map(len, message.split(b"\r\n")))


def assert_same(message: CompiledMessage, row: Mapping[str, str]) -> None:
    """Check that the message equals the rendered one; byte for byte if it is 7-bit."""
    content, slow = outcome(message, row), rendered(message, row)
    if content != slow:
        assert isinstance(content, bytes)
        assert not is_plain(content)
        assert decoded(content) == decoded(slow)
    elif isinstance(content, bytes):
        assert longest_line(content) <= 998


def is_plain(message: bytes) -> bool:
    """Whether all of its bodies are 7-bit."""
    return not ENCODED.search(message)


def outcome(message: CompiledMessage, row: Mapping[str, str]) -> bytes | str:
    """Return the message of a row whose like was seen before, or the error."""
    try:
        message.render(7, EMAIL, row)
        return message.render(7, EMAIL, row).content
    except MessageError as error:
        return str(error)


MESSAGES = {
    "text": compiled(text=TEXT),
    "html and text": compiled(html=HTML, text=TEXT),
    "derived text": compiled(html=HTML),
    "unsubscribe": compiled(html=f"{HTML}{{{{ unsubscribe_url }}}}", unsubscribe_url=URL),
    "one insertion": compiled(text="{{ note }}"),
    "none": compiled(html="<p>Dear all</p>", text="Dear all"),
    "sender outside ASCII": compiled(sender="Zoë <zoë@example.com>", text=TEXT),
}
printable = st.characters(min_codepoint=32, max_codepoint=126)
plain = st.text(printable, min_size=1, max_size=20)
hostile = st.one_of(
    plain,
    st.text(st.characters(exclude_categories=["Cs"])),
    st.text(st.sampled_from(list(" \r\n\t\x00\x7f\x85\u2028éß=_?&<>'\"%.a")), max_size=40),
    st.sampled_from(["", " ", "\n", "w" * 990, "<" * 300, "\ud800", "Anna", "hello", EMAIL]),
)


@pytest.mark.parametrize("case", MESSAGES)
@settings(deadline=None, max_examples=examples(60))
@given(name=plain, note=plain)
@example(name="O'Brien & Co", note="=_.")
def test_plain_values_go_into_the_holes(case: str, name: str, note: str) -> None:
    row = {"Name": name, "note": note + "." if note == name else note}
    content = filled(MESSAGES[case], row)
    assert content is not None
    assert content == rendered(MESSAGES[case], row)


@pytest.mark.parametrize("case", MESSAGES)
@settings(deadline=None, max_examples=examples())
@given(name=hostile, note=hostile)
@example(name="x\ny", note="é")
@example(name="Anna", note="Anna")
@example(name="Anna", note="")
@example(name="", note="")
@example(name="\ud800", note="\ud800")
def test_for_any_values_the_message_equals_the_rendered_one(
    case: str, name: str, note: str
) -> None:
    assert_same(MESSAGES[case], {"Name": name, "note": note})


insertions = st.sampled_from(["{{ name }}", "{{ note }}", "{{ email }}", "{{ note|trim }}"])
static = st.text(st.sampled_from(list("ab =_.<>&\n\té'\"")), max_size=12)
markup = st.sampled_from(["<p>", "<br>", "</p>\n", "<td>", "&rsquo;", '<a href="', '">', "\n" * 3])
templates = (
    st.lists(insertions | static | markup, min_size=1, max_size=12).map("".join).filter(str.strip)
)


@settings(deadline=None, max_examples=examples(150))
@given(
    subject=templates,
    html=templates,
    text=templates | st.none(),
    name=plain | hostile,
    note=plain | hostile,
)
def test_for_any_template_the_message_equals_the_rendered_one(
    subject: str, html: str, text: str | None, name: str, note: str
) -> None:
    message = compiled(subject=subject, html=html, text=text)
    assert_same(message, {"Name": name, "note": note})


@pytest.mark.parametrize(
    ("fields", "note"),
    [
        ({"text": TEXT}, "Zoë"),
        ({"text": TEXT}, "a\nb"),  # another line
        ({"text": TEXT}, "a\tb"),  # plain enough to encode, but no word
        ({"text": "12{{ note }}34\n"}, "x" * 995),  # a line of 999
        ({"text": "Zoë {{ note }}"}, "=" * 100),
        ({"text": "{{ note }}\n{{ note }} é"}, ". "),  # a dot at the start, a space at the end
        ({"text": "{{ note }}é{{ note }}"}, "é" * 40),
        ({"text": "x" * 75 + "{{ note }} é"}, "y" * 76),
        ({"text": "é {{ note }}"}, "." * 160),  # dots where a line has no room to encode them
        ({"text": "é {{ note }}"}, "." + "x" * 74),
        ({"text": "é {{ note }}"}, "a" * 75 + "." + "b" * 80),
        ({"text": "é" + "a" * 69 + "." * 80 + "{{ note }}"}, "x"),
        ({"text": "Здравствуйте, {{ name }}! {{ note }}"}, "ё"),  # base64
        ({"text": "Здравствуйте, " * 40 + "{{ name }}" + "ы" * 100 + "{{ note }}"}, "жук"),
        ({"html": "<p>{{ note }}</p>", "text": "a"}, "&" * 200),
        ({"html": "<p>{{ name }}<br>{{ note }}</p>"}, "Anna"),  # in the derived text: one value
        ({"html": "<p>{{ name }}<br>{{ note }}</p>"}, ""),  # in the derived text: no line
        ({"text": "x" * 999 + "{{ note }}"}, "a"),
        ({"text": "{% if note %}Dear {{ note }}{% else %}Hello{% endif %}\n"}, "Ann"),
        ({"text": "{% if note == 'é' %}A{% elif note in ('b', 'c') %}B{% endif %}."}, "c"),
        ({"html": "<p>{{ note or 'there' }} {{ name|default('x', true) }}</p>"}, ""),
    ],
)
def test_other_values_and_templates_have_stencils_as_well(
    fields: dict[str, str], note: str
) -> None:
    message = compiled(**fields)
    row = {**ROW, "note": note}
    assert filled(message, row) is not None
    assert_same(message, row)


@pytest.mark.parametrize(
    ("fields", "note"),
    [
        ({"text": "Hi\n{{ note }}"}, ""),  # the body ends with the line before
        ({"text": "Hi {{ note }}"}, "a\n"),  # the body ends with the value's line
        ({"text": TEXT}, "a\rb"),  # a line end that may belong to the next piece's
        ({"text": TEXT}, "x" * 20_001),
        ({"text": "{{ note|urlencode }}"}, "\ud800"),  # cannot be rendered
    ],
)
def test_odd_values_are_rendered(fields: dict[str, str], note: str) -> None:
    message = compiled(**fields)
    row = {**ROW, "note": note}
    assert filled(message, row) is None
    assert outcome(message, row) == rendered(message, row)


conditions = st.sampled_from(
    [
        "{% if note %}",
        "{% if not name %}",
        "{% if name == 'Anna' and note %}",
        "{% if name|upper == 'ANNA' or note != 'é' %}",
        "{% if note in ['hello', ' '] %}",
        "{% if note is defined %}",
    ]
)
blocks = st.builds(
    lambda test, yes, no: f"{test}{yes}{{% else %}}{no}{{% endif %}}", conditions, static, templates
)


@settings(deadline=None, max_examples=examples(150))
@given(parts=st.lists(blocks | templates, min_size=1, max_size=4), name=hostile, note=hostile)
def test_conditions_are_decided_as_jinja_decides_them(
    parts: list[str], name: str, note: str
) -> None:
    message = compiled(html="".join(parts), text=None)
    row = {"Name": name, "note": note}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SimpleTemplate, "of", lambda *_, **__: None)
        by_jinja = compiled(html="".join(parts), text=None)
    content, slow = outcome(message, row), outcome(by_jinja, row)
    assert content == slow or decoded(content) == decoded(slow)


def test_a_line_may_have_998_octets() -> None:
    row = {**ROW, "note": "x" * 994}
    message = compiled(text="12{{ note }}34\n")
    content = filled(message, row)
    assert content == rendered(message, row)
    assert b"\r\n12" + b"x" * 994 + b"34\r\n" in (content or b"")


@pytest.mark.parametrize("begin", ["", "=", "=_", "=_a"])
def test_values_that_complete_a_boundary_are_encoded(begin: str) -> None:
    tried = (compiled(text=f"{number}{begin}{{{{ note }}}}") for number in count())
    message = next(message for message in tried if message._marker.startswith(begin.encode()))
    row = {**ROW, "note": message._marker.decode().removeprefix(begin)}
    content = filled(message, row)
    assert content is not None
    assert message._marker not in content
    assert_same(message, row)
    assert is_plain(filled(message, {**ROW, "note": row["note"][:-1]}) or b"")


def test_a_row_without_a_column_cannot_be_rendered() -> None:
    message = compiled(text=TEXT)
    assert filled(message, {"Name": "Anna"}) is None
    assert "'note' is undefined" in str(outcome(message, {"Name": "Anna"}))


@pytest.mark.parametrize(
    "fields",
    [
        {"text": "{% for one in 'abc' %}{{ one }}{% endfor %}{{ note }}"},
        {"text": "{% set x = note %}{{ x }}"},
        {"text": "{{ note ~ '!' }}"},
        {"text": "{% if note > 'a' %}{{ note }}{% endif %}"},
    ],
)
def test_other_templates_have_no_stencil(fields: dict[str, str]) -> None:
    message = compiled(**fields)
    assert filled(message, ROW) is None
    assert isinstance(outcome(message, ROW), bytes)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"text": "Dear {{ name }}, hello.\nYours"}, True),
        ({"html": HTML, "text": "Dear {{ name }}"}, True),
        ({"text": "Dear all,\n.{{ name }}"}, False),
        ({"text": "Dear all,\n{{ name }}"}, False),  # it may begin with a dot
        ({"text": "{{ name }}"}, False),
        ({"text": "Hello", "headers": [{"name": ".odd", "value": "x"}]}, False),
        ({"text": "Zoë"}, True),
        ({"text": ".Zoë\n.{{ note }}é\n."}, True),  # dots at the beginning of lines are encoded
    ],
)
@settings(deadline=None, max_examples=examples(20))
@given(note=hostile)
@example(note=".")
@example(note="a" * 75 + "." + "b" * 80)
def test_a_dotless_message_needs_no_stuffing(
    fields: dict[str, Any], expected: bool, note: str
) -> None:
    for row in (ROW, {"Name": note, "note": note}):
        try:
            envelope = compiled(**fields).render(7, EMAIL, row)
        except MessageError:
            continue
        if envelope.is_dotless:
            assert stuffed(envelope.content) == envelope.content
    assert compiled(**fields).render(7, EMAIL, ROW).is_dotless is expected


def test_a_dot_reaches_the_reader_wherever_a_line_breaks() -> None:
    message = compiled(text="é {{ note }}")
    for length in range(60, 160):
        row = {**ROW, "note": "a" * length + "." * 5 + "b" * 80}
        envelope = message.render(7, EMAIL, row)
        assert envelope.is_dotless
        assert b"\r\n." not in envelope.content
        assert max(map(len, envelope.content.split(b"\r\n"))) <= 76


def test_only_shapes_that_recur_get_stencils_and_only_while_there_is_room() -> None:
    cut: list[object] = []

    def stencil(shape: Shape) -> Stencil:
        cut.append(shape)
        return cast("Stencil", SimpleNamespace(octets=10))

    stencils = Stencils(stencil, octets=20)
    shapes: list[Shape] = [(((number,),), None) for number in range(5)]
    assert [stencils.get(shape) for shape in shapes] == [None] * 5
    assert [stencils.get(shape) is None for shape in shapes] == [False, False, True, True, True]
    assert [stencils.get(shape) is None for shape in shapes] == [False, False, True, True, True]
    assert cut == shapes[:2]
