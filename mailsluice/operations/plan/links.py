"""What is wrong with the links of a message. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from urllib.parse import urlsplit

from mailsluice.operations.plan.markup import Hyperlink, Markup

_MOST_NAMED = 3
_SHOWN_HOST = re.compile(
    r"(?:https?://)?((?:[\w-]+\.)+[a-z]{2,})(?:[/:?#]\S*)?", re.IGNORECASE | re.ASCII
)
_WELL_KNOWN = ("com", "net", "org", "info", "io", "eu", "de", "fr", "uk", "nl", "ch", "at")
"""Ends that make a host of two words: "terms.pdf" and "node.js" are none."""


def link_warnings(markup: Markup) -> Iterator[str]:
    """Links that are not encrypted, and links that show another host than they lead to."""
    plain = [*(link.target for link in markup.links), *markup.sources]
    plain = [url for url in plain if url.lower().startswith("http://")]
    if plain:
        yield (
            f"links or images are plain http ({len(plain)}), to {_hosts(map(host, plain))}: use"
            " https, or readers are warned, and images are not shown"
        )
    posing = [link for link in markup.links if is_posing(link)]
    if posing:
        shown = _hosts(f"{shown_host(link.text)} for {host(link.target)}" for link in posing)
        yield (
            f"{len(posing)} links show another host than they lead to ({shown}): filters take that"
            " for phishing; show words instead of an address"
        )


def is_posing(link: Hyperlink) -> bool:
    """Whether the text is an address whose host is neither the target's nor above or below it."""
    shown, target = shown_host(link.text), host(link.target)
    if not (shown and target):
        return False
    return not (f".{shown}".endswith(f".{target}") or f".{target}".endswith(f".{shown}"))


def shown_host(text: str) -> str:
    """The host of an address that a link shows; empty where it shows words."""
    match = _SHOWN_HOST.fullmatch(text)
    if match is None:
        return ""
    found = match[1].lower()
    starts = text.lower().startswith(("http://", "https://", "www."))
    is_host = starts or found.rpartition(".")[2] in _WELL_KNOWN
    return found.removeprefix("www.") if is_host else ""


def host(url: str) -> str:
    """The host of a web address; empty where it is none."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    if parts.scheme.lower() not in {"http", "https"}:
        return ""
    return (parts.hostname or "").removeprefix("www.")


def _hosts(names: Iterable[str]) -> str:
    found: Sequence[str] = [*dict.fromkeys(names)]
    more = f" and {len(found) - _MOST_NAMED} more" if len(found) > _MOST_NAMED else ""
    return ", ".join(found[:_MOST_NAMED]) + more
