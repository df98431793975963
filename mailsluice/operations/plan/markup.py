"""What a mail reader makes of HTML: links, images, how much there is to read. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

_UNREAD = frozenset(("style", "script", "title"))


@dataclass(frozen=True, slots=True)
class Hyperlink:
    """A link, and what it shows."""

    target: str
    text: str


@dataclass(slots=True)
class Markup:
    """What was found, in order."""

    links: list[Hyperlink] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)
    """Addresses of images."""
    without_alt: int = 0
    """Images that have no `alt`; an empty one says on purpose that there is nothing to read."""
    text: str = ""


def read_markup(html: str) -> Markup:
    """Read HTML, however broken."""
    reader = _Reader()
    try:
        reader.feed(html)
        reader.close()
    except AssertionError:  # html.parser's way to refuse; what came before it counts
        pass
    reader.end_link()
    reader.found.text = " ".join(reader.found.text.split())
    return reader.found


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found = Markup()
        self._target: str | None = None
        self._shown = ""
        self._unread = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag == "a":
            self.end_link()
            self._target, self._shown = values.get("href"), ""
        elif tag == "img":
            self.found.sources.append(values.get("src") or "")
            self.found.without_alt += "alt" not in values
        self._unread += tag in _UNREAD

    def handle_endtag(self, tag: str) -> None:
        if tag == "a":
            self.end_link()
        self._unread = max(0, self._unread - (tag in _UNREAD))

    def handle_data(self, data: str) -> None:
        self._shown += data
        if not self._unread:
            self.found.text += data + " "

    def end_link(self) -> None:
        """A link ends at its end tag, or where the next begins."""
        if self._target:
            self.found.links.append(Hyperlink(self._target.strip(), " ".join(self._shown.split())))
        self._target = None
