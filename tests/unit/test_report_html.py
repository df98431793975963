"""The report as a file: self-contained, and inert whatever the names contain."""

from __future__ import annotations

import re
from html.parser import HTMLParser

from mailsluice.reports.campaign import PictureOf, page
from mailsluice.reports.campaign.figures import pictures
from mailsluice.reports.campaign.html import html
from tests.unit.test_report import report, route
from tests.unit.test_report_figures import campaign


class Tags(HTMLParser):
    """Collects the tags and the addresses that a browser would fetch."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.fetched: list[str] = []
        self.handlers: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.fetched += [value or "" for name, value in attrs if name in ("src", "href", "srcset")]
        self.handlers += [name for name, _ in attrs if name.startswith("on")]


def test_the_file_contains_tables_and_pictures() -> None:
    made = campaign(3, 10, 60)
    tags = Tags(html(made.campaign, page(made, pictures(made))))
    assert {"html", "style", "table", "td", "h1", "h2", "img"} <= tags.names
    assert len(tags.fetched) == len(PictureOf)
    assert all(address.startswith("data:image/png;base64,") for address in tags.fetched)


def test_the_file_fetches_and_runs_nothing() -> None:
    name = (
        """<script>alert(1)</script>"><img src=x onerror=alert(1)> ![p](http://a.example/p.png)"""
    )
    made = report(route(name, 1, down=name), route("green", 1), campaign=name)
    text = html(made.campaign, page(made, pictures(made)))
    tags = Tags(text)
    assert not tags.names & {"script", "link", "iframe", "object", "a"}
    assert tags.handlers == []
    assert all(address.startswith("data:image/png;base64,") for address in tags.fetched)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert re.search(r"default-src 'none'", text)


def test_a_name_with_an_address_does_not_show_it() -> None:
    made = report(route("red", 1), campaign="for ann@a.example")
    assert "ann@" not in html(made.campaign, page(made))
