"""Check the names of campaigns: visible characters, in one spelling. Pure.

A campaign's identity is its name, so two names that look the same must be the same name: otherwise
everybody would get the mail twice. A name is stored composed (Unicode NFC), without white space at
its ends, and with each run of white space within replaced by one space. Invisible characters are
refused. Names that differ only in case, or in compatibility forms (full-width letters, ligatures),
are different names, but only one of them may be in use: see `likeness`.
"""

from __future__ import annotations

import unicodedata
from datetime import date

LONGEST = 200
DAY = "{date}"
"""The placeholder for the day of the run."""

_UNSEEN = {
    "Cc": "a control character",
    "Cf": "an invisible character",
    "Cs": "half of a character",
    "Co": "a character without a common meaning",
    "Zl": "a line break",
    "Zp": "a line break",
}
"""Descriptions of characters that a name cannot have, by Unicode's general category."""
_FILLERS = frozenset(
    "\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0"
    "\ufe00\ufe01\ufe02\ufe03\ufe04\ufe05\ufe06\ufe07\ufe08\ufe09\ufe0a\ufe0b\ufe0c\ufe0d"
)
"""Invisible letters, marks and symbols."""
_UNASSIGNED = "\u2065\ufff0\ufff1\ufff2\ufff3\ufff4\ufff5\ufff6\ufff7\ufff8"
"""Unassigned code points that stay invisible (Unicode's Default_Ignorable_Code_Point)."""
_EMOJI_STYLES = str.maketrans("", "", "\ufe0e\ufe0f")
"""Selectors that keyboards add to symbols: names may have them, and comparisons ignore them."""
_DASHES = "\u2010\u2011\u2012\u2013\u2014\u2015\u2212"
_APOSTROPHES = "\u2018\u2019\u02bc\u2032`\u00b4"
_TYPED = str.maketrans({**dict.fromkeys(_DASHES, "-"), **dict.fromkeys(_APOSTROPHES, "'")})
"""Dashes and apostrophes that word processors and telephones insert for typed ones."""


def campaign_name(text: str) -> str:
    """Return a name in its stored spelling.

    Raises:
        ValueError: The name contains an invisible character (the message says which, and where),
            or is empty or too long.
    """
    trimmed = text.strip()
    start = text.find(trimmed)
    for position, character in enumerate(trimmed, start + 1):
        if what := _unseen(character):
            raise ValueError(
                f"the name has {_called(character)} ({what}) as its character {position}: remove "
                "it, or type the name again"
            )
    name = _composed(trimmed)
    length = len(name.replace(DAY, str(date.max)))
    if not name:
        raise ValueError("the name is empty: give the campaign a name")
    if length > LONGEST:
        raise ValueError(f"the name has {length} characters, {LONGEST} are allowed: shorten it")
    return name


def seen(text: str) -> str:
    """Return the visible part of a name that an old version stored without checking it."""
    return _composed("".join(mark for mark in text if mark.isspace() or not _unseen(mark)))


def likeness(text: str) -> str:
    """Return a key that is the same for all names that people take for the same name.

    Case, compatibility forms, and kinds of dashes and apostrophes make no difference: `Spring` is
    like `spring`, and `ﬁne` like `fine`.
    """
    shown = seen(text).translate(_EMOJI_STYLES).translate(_TYPED)
    folded = unicodedata.normalize("NFKC", shown).casefold()
    return _composed(unicodedata.normalize("NFKC", folded))


def _composed(text: str) -> str:
    return " ".join(unicodedata.normalize("NFC", text).split())


def _unseen(character: str) -> str | None:
    """Describe the character if a name cannot contain it, else return None."""
    if character == " " or (character.isalnum() and character not in _FILLERS):
        return None
    if (
        character in _FILLERS
        or character in _UNASSIGNED
        or 0xE0100 <= ord(character) <= 0xE01EF
        or _is_no_character(character)
    ):
        return _UNSEEN["Cf"]
    return _UNSEEN.get(unicodedata.category(character))


def _is_no_character(character: str) -> bool:
    code = ord(character)
    return code & 0xFFFE == 0xFFFE or 0xFDD0 <= code <= 0xFDEF


def _called(character: str) -> str:
    name = unicodedata.name(character, "")
    return f"U+{ord(character):04X}" + (f" {name}" if name else "")
