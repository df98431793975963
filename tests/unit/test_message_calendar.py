"""Invitations: their part of the message, values in them, and files that are none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsluice.core.errors import MessageError
from mailsluice.message.calendar import Calendar, folded, organizer_of
from tests.unit.test_message_inline_images import sent, structure

EVENT = """BEGIN:VCALENDAR
VERSION:2.0
PRODID:-//Example//EN
METHOD:REQUEST
BEGIN:VEVENT
UID:launch-2026@example.com
DTSTAMP:20261101T080000Z
DTSTART:20261201T090000Z
ORGANIZER;CN=News:mailto:news@example.com
ATTENDEE;CN="{name}";RSVP=TRUE:mailto:{email}
SUMMARY:Launch
END:VEVENT
END:VCALENDAR
"""
FIXED = EVENT.format(name="Guest", email="guest@example.com")
OWN = EVENT.format(name="{{ name }}", email="{{ email }}")


def calendar(tmp_path: Path, text: str | bytes) -> str:
    path = tmp_path / "launch.ics"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return str(path)


def calendar_of(message: Any) -> str:
    [part] = [part for part in message.walk() if part.get_content_type() == "text/calendar"]
    assert part.get_param("method") == "REQUEST"
    assert part.get_content_charset() == "utf-8"
    content: str = part.get_content()
    return content.replace("\r\n", "\n")


@pytest.mark.parametrize("text", [FIXED, FIXED.replace("\n", "\r\n"), f"\ufeff{FIXED}"])
def test_a_fixed_invitation_is_an_alternative_and_a_file(tmp_path: Path, text: str) -> None:
    message = sent(text="Come {{ name }}", html="<p>Come</p>", calendar=calendar(tmp_path, text))
    bodies = ("multipart/alternative", "text/plain", "text/html", "text/calendar")
    assert structure(message) == ("multipart/mixed", bodies, "application/ics")
    assert calendar_of(message) == FIXED
    [file] = message.iter_attachments()
    assert file.get_filename() == "launch.ics"


@pytest.mark.parametrize("name", ["Ada", "Łucja", "x" * 200])
def test_an_invitation_names_its_recipient(tmp_path: Path, name: str) -> None:
    message = sent(name, text="Come", calendar=calendar(tmp_path, OWN))
    assert structure(message) == ("multipart/alternative", "text/plain", "text/calendar")
    text = calendar_of(message)
    assert all(len(line.encode()) <= 75 for line in text.split("\n"))
    unfolded = text.replace("\n ", "")
    assert f'ATTENDEE;CN="{name}";RSVP=TRUE:mailto:a@example.com\n' in unfolded


def test_a_value_adds_no_property(tmp_path: Path) -> None:
    name = 'A";X="\r\nATTENDEE:mailto:b@example.com\u2028\x0bSUMMARY:No; really, \\n'
    text = calendar_of(sent(name, text="Come", calendar=calendar(tmp_path, OWN)))
    lines = text.replace("\n ", "").split("\n")
    assert len(lines) == len(OWN.split("\n"))
    assert [line.partition(":")[0].partition(";")[0] for line in lines] == [
        line.partition(":")[0].partition(";")[0] for line in OWN.split("\n")
    ]


HOSTILE = 'A";X="\r\nX-EVIL:1\nX-EVIL:1\rX-EVIL:1\u2028X-EVIL:1\x0bX-EVIL:1\x85X-EVIL:1\x02\x03\\'
PLACES = [
    # (a line of the template, a value, the line)
    ("SUMMARY:{{ name }}", "a\\b;c,d\r\ne\tf\x00g", "SUMMARY:a\\\\b\\;c\\,d\\ne fg"),
    ("SUMMARY:{{ name }}", 'Ann "Lee": x', 'SUMMARY:Ann "Lee": x'),
    ("SUMMARY:a\\nb\\, {{ name }}", "Lee, Ann", "SUMMARY:a\\nb\\, Lee\\, Ann"),
    ("LOCATION:{% if name == 'Lee, Ann' %}x{% else %}y{% endif %}", "Lee, Ann", "LOCATION:x"),
    ("SUMMARY:{{ name|replace(', ', '; ')|upper }}", "Lee, Ann", "SUMMARY:LEE\\; ANN"),
    ("SUMMARY:{{ 'a;b' }}{{ name|length }}", "a;b", "SUMMARY:a\\;b3"),
    ("X-A;X=1:{% set s %}a\\nb {{ name }}{% endset %}{{ s }}", "a;b", "X-A;X=1:a\\nb a\\;b"),
    ("X-A:{% macro m(s) %}a\\n{{ s }}{% endmacro %}{{ m(name) }}", "a;b", "X-A:a\\na\\;b"),
    (
        'X-A;CN="{{ name }}";Y="{{ name }}":{{ name }}',
        'Lee, "A";:',
        'X-A;CN="Lee, \'A\';:";Y="Lee, \'A\';:":Lee\\, "A"\\;:',
    ),
    ("ATTENDEE;CN={{ name }}:mailto:x@y.de", "Lee; A: b", "ATTENDEE;CN=Lee  A  b:mailto:x@y.de"),
    ("URL:{{ name }}", "https://x.de/a;b,c?d=e&f=%20#g\n", "URL:https://x.de/a;b,c?d=e&f=%20#g"),
    ("URL:https://x.de/?n={{ name|urlencode }}", "Lee, A\n", "URL:https://x.de/?n=Lee%2C%20A%0A"),
    ("url:{{ name }}", 'a b"ü', "url:a%20b%22%C3%BC"),
    ("X-A;VALUE=URI:{{ name }}", "x:a,b", "X-A;VALUE=URI:x:a,b"),
    ("ATTACH;X=1;VALUE=TEXT:{{ name }}", "a,b", "ATTACH;X=1;VALUE=TEXT:a\\,b"),
    ("URLS:{{ name }}", "a,b", "URLS:a\\,b"),
    ('ATTENDEE;DIR="x:y":mailto:{{ name }}', "a;b@x.de", 'ATTENDEE;DIR="x:y":mailto:a;b@x.de'),
    ("{{ name }}", "X-A:b", "X-A b"),
]


@pytest.mark.parametrize(("line", "value", "expected"), PLACES)
def test_values_are_escaped_for_their_place(
    tmp_path: Path, line: str, value: str, expected: str
) -> None:
    text = OWN.replace("SUMMARY:Launch", f"X-BEFORE:{{{{ name }}}}\n{line}\nX-AFTER:1")
    one = Calendar(calendar(tmp_path, text), {"name", "email"})
    lines = one.render({"name": value, "email": "a@x.de"}).replace("\n ", "").split("\n")
    assert lines[lines.index("X-AFTER:1") - 1] == expected


EVERYWHERE = [
    *(line for line, _, _ in PLACES),
    "X-A:{% set s %}{{ name }}\n{% endset %}{{ s[1:] }}{{ s|reverse }}{{ s[:-2] }}",
    "X-A:{% set s %}{{ name }}{% endset %}{{ s|list|sort|join }}{{ s|upper }}{{ s ~ s }}",
    "X-A:{% set s | trim %}{{ name }}{% endset %}{{ s }}{% for c in name %}{{ c }}{% endfor %}",
    "X-A:{% autoescape true %}{% macro m() %}{{ name }}{% endmacro %}{{ m() }}{{ name }}",
]


@pytest.mark.parametrize("line", EVERYWHERE)
def test_no_template_lets_a_value_add_a_property(tmp_path: Path, line: str) -> None:
    if "autoescape" in line:
        line += "{% endautoescape %}"
    one = Calendar(calendar(tmp_path, OWN.replace("SUMMARY:Launch", line)), {"name", "email"})
    text = one.render({"name": HOSTILE, "email": "a@x.de"}).replace("\n ", "")
    assert not [found for found in text.splitlines() if found.startswith("X-EVIL")]
    assert "\x02" not in text
    assert "\x03" not in text


@pytest.mark.parametrize("block", ["filter upper", "call name.upper()"])
def test_blocks_that_insert_text_without_marks_are_refused(tmp_path: Path, block: str) -> None:
    end = block.split()[0]
    line = f"SUMMARY:{{% {block} %}}{{{{ name }}}}{{% end{end} %}}"
    with pytest.raises(MessageError, match="line 11: a calendar takes no"):
        Calendar(calendar(tmp_path, OWN.replace("SUMMARY:Launch", line)), {"name", "email"})


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=400))
def test_folded_lines_are_short_and_unfold_to_the_line(line: str) -> None:
    lines = folded(line).split("\n")
    assert all(len(part.encode()) <= 75 for part in lines)
    assert lines[0] + "".join(part.removeprefix(" ") for part in lines[1:]) == line


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("Hello", "is not a calendar, from BEGIN:VCALENDAR to END:VCALENDAR"),
        (FIXED.replace("METHOD:REQUEST\n", ""), "has no METHOD, so it is no invitation: add"),
        (FIXED.encode("utf-16"), "is not UTF-8"),
        (EVENT.format(name="{{ first }}", email="x"), "first"),
    ],
)
def test_what_is_no_invitation_is_refused(tmp_path: Path, text: str | bytes, advice: str) -> None:
    with pytest.raises(MessageError) as caught:
        sent(text="Come", calendar=calendar(tmp_path, text))
    assert advice in str(caught.value)


def test_the_organizer_is_found(tmp_path: Path) -> None:
    assert organizer_of(calendar(tmp_path, FIXED)) == "news@example.com"
    assert organizer_of(calendar(tmp_path, FIXED.replace("ORGANIZER", "X"))) is None
    assert not Calendar(calendar(tmp_path, OWN), {"name", "email"}).is_fixed
