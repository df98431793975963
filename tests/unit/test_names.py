"""Names of campaigns that look the same are the same."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsluice.core.names import campaign_name, likeness, seen


@pytest.mark.parametrize(
    ("written", "stored"),
    [
        ("cafe\u0301 sale", "caf\u00e9 sale"),  # decomposed, as macOS writes file names
        ("\u1112\u1161\u11ab", "\ud55c"),  # Hangul in jamo
        ("A\u030angstro\u0308m", "\u00c5ngstr\u00f6m"),
        ("\u212bngstr\u00f6m", "\u00c5ngstr\u00f6m"),  # ANGSTROM SIGN is the letter
        ("  spring \n", "spring"),  # pasted with its line
        ("\u00a0spring\u3000", "spring"),  # white space of other alphabets
        ("spring   sale", "spring sale"),
        ("spring\u00a0sale", "spring sale"),  # a no-break space looks like any other
        ("spring\u2003sale", "spring sale"),
        ("\u2744\ufe0f sale", "\u2744\ufe0f sale"),  # emoji as keyboards write them
        ("weekly {date}", "weekly {date}"),
        ('a/b: 50 % & "more" <x>', 'a/b: 50 % & "more" <x>'),
    ],
)
def test_a_name_has_one_spelling(written: str, stored: str) -> None:
    assert campaign_name(written) == stored


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("spring\u200bsale", "U+200B ZERO WIDTH SPACE (an invisible character) as its char"),
        ("spring\u200bsale", "character 7: remove it"),
        ("  spring\u200bsale", "character 9"),  # counted as it was written
        ("sale\u200d", "U+200D ZERO WIDTH JOINER"),
        ("\ufeffsale", "U+FEFF ZERO WIDTH NO-BREAK SPACE"),  # a byte order mark
        ("sa\u00adle", "U+00AD SOFT HYPHEN"),
        ("sale\u202eelas", "U+202E RIGHT-TO-LEFT OVERRIDE"),
        ("a\u2066b", "U+2066 LEFT-TO-RIGHT ISOLATE"),
        ("a\U000e0061b", "U+E0061 TAG LATIN SMALL LETTER A"),
        ("a\x00b", "U+0000 (a control character)"),
        ("a\tb", "U+0009 (a control character)"),
        ("a\x7fb", "U+007F (a control character)"),
        ("a\x85b", "U+0085 (a control character)"),
        ("a\u2028b", "U+2028 LINE SEPARATOR (a line break)"),
        ("a\u2029b", "U+2029 PARAGRAPH SEPARATOR (a line break)"),
        ("a\ud800b", "U+D800 (half of a character)"),
        ("a\ue000b", "U+E000 (a character without a common meaning)"),
        ("a\ufdd0b", "U+FDD0 (an invisible character)"),  # a noncharacter
        ("a\u3164b", "U+3164 HANGUL FILLER"),  # a letter, by its category
        ("a\u2800b", "U+2800 BRAILLE PATTERN BLANK"),  # a symbol
        ("a\u034fb", "U+034F COMBINING GRAPHEME JOINER"),  # a mark
        ("", "the name is empty"),
        (" \u2003\n", "the name is empty"),
        ("n" * 201, "has 201 characters, 200 are allowed"),
        ("n" * 191 + "{date}", "has 201 characters"),  # with the day in it
    ],
)
def test_invisible_characters_are_refused_and_named(name: str, error: str) -> None:
    with pytest.raises(ValueError, match="the name") as caught:
        campaign_name(name)
    assert error in str(caught.value)


@given(st.text(max_size=30))
def test_all_spellings_of_a_name_are_the_same_name(text: str) -> None:
    try:
        name = campaign_name(text)
    except ValueError:
        return
    assert campaign_name(name) == name == seen(text)
    assert campaign_name(unicodedata.normalize("NFD", name)) == name


@given(st.text(max_size=30))
def test_a_stored_name_is_found_by_its_visible_characters(text: str) -> None:
    assert seen(seen(text)) == seen(text)
    if seen(text):
        assert campaign_name(seen(text)) == seen(text)
        assert likeness(seen(text)) == likeness(text)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("Spring", "spring"),
        ("STRASSE", "stra\u00dfe"),
        ("\ufb01ne", "fine"),  # a ligature
        ("\uff33\uff41\uff4c\uff45", "Sale"),  # full-width letters
        ("\u2744\ufe0f sale", "\u2744 sale"),
        ("spring\u200b", "spring"),
        ("spring\u2011sale", "spring-sale"),  # a no-break hyphen, of a word processor
        ("spring \u2013 sale", "spring - sale"),
        ("ann\u2019s sale", "ann's sale"),
    ],
)
def test_names_that_look_the_same_are_alike(first: str, second: str) -> None:
    assert likeness(first) == likeness(second)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("spring", "spring 2"),
        ("weekly 2026-01-01", "weekly 2026-01-08"),
        ("caf\u00e9", "cafe"),  # an accent is visible
        ("spring-sale", "spring_sale"),
    ],
)
def test_names_that_look_different_are_not_alike(first: str, second: str) -> None:
    assert likeness(first) != likeness(second)
