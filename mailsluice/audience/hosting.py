"""The mailbox provider of each recipient, and the domains that take no mail."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from mailsluice.audience import domains
from mailsluice.core.pieces import pieces
from mailsluice.mailbox_providers import NO_MAIL, UNRESOLVED, providers_by_table

Numbers = npt.NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class LookUps:
    """How many domains were looked up, and how many of them remain unknown."""

    known: int = 0
    """Domains that an earlier look-up has answered."""
    answered: int = 0
    unanswered: int = 0
    """Domains whose name servers did not answer, or not in time."""

    def __str__(self) -> str:
        return (
            f"mail servers of the domains: {self.known:,} known from earlier look-ups,"
            f" {self.answered:,} looked up now, {self.unanswered:,} without an answer"
        )


@dataclass(frozen=True, slots=True)
class Hosts:
    """The providers of several domains."""

    providers: Sequence[str]
    """The provider of each domain, or NO_MAIL for a domain that takes no mail."""
    look_ups: LookUps | None = None
    """None: nothing was looked up."""


Hosted = Callable[[Sequence[str]], Hosts]
"""Finds the providers of domains, which are distinct, in ASCII and lower case; those with most
recipients come first, and at most MOST_DOMAINS are asked for."""

MOST_DOMAINS = 200_000
"""A fast name server answers this many domains within a minute. Of others, a launch knows those of
consumers."""


def by_table(domains: Sequence[str]) -> Hosts:
    """Find the providers of consumer domains; those of others are unresolved."""
    return Hosts(providers_by_table(domains))


MOST_PROVIDERS = 32_000
"""The providers that a campaign numbers; recipients of smaller ones count as unresolved."""


@dataclass(frozen=True, slots=True, eq=False)
class Hosting:
    """The mailbox providers of n recipients."""

    numbers: Numbers
    """(n,); 1 is the provider with most recipients, 0 stands for a domain that takes no mail."""
    names: tuple[str, ...]
    """The providers, in the order of their numbers; equally large ones are in alphabetical order.
    """
    look_ups: LookUps | None


def hosting(of: domains.Numbers, known: domains.Domains, hosted: Hosted) -> Hosting:
    """Find the provider of each recipient, given by the number of its domain (n,)."""
    counts = np.zeros(len(known), np.int64)
    for start, end in pieces(len(of)):
        counts += np.bincount(of[start:end], minlength=len(known))
    used = np.argsort(-counts, kind="stable")[: np.count_nonzero(counts)]
    hosts = hosted(known.names(used[:MOST_DOMAINS]))
    codes: dict[str, int] = {NO_MAIL: 0}
    code = np.empty(len(used), np.int32)
    for start, providers in _all(hosts, used, known):
        part = [codes.setdefault(provider, len(codes)) for provider in providers]
        code[start : start + len(part)] = part
    totals = np.zeros(len(codes), np.int64)
    np.add.at(totals, code, counts[used])
    names = _ranked(Counter(dict(zip(codes, totals.tolist(), strict=True))))
    number = {name: i for i, name in enumerate(names, start=1)} | {NO_MAIL: 0}
    others = number.get(UNRESOLVED, 0)
    of_code = np.array([number.get(provider, others) for provider in codes], np.int16)
    of_domain = np.zeros(len(known), np.int16)
    of_domain[used] = of_code[code]
    look_ups = hosts.look_ups
    if look_ups:
        unasked = np.count_nonzero(code[MOST_DOMAINS:] == codes.get(UNRESOLVED))
        look_ups = replace(look_ups, unanswered=look_ups.unanswered + int(unasked))
    return Hosting(of_domain[of], names, look_ups)


def _all(
    hosts: Hosts, used: npt.NDArray[np.int64], known: domains.Domains
) -> Iterator[tuple[int, Sequence[str]]]:
    """Yield the providers of all used domains in parts, each with the position of its first one."""
    yield 0, hosts.providers
    for start in range(MOST_DOMAINS, len(used), MOST_DOMAINS):
        yield start, providers_by_table(known.names(used[start : start + MOST_DOMAINS]))


def _ranked(totals: Counter[str]) -> tuple[str, ...]:
    """Return the providers by their recipients, at most MOST_PROVIDERS."""
    del totals[NO_MAIL]
    ranked = sorted(totals, key=lambda name: (-totals[name], name))
    if len(ranked) <= MOST_PROVIDERS:
        return tuple(ranked)
    most = ranked[: MOST_PROVIDERS - 1]
    merged = Counter({name: totals[name] for name in most})
    merged[UNRESOLVED] += totals.total() - merged.total()
    return _ranked(merged)
