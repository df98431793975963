"""Make the HTML of a message inert: it can be looked at, and its links lead nowhere. Pure.

A frame without permissions still lets a reader open a link in another tab. So the message is
rebuilt from the elements and attributes that make up how a mail looks. Other elements are left
out, but their contents stay, except for those of scripts and the like. A link has its URL as its
title, which browsers show.
"""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from mailsluice.operations.preview.tags import Tag, read

_ELEMENTS = """
a abbr address article aside b big blockquote body br button caption center code col colgroup dd del
div dl dt em figcaption figure font footer h1 h2 h3 h4 h5 h6 head header hr html i img ins kbd label
li main mark nav ol p pre q s section small span strike strong style sub sup table tbody td tfoot th
thead tr tt u ul wbr
"""
_WITH_OTHER_CONTENTS = """
applet audio iframe math noembed noframes object plaintext script select svg template textarea title
video xmp
"""
_LOOKS = """
align alt background bgcolor border cellpadding cellspacing class color colspan dir face height id
lang media role rowspan size span src srcset start style type valign width
"""
_KEPT = frozenset(_ELEMENTS.split())
_WITHOUT_CONTENTS = frozenset(_WITH_OTHER_CONTENTS.split())
_ATTRIBUTES = frozenset(_LOOKS.split())
STYLE = "a[title]{color:#06c;text-decoration:underline;cursor:not-allowed}"
"""The default style of links, which browsers give only to links with a URL."""


def inert(html: str) -> str:
    """Write the HTML of a message without anything that acts or leads elsewhere."""
    return "".join(_written(html))


def _written(html: str) -> Iterator[str]:
    """Write each piece again: only tags that are written here are tags of the result."""
    skipped, depth = "", 0  # the element whose contents are left out, and how many are open
    for piece in read(html):
        if isinstance(piece, str):
            if not depth:
                yield escape(piece)
        elif depth:
            if piece.name == skipped:
                depth += -1 if piece.is_end else 1
        elif piece.name in _KEPT:
            yield _tag(piece)
        elif piece.name in _WITHOUT_CONTENTS and not piece.is_end:
            skipped, depth = piece.name, 1


def _tag(tag: Tag) -> str:
    if tag.is_end:
        return f"</{tag.name}>"
    kept = {name: value for name, value in tag.attributes.items() if name in _ATTRIBUTES}
    if tag.name == "a" and (address := tag.attributes.get("href")):
        kept["title"] = f"leads to {address}"
    attributes = "".join(f' {name}="{escape(value)}"' for name, value in kept.items())
    # Nothing in a style sheet needs a tag's bracket.
    return f"<{tag.name}{attributes}>{tag.contents.replace('<', '')}"
