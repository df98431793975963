"""Which provider hosts a domain's mailboxes, by rules kept as data in `providers.toml`. Pure.

A provider is known by a short name: that of a rule (`google`), or the registrable domain of the MX
host (`example.net`), which contains a dot where a rule's name has none.
"""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

from mailsluice.core.organisation import organisational_domain

UNRESOLVED = "unresolved"
"""The provider of domains whose MX hosts are not known: the look-up failed or was not made."""
_OTHERS = "other domains"
NO_MAIL = "no mail"
"""Stands in place of a provider where a domain takes no mail (RFC 5321 section 5.1, RFC 7505)."""


@dataclass(frozen=True, slots=True)
class _Rules:
    titles: Mapping[str, str]
    by_host: Mapping[str, str]
    by_domain: Mapping[str, str]


def provider_of_domain(domain: str) -> str | None:
    """Return the provider of a domain of consumer mailboxes, None for any other domain.

    The domain is ASCII, in lower case.
    """
    return _rules().by_domain.get(domain)


def providers_by_table(domains: Iterable[str]) -> list[str]:
    """Return the provider of each domain, UNRESOLVED for all but those of consumer mailboxes."""
    by_domain = _rules().by_domain
    return [by_domain.get(domain, UNRESOLVED) for domain in domains]


def provider_of_hosts(hosts: Iterable[str]) -> str:
    """Return the provider of a domain with these MX hosts, the preferred one first.

    The preferred host decides, as it is the one that takes the mail: anybody may name a large
    provider's host behind their own. Without a rule, it is the host's registrable domain.
    """
    name = next((host.lower().rstrip(".") for host in hosts), "")
    if not name:
        return UNRESOLVED
    return _known(name) or organisational_domain(name)


def known_providers() -> Collection[str]:
    """Return the names of the providers that have a rule."""
    return _rules().titles.keys()


def is_known_by_domain(provider: str) -> bool:
    """Whether a provider has domains of consumer mailboxes, which are known without a look-up."""
    return provider in _rules().by_domain.values()


def title_of(provider: str) -> str:
    """Return what reports call a provider."""
    return _OTHERS if provider == UNRESOLVED else _rules().titles.get(provider, provider)


def _known(host: str) -> str | None:
    """Return the provider by the longest end of the host's name that has a rule."""
    by_host = _rules().by_host
    end = host
    while end:
        if provider := by_host.get(end):
            return provider
        end = end.partition(".")[2]
    return None


@cache
def _rules() -> _Rules:
    text = resources.files(__package__).joinpath("providers.toml").read_text("utf-8")
    titles: dict[str, str] = {}
    by_host: dict[str, str] = {}
    by_domain: dict[str, str] = {}
    for name, rule in tomllib.loads(text).items():
        titles[name] = rule["title"]
        by_host |= dict.fromkeys(rule["hosts"], name)
        by_domain |= dict.fromkeys(rule.get("domains", ()), name)
    return _Rules(titles, by_host, by_domain)
