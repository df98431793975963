"""Text from outside has no effect on a page, in Markdown and in HTML."""

from __future__ import annotations

from html import unescape

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from mailsluice.core.markdown import cell, section, table


def rendered(markdown: str) -> str:
    """Render with a renderer that lets HTML through."""
    return str(MarkdownIt("gfm-like", {"html": True, "linkify": False}).render(markdown))


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "[here](javascript:alert(1))",
        "![](https://example.com/pixel.png)",
        "**bold** _thin_ ~~gone~~ `code`",
        "a | b",
        "back\\slash \\| and \\<b>",
        "&lt;b&gt; &amp; AT&T",
        "sales_2026_spring",
    ],
)
def test_markdown_and_html_in_a_cell_have_no_effect(text: str) -> None:
    html = rendered("\n".join(table(["name"], [[cell(text)]])))
    shown = html[html.index("<td>") + 4 : html.index("</td>")]
    assert "<" not in shown
    assert unescape(shown) == text


@given(st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S", "Zs"]), max_size=40))
def test_any_text_makes_one_cell_without_tags(text: str) -> None:
    html = rendered("\n".join(table(["name", "number"], [[cell(text), "1"]])))
    assert html.count("<td") == 2
    inside = html[html.index("<td>") + 4 : html.index("</td>")]
    assert "<" not in inside
    assert unescape(inside) == " ".join(text.split())


def test_line_breaks_in_a_cell_become_spaces() -> None:
    assert cell("one\r\n two") == "one two"


def test_a_section_without_lines_is_left_out() -> None:
    assert section("Empty", []) == []
