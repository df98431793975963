"""Providers of SMTP connections, by the names of their servers: `sending_providers.toml`. Pure."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources


@dataclass(frozen=True, slots=True)
class SendingProvider:
    """A provider of SMTP connections, and the DNS records of its customers."""

    title: str
    hosts: tuple[str, ...]
    """Domains of the provider's SMTP servers."""
    includes: tuple[str, ...]
    """Domains that SPF records include for the provider; publish the first one."""
    replaces_return_path: bool = False
    """Whether the provider uses a return path of its own, unless the customer sets up a domain."""
    selectors: tuple[str, ...] = ()
    """The DKIM selectors that all customers share; empty if they differ."""


def provider_of_host(host: str) -> SendingProvider | None:
    """Return the provider whose SMTP server this is; None if it is not a known one."""
    name = f".{host.lower().rstrip('.')}"
    return next(
        (
            provider
            for provider in _providers()
            if any(name.endswith(f".{domain}") for domain in provider.hosts)
        ),
        None,
    )


@cache
def _providers() -> list[SendingProvider]:
    text = resources.files(__package__).joinpath("sending_providers.toml").read_text("utf-8")
    return [
        SendingProvider(
            entry["title"],
            tuple(entry["hosts"]),
            tuple(entry["includes"]),
            entry.get("replaces_return_path", False),
            tuple(entry.get("selectors", ())),
        )
        for entry in tomllib.loads(text).values()
    ]
