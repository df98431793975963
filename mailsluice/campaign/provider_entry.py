"""Settings for one mailbox provider, in a list such as `per_provider`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Annotated, TypeVar

from pydantic import AfterValidator, Field

from mailsluice.core.forms import Document
from mailsluice.core.organisation import is_public_suffix
from mailsluice.mailbox_providers import (
    UNRESOLVED,
    known_providers,
    provider_of_domain,
    provider_of_hosts,
)

_A_DOMAIN = re.compile(r"[a-z0-9-]{1,63}(\.[a-z0-9-]{1,63})+")

EVERY = "*"
"""Stands for each provider that has no entry of its own, by itself, but not for `unresolved`."""


def _checked(text: str) -> str:
    """Return the name of a provider; raises ValueError if no provider can have it."""
    name = text.lower()
    if name in (EVERY, UNRESOLVED) or name in known_providers():
        return name
    if not _A_DOMAIN.fullmatch(name):
        of_domain = provider_of_domain(f"{name}.com")
        near = (
            [of_domain]
            if of_domain
            else get_close_matches(name, [*known_providers(), UNRESOLVED], n=3)
        )
        suggestion = f"did you mean {' or '.join(near)}? " if near else ""
        raise ValueError(
            f"there is no mailbox provider {name!r}: {suggestion}write google, a hoster's domain"
            f" such as example.net, {UNRESOLVED}, or * for every other provider"
        )
    host = provider_of_domain(name) or provider_of_hosts([name])
    if host != name:
        raise ValueError(f"{name!r} is not the name of a mailbox provider: write {host}")
    if is_public_suffix(name):
        raise ValueError(
            f"under {name!r} anybody can register a domain, so it is no mailbox provider: write a"
            f" hoster's own domain, such as example.{name}"
        )
    return name


ProviderName = Annotated[
    str,
    Field(
        min_length=1,
        max_length=253,
        description="google, yahoo, microsoft-consumer (Outlook.com), microsoft-business (Microsoft"
        " 365), ..., or a hoster's domain; * for every other provider, each by itself; 'unresolved'"
        " for all domains whose provider is not known.",
    ),
    AfterValidator(_checked),
]


class ProviderEntry(Document):
    """Settings for one mailbox provider, or for every other one."""

    provider: ProviderName


Entry = TypeVar("Entry", bound=ProviderEntry)


def refuse_repeated(entries: Sequence[ProviderEntry]) -> None:
    """Raise ValueError if a provider has several entries."""
    names = [entry.provider for entry in entries]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"the provider {name!r} is listed twice: merge its entries")


def entry_of(entries: Sequence[Entry], provider: str) -> Entry | None:
    """Return the entry that is for a provider: its own, else the one for every other provider.

    No entry is for recipients whose provider is not known, and has an empty name here.
    """
    by_name = {entry.provider: entry for entry in entries}
    every = by_name.get(EVERY) if provider not in ("", UNRESOLVED) else None
    return by_name.get(provider, every)
