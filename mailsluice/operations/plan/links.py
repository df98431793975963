"""Warnings about the links of a message. Pure."""

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
"""Top-level domains that make two words a host, unlike "terms.pdf" and "node.js"."""


def link_warnings(markup: Markup) -> Iterator[str]:
    """Warn of unencrypted links, and of links that show another host than they lead to."""
    urls = [*(link.target for link in markup.links), *markup.sources]
    plain = [url for url in urls if url.lower().startswith("http://")]
    if plain:
        yield (
            f"links or images use plain http ({len(plain)}), to {_hosts(map(host, plain))}: use"
            " https, or mail readers warn and hide images"
        )
    posing = [link for link in markup.links if is_posing(link)]
    if posing:
        shown = _hosts(f"{shown_host(link.text)} for {host(link.target)}" for link in posing)
        yield (
            f"{len(posing)} links show another host than they lead to ({shown}): filters treat that"
            " as phishing; show words instead of an address"
        )


def is_posing(link: Hyperlink) -> bool:
    """Whether the text shows a host that is not the target's host, its parent or its subdomain."""
    shown, target = shown_host(link.text), host(link.target)
    if not (shown and target):
        return False
    return not (f".{shown}".endswith(f".{target}") or f".{target}".endswith(f".{shown}"))


def shown_host(text: str) -> str:
    """The host of the address that a link's text shows; empty when the text is words."""
    match = _SHOWN_HOST.fullmatch(text)
    if match is None:
        return ""
    name = match[1].lower()
    starts = text.lower().startswith(("http://", "https://", "www."))
    is_host = starts or name.rpartition(".")[2] in _WELL_KNOWN
    return name.removeprefix("www.") if is_host else ""


def host(url: str) -> str:
    """The host of a web address; empty for any other text."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    if parts.scheme.lower() not in {"http", "https"}:
        return ""
    return (parts.hostname or "").removeprefix("www.")


def _hosts(names: Iterable[str]) -> str:
    unique: Sequence[str] = [*dict.fromkeys(names)]
    more = f" and {len(unique) - _MOST_NAMED} more" if len(unique) > _MOST_NAMED else ""
    return ", ".join(unique[:_MOST_NAMED]) + more
