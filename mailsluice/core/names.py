"""Names of campaigns: one spelling each, of characters that people see. Pure.

A campaign's identity is its name, so two names that look the same must be the same: otherwise
everybody gets the mail twice. A name is stored composed (Unicode NFC), without white space around
it, and with one space for each run of white space within. Characters that nobody sees are refused.
Names that differ in case, or in compatibility forms (full-width letters, ligatures), are different
names, but only one of them may be in use: see `likeness`.
"""

from __future__ import annotations

import unicodedata
from datetime import date

LONGEST = 200
DAY = "{date}"
"""Stands for the day of the run."""

_UNSEEN = {
    "Cc": "a control character",
    "Cf": "a character that nobody sees",
    "Cs": "half of a character",
    "Co": "a character without a common meaning",
    "Zl": "a line break",
    "Zp": "a line break",
}
"""General categories of characters that a name cannot have."""
_FILLERS = frozenset(
    "\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0"
    "\ufe00\ufe01\ufe02\ufe03\ufe04\ufe05\ufe06\ufe07\ufe08\ufe09\ufe0a\ufe0b\ufe0c\ufe0d"
)
"""Letters, marks and symbols that nobody sees."""
_UNASSIGNED = "\u2065\ufff0\ufff1\ufff2\ufff3\ufff4\ufff5\ufff6\ufff7\ufff8"
"""Nobody will ever see these either (Unicode's Default_Ignorable_Code_Point)."""
_EMOJI_STYLES = str.maketrans("", "", "\ufe0e\ufe0f")
"""Keyboards add these to symbols by themselves, so names may have them; they make no difference."""
_DASHES = "\u2010\u2011\u2012\u2013\u2014\u2015\u2212"
_APOSTROPHES = "\u2018\u2019\u02bc\u2032`\u00b4"
_TYPED = str.maketrans({**dict.fromkeys(_DASHES, "-"), **dict.fromkeys(_APOSTROPHES, "'")})
"""Word processors and telephones put these in for what is typed."""


def campaign_name(text: str) -> str:
    """A name in the spelling that it is stored in.

    Raises ValueError, naming the character and where it is, for a name with a character that nobody
    sees, and for one that is empty or too long.
    """
    trimmed = text.strip()
    start = text.find(trimmed)
    for position, character in enumerate(trimmed, start + 1):
        if what := _unseen(character):
            raise ValueError(
                f"the name has {_called(character)} ({what}) as its character {position}: take it "
                "out, or type the name anew"
            )
    name = _composed(trimmed)
    length = len(name.replace(DAY, str(date.max)))
    if not name:
        raise ValueError("the name is empty: give the campaign a name")
    if length > LONGEST:
        raise ValueError(f"the name has {length} characters, {LONGEST} are allowed: shorten it")
    return name


def seen(text: str) -> str:
    """The spelling of a name that was stored before names were checked: what people see of it."""
    return _composed("".join(one for one in text if one.isspace() or not _unseen(one)))


def likeness(text: str) -> str:
    """The same for names that people take for the same: case and compatibility forms are left out.

    `Spring` and `spring`, `ﬁne` and `fine`; so are kinds of dashes and of apostrophes.
    """
    shown = seen(text).translate(_EMOJI_STYLES).translate(_TYPED)
    folded = unicodedata.normalize("NFKC", shown).casefold()
    return _composed(unicodedata.normalize("NFKC", folded))


def _composed(text: str) -> str:
    return " ".join(unicodedata.normalize("NFC", text).split())


def _unseen(character: str) -> str | None:
    """Why a name cannot have this character; None: it can."""
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
