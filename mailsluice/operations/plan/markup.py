"""Reading the links, images and text of HTML. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

_UNREAD = frozenset(("style", "script", "title"))


@dataclass(frozen=True, slots=True)
class Hyperlink:
    """A link with its target and its text."""

    target: str
    text: str


@dataclass(slots=True)
class Markup:
    """The links, images and text of a document, in order."""

    links: list[Hyperlink] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)
    """Addresses of images."""
    without_alt: int = 0
    """Images without `alt`; an empty `alt` marks an image as decoration."""
    text: str = ""


def read_markup(html: str) -> Markup:
    """Read HTML, however broken."""
    reader = _Reader()
    try:
        reader.feed(html)
        reader.close()
    except AssertionError:  # html.parser gives up; what it read before counts
        pass
    reader.end_link()
    reader.markup.text = " ".join(reader.markup.text.split())
    return reader.markup


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.markup = Markup()
        self._target: str | None = None
        self._shown = ""
        self._unread = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag == "a":
            self.end_link()
            self._target, self._shown = values.get("href"), ""
        elif tag == "img":
            self.markup.sources.append(values.get("src") or "")
            self.markup.without_alt += "alt" not in values
        self._unread += tag in _UNREAD

    def handle_endtag(self, tag: str) -> None:
        if tag == "a":
            self.end_link()
        self._unread = max(0, self._unread - (tag in _UNREAD))

    def handle_data(self, data: str) -> None:
        self._shown += data
        if not self._unread:
            self.markup.text += data + " "

    def end_link(self) -> None:
        """End the present link, at its end tag or at the next link."""
        if self._target:
            self.markup.links.append(Hyperlink(self._target.strip(), " ".join(self._shown.split())))
        self._target = None
