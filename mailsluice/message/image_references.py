"""References to inline images in the HTML of a message (`cid:`, RFC 2392), read as HTML and CSS do.

The HTML is a template, so it cannot be parsed as HTML: references are found by what is before them,
in attributes, in `url(...)`, and within a tag after a block of the template, and as a text in one.
Each pattern ends where another reference of its kind could begin, so time is linear.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from urllib.parse import unquote

_CID = r"cid(?::|&colon;|&\#0{0,4}58;|&\#x0{0,4}3a;)"
_DOUBLE = r"""(?:"|&(?:quot|\#0{0,4}34|\#x0{0,4}22);)"""
_SINGLE = r"""(?:'|&(?:apos|\#0{0,4}39|\#x0{0,4}27);)"""
"""Quotes, as DOM serialisers write them in a style attribute, too."""
_ESCAPED = r"""\\(?:[0-9a-f]{1,6}\s?|[^"<>])"""
_REFERENCE = re.compile(
    rf"""
    \b(?P<srcset>srcset\s*=\s*(?:"[^"]*"|'[^']*'))
    | =\s*(?:
        "\s*{_CID}(?P<in_double_quotes>[^"<>]*)
        | '\s*{_CID}(?P<in_single_quotes>[^'<>]*)
        | {_CID}(?P<in_no_quotes>[^"<>\s]*)
      )
    | url\(\s*(?:
        {_DOUBLE}\s*{_CID}(?P<double_css>(?:{_ESCAPED}|(?!{_DOUBLE})[^<>\\])*)
        | {_SINGLE}\s*{_CID}(?P<single_css>(?:{_ESCAPED}|(?!{_SINGLE})[^"<>\\])*)
        | {_CID}(?P<bare_css>(?:{_ESCAPED}|\([^"'()<>\s]*\)|[^"()<>\s\\])*)
      )
    | (?P<block>\{{[{{%](?:(?![%}}]\}}|\{{[{{%]).)*[%}}]\}})
      (?:\s*{_CID}(?P<after_block>[^"'<>{{]*))?
    | (?P<tag><(?=[a-z])) | (?P<tag_end>>)
    """,
    re.IGNORECASE | re.VERBOSE | re.DOTALL,
)
_CANDIDATE = re.compile(rf"(?<![^\s,]){_CID}([^<>\s,]*)", re.IGNORECASE)
"""An image of a `srcset`."""
_LITERAL = re.compile(r"""(?<=["'])cid:([^"']*)""", re.IGNORECASE)
"""A text in a block of the template."""
_CHARACTER = re.compile(r"&(?:#\d{1,7}|#x[0-9a-f]{1,6}|[a-z][a-z0-9]{1,31});", re.IGNORECASE)
"""A character reference; without the semicolon, those in attributes are no references."""
_CSS_ESCAPE = re.compile(r"\\(?:([0-9a-f]{1,6})\s?|(.))", re.IGNORECASE | re.DOTALL)


def with_references(text: str, identified: Callable[[str], str]) -> str:
    """Replace each reference to an image by `cid:` and what `identified` returns for its file name.

    The name is without the escapes of HTML, CSS and URLs.
    """

    def candidate(match: re.Match[str]) -> str:
        return f"cid:{identified(_name(match[1]))}"

    def literal(match: re.Match[str]) -> str:
        return f"cid:{identified(unquote(match[1]))}"

    is_in_tag = False

    def replaced(match: re.Match[str]) -> str:
        nonlocal is_in_tag
        kind = match.lastgroup or ""
        if kind in ("tag", "tag_end"):
            is_in_tag = kind == "tag"
            return match[0]
        if match["block"] and not is_in_tag:
            return match[0]  # `CID: {{ number }}` is text for readers
        if kind == "srcset":
            quote = match[0][-1]
            lead, _, value = match[0][:-1].partition(quote)
            return f"{lead}{quote}{_CANDIDATE.sub(candidate, value)}{quote}"
        block = _LITERAL.sub(literal, match["block"] or "")
        if kind == "block":
            return block
        lead = text[match.start() + len(match["block"] or "") : match.start(kind)]
        name = _name(match[kind], is_css=kind.endswith("css"))
        return f"{block}{lead[: lead.lower().rindex('cid')]}cid:{identified(name)}"

    return _REFERENCE.sub(replaced, text)


def _name(raw: str, *, is_css: bool = False) -> str:
    """Undo the escapes of HTML, of CSS, and of URLs (RFC 3986 section 2.1), in this order."""
    name = _CHARACTER.sub(lambda match: html.unescape(match[0]), raw)
    if is_css:
        name = _CSS_ESCAPE.sub(_css_character, name)
    return unquote(name.strip())


def _css_character(match: re.Match[str]) -> str:
    code = int(match[1], 16) if match[1] else 0
    return (chr(code) if code <= 0x10FFFF else "\ufffd") if match[1] else match[2]
