"""Reading HTML as texts and tags, in linear time. Pure.

The tokenizer of the HTML standard (section 13.2.5), without its rarest cases: what is read is
rebuilt (`inert`), so a difference to a browser changes how a message looks, not what it may
do. `html.parser` takes quadratic time for tags that do not end, and `nh3` for nested ones.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from html import unescape

_NAME = re.compile(r"[^\s/>]+")
_GAP = re.compile(r"[\s/]*+")
_ATTRIBUTE = re.compile(r"(?P<name>=?[^\s/>=]*+)(?:\s*+=\s*+(?P<value>\"|'|[^\s>]*+))?")
_WITH_TEXT = "script style textarea title xmp iframe noembed noframes"
_RAW = {name: re.compile(rf"</{name}(?=[\s/>])", re.IGNORECASE) for name in _WITH_TEXT.split()}
"""The end tags of elements whose contents are text, even if they look like tags."""


@dataclass(frozen=True, slots=True)
class Tag:
    """A start tag, or an end tag."""

    name: str
    """The name in lower case."""
    is_end: bool = False
    attributes: dict[str, str] = field(default_factory=dict)
    """Values by lower-case name; of equal names, the first."""
    contents: str = ""
    """The text of an element without tags in it, such as a style sheet; for start tags only."""


def read(html: str) -> Iterator[str | Tag]:
    """Yield texts, without references to characters, and tags. A tag that does not end is lost."""
    place = 0
    while (start := html.find("<", place)) >= 0:
        if start > place:
            yield unescape(html[place:start])
        is_end = html.startswith("/", start + 1)
        first = html[start + 1 + is_end : start + 2 + is_end]
        if first.isascii() and first.isalpha():
            tag, place = _tag(html, start + 1 + is_end, is_end=is_end)
            if tag is None:
                return
            yield tag
            place += len(tag.contents)
        elif is_end or first in {"!", "?"}:
            end = "-->" if html.startswith("<!--", start) else ">"
            if (place := html.find(end, start + 2)) < 0:
                return
            place += len(end)
        else:
            yield "<"
            place = start + 1
    if place < len(html):
        yield unescape(html[place:])


def _tag(html: str, place: int, *, is_end: bool) -> tuple[Tag | None, int]:
    """Read a tag from its name on; returns the place after it, and no tag where it has no end."""
    named = _NAME.match(html, place)
    assert named  # noqa: S101 the caller has seen its first letter
    name, place = named[0].lower(), named.end()
    attributes: dict[str, str] = {}
    while True:
        gap = _GAP.match(html, place)
        place = gap.end() if gap else place
        if place >= len(html):
            return None, place
        if html[place] == ">":
            break
        found = _ATTRIBUTE.match(html, place)
        assert found  # noqa: S101 it matches everywhere
        value, place = found["value"] or "", max(found.end(), place + 1)
        if value in {'"', "'"}:
            if (end := html.find(value, place)) < 0:
                return None, len(html)
            value, place = html[place:end], end + 1
        attributes.setdefault(found["name"].lower(), unescape(value))
    place += 1
    contents = ""
    if not is_end and name in _RAW:
        ending = _RAW[name].search(html, place)
        contents = html[place : ending.start() if ending else len(html)]
    return Tag(name, is_end, attributes, contents), place
