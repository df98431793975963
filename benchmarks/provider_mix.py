"""Recipients at many domains, hosted as a large list's are, and the zone with their MX hosts.

Of the recipients 45 % are Google's, 20 % Microsoft's, 10 % Yahoo's; the sizes of all other domains,
and of the hosters behind them, follow Zipf's law. The same numbers give the same recipients.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from benchmarks.document import COLUMNS
from benchmarks.results import FOLDER

CONSUMERS = {
    "gmail.com": ("gmail-smtp-in.l.google.com", 0.35),
    "outlook.com": ("outlook-com.olc.protection.outlook.com", 0.12),
    "yahoo.com": ("mta5.am0.yahoodns.net", 0.10),
}
"""Domains of consumers: the MX host, and the share of the recipients."""
_BUSINESS = {"google": 0.10, "microsoft": 0.08}
"""The recipients at companies' domains of these providers; those of the hosters come on top."""
_HOSTERS = 3_000
_SEED = 17


class Mix:
    """The domains of a list: consumers' domains first, the others from large to small."""

    def __init__(self, domains: int) -> None:
        others = domains - len(CONSUMERS)
        weights = 1.0 / np.arange(1, others + 1)
        shares = [share for _, share in CONSUMERS.values()]
        self.names = [*CONSUMERS, *(f"company{i}.example" for i in range(others))]
        self.shares = np.concatenate([shares, weights / weights.sum() * (1 - sum(shares))])
        """(domains,), each domain's share of the recipients; the sum is 1."""

    def zone(self) -> dict[str, Mapping[str, list[str]]]:
        """The name server's data: two MX hosts for each domain."""
        hosts = [host for host, _ in CONSUMERS.values()]
        hosts += self._hosts_of_companies()
        return {
            name: {"MX": [f"10 {host}.", f"20 backup.{host}."]}
            for name, host in zip(self.names, hosts, strict=True)
        }

    def recipients(self, number: int) -> Iterator[str]:
        """Lines of a CSV file, without its head."""
        chosen = np.random.default_rng(_SEED).choice(len(self.names), number, p=self.shares)
        for i, domain in enumerate(chosen.tolist()):
            yield f"user{i}@{self.names[domain]},Name{i % 5000},Lisbon\n"

    def _hosts_of_companies(self) -> Iterator[str]:
        """Give each domain to the provider that lacks most of its share, so that shares hold."""
        wanted = {**_BUSINESS, "hoster": 1 - sum(_BUSINESS.values())}
        wanted["hoster"] -= sum(share for _, share in CONSUMERS.values())
        hosters = _hosters(len(self.names))
        companies = slice(len(CONSUMERS), None)
        for i, share in enumerate(self.shares[companies].tolist()):
            provider = max(wanted, key=wanted.__getitem__)
            wanted[provider] -= share
            if provider == "google":
                yield "aspmx.l.google.com"
            elif provider == "microsoft":
                yield f"company{i}-example.mail.protection.outlook.com"
            else:
                yield f"mx.hoster{next(hosters)}.net"


def _hosters(most: int) -> Iterator[int]:
    """Yield the numbers of hosters: each once, then by their sizes."""
    generator, sizes = np.random.default_rng(_SEED), 1.0 / np.arange(1, _HOSTERS + 1)
    yield from generator.permutation(_HOSTERS).tolist()
    yield from generator.choice(_HOSTERS, most, p=sizes / sizes.sum()).tolist()


def recipients_file(number: int, domains: int) -> Path:
    """A CSV file with so many recipients, written once."""
    path = FOLDER / "data" / f"recipients-{number}-{domains}-domains.csv"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".part")
        with unfinished.open("w", encoding="utf-8") as file:
            file.write(",".join(COLUMNS) + "\n")
            file.writelines(Mix(domains).recipients(number))
        unfinished.rename(path)
    return path
