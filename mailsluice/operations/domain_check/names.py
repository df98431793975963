"""Look-ups of one check: each question once, and a bounded number of them."""

from __future__ import annotations

import asyncio
from ipaddress import ip_address

from dns.rdata import Rdata
from dns.rdtypes.ANY.MX import MX
from dns.rdtypes.ANY.TXT import TXT

from mailsluice.mailbox_providers.mail_hosts import Resolver, Unknown

MOST_QUESTIONS = 200
_MOST_CHARACTERS = 4_000
_CONTROL = "gmail.com"
"""A domain that certainly has an SPF record."""


class Names:
    """Answers of name servers; each method raises Unknown where there is none."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver
        self._asked: dict[tuple[str, str], asyncio.Task[list[Rdata]]] = {}

    async def are_believable(self) -> bool:
        """Whether the name servers know public names: those of a closed network may deny all."""
        try:
            texts = await self.texts(_CONTROL)
        except Unknown:
            return False
        return any(text.startswith("v=spf1") for text in texts)

    async def texts(self, name: str) -> list[str]:
        """Return the TXT records, each as one text of bounded length."""
        records = await self._records(name, "TXT")
        return [
            b"".join(record.strings)[:_MOST_CHARACTERS].decode("utf-8", "backslashreplace")
            for record in records
            if isinstance(record, TXT)
        ]

    async def addresses(self, name: str) -> list[str]:
        """Return the addresses, IPv4 first."""
        four, six = await asyncio.gather(self._records(name, "A"), self._records(name, "AAAA"))
        return [record.to_text() for record in (*four, *six)]

    async def exchanges(self, name: str) -> list[str]:
        """Return the MX hosts; an empty text stands for a domain that takes no mail (RFC 7505)."""
        records = await self._records(name, "MX")
        return [_name(record.exchange) for record in records if isinstance(record, MX)]

    async def pointers(self, address: str) -> list[str]:
        """Return the names of an address."""
        records = await self._records(ip_address(address).reverse_pointer, "PTR")
        return [record.to_text().lower().rstrip(".") for record in records]

    async def _records(self, name: str, kind: str) -> list[Rdata]:
        question = name.lower().rstrip("."), kind
        if question not in self._asked:
            if len(self._asked) >= MOST_QUESTIONS:
                raise Unknown
            self._asked[question] = asyncio.ensure_future(self._resolver.records(*question))
        return await asyncio.shield(self._asked[question])

    async def close(self) -> None:
        """Give up what has not been answered."""
        for asked in self._asked.values():
            asked.cancel()
        await asyncio.gather(*self._asked.values(), return_exceptions=True)


def _name(exchange: object) -> str:
    return str(exchange).lower().rstrip(".")
