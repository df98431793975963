"""Look up the MX hosts of many domains at once (RFC 5321 section 5.1, RFC 7505).

A look-up never stops a launch. What cannot be found out within the time is unknown, and a resolver
that denies domains which certainly take mail, before or after it is asked about others, is not
believed when it denies those. One that knows no mail server of theirs, but has an address for every
name, as before the login of a hotel's network, or the same mail server, is not asked at all.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address

import dns.asyncresolver
import dns.exception
import dns.name
import dns.resolver
from dns.nameserver import Do53Nameserver
from dns.rdata import Rdata
from dns.rdtypes.ANY.MX import MX

AT_ONCE = 200
"""Look-ups at the same time."""
LOOKUP_SECONDS = 5.0
"""How long one look-up may take, its repetitions included."""
_CONTROLS = ("gmail.com", "outlook.com", "yahoo.com")
"""Domains that take mail. Where the resolver denies one of them, it is not believed."""
_MOST_HOSTS = 20
_MOST_RECORDS = 50
_HOST = re.compile(r"(?:[a-z0-9_][a-z0-9_-]{0,62}\.)+[a-z][a-z0-9-]{0,62}")
"""A name with a dot that is no IP address."""
_MAX_NAME = 253


class Unknown(Exception):  # noqa: N818 an answer rather than an error
    """The servers of a domain did not answer, or not in time."""


@dataclass(frozen=True, slots=True)
class MailHosts:
    """The MX hosts of a domain."""

    domain: str
    hosts: tuple[str, ...] | None
    """In lower case, the preferred one first. Empty: it takes no mail. None: unknown."""
    seconds: float = 0.0
    """How long its owner lets the answer be kept; 0 where nothing says it."""

    @property
    def takes_no_mail(self) -> bool:
        return self.hosts == ()


class Resolver:
    """Asks the name servers of the system, or those that are given."""

    def __init__(self, nameservers: Iterable[str] = (), port: int = 53) -> None:
        """Use name servers, each an IP address that may be followed by its port.

        Args:
            nameservers: As in `10.0.0.2`, `10.0.0.2:5353` or `[::1]:5353`. Without any, the
                system's are asked.
            port: Where none is given.

        Raises:
            ValueError: A name server is written in another way.
        """
        servers = [Do53Nameserver(*_address(given, port)) for given in nameservers]
        try:
            self._resolver = dns.asyncresolver.Resolver(configure=not servers)
        except dns.resolver.NoResolverConfiguration:  # then every domain is unknown
            self._resolver = dns.asyncresolver.Resolver(configure=False)
        if servers:
            self._resolver.nameservers = servers
        self._resolver.search = []

    async def mail_hosts(self, domain: str) -> MailHosts:
        """Look one domain up. Never raises for what a name server answers, or for silence."""
        try:
            return await self._mail_hosts(domain)
        except (Unknown, dns.exception.DNSException, OSError, ValueError):
            return MailHosts(domain, None)

    async def _mail_hosts(self, domain: str) -> MailHosts:
        try:
            answer = await self._ask(domain, "MX")
        except dns.resolver.NXDOMAIN:
            return MailHosts(domain, ())
        if answer.rrset is None:
            return await self._by_address(domain)
        records = [one for one in answer.rrset if isinstance(one, MX)]
        if [one.exchange for one in records] == [dns.name.root]:
            return MailHosts(domain, (), answer.rrset.ttl)
        named = sorted((one.preference, _text(one.exchange)) for one in records)
        hosts = tuple(name for _, name in named if _is_host(name))[:_MOST_HOSTS]
        if not hosts:
            raise Unknown
        return MailHosts(domain, hosts, answer.rrset.ttl)

    async def _by_address(self, domain: str) -> MailHosts:
        """Use the address of a domain without MX records as its only MX host."""
        for kind in ("A", "AAAA"):
            answer = await self._ask(domain, kind)
            if answer.rrset is not None:
                return MailHosts(domain, (domain,), answer.rrset.ttl)
        return MailHosts(domain, ())

    async def records(self, name: str, kind: str) -> list[Rdata]:
        """Return the records of a kind; none if the name has none, or does not exist.

        Raises Unknown if no name server answers, or the name is no name.
        """
        try:
            answer = await self._ask(name, kind)
        except dns.resolver.NXDOMAIN:
            return []
        except (dns.exception.DNSException, OSError, ValueError) as error:
            raise Unknown from error
        return [] if answer.rrset is None else [*answer.rrset][:_MOST_RECORDS]

    async def _ask(self, domain: str, kind: str) -> dns.resolver.Answer:
        return await self._resolver.resolve(
            dns.name.from_text(domain), kind, raise_on_no_answer=False, lifetime=LOOKUP_SECONDS
        )


async def look_up(
    domains: Iterable[str], resolver: Resolver, *, seconds: float, at_once: int = AT_ONCE
) -> list[MailHosts]:
    """Look domains up within so many seconds in all; those left over then are unknown.

    Returns one answer for each domain, in their order.
    """
    answers = {one: MailHosts(one, None) for one in domains}
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            controls = await asyncio.gather(*map(resolver.mail_hosts, _CONTROLS))
            if not _is_open(controls):
                return list(answers.values())
            is_believed = not any(one.takes_no_mail for one in controls)
            waiting = iter([*answers])

            async def ask() -> None:
                for domain in waiting:
                    found = await resolver.mail_hosts(domain)
                    if is_believed or not found.takes_no_mail:
                        answers[domain] = found

            await asyncio.gather(*(ask() for _ in range(min(at_once, len(answers)))))
    denied = [domain for domain, found in answers.items() if found.takes_no_mail]
    if denied:  # by a resolver that may have lost its way to the world since
        again = await asyncio.gather(*map(resolver.mail_hosts, _CONTROLS))
        if any(one.takes_no_mail for one in again):
            answers |= {domain: MailHosts(domain, None) for domain in denied}
    return list(answers.values())


def _is_open(controls: Iterable[MailHosts]) -> bool:
    """Whether a name server answers, and not alike for every name, with an address or a server."""
    answered = [one for one in controls if one.hosts is not None]
    servers = Counter(one.hosts for one in answered if one.hosts)
    is_alike = any(number > 1 for number in servers.values())
    return bool(answered) and not is_alike and all(one.hosts != (one.domain,) for one in answered)


def _address(nameserver: str, port: int) -> tuple[str, int]:
    """Split an IP address from its port. Raises ValueError."""
    given = nameserver.strip()
    if written := _WITH_PORT.fullmatch(given):
        given, port = written["six"] or written["four"], int(written["port"])
    if not 0 < port < 1 << 16:
        raise ValueError(f"{port} is no port")
    return str(ip_address(given)), port


_WITH_PORT = re.compile(r"(?:\[(?P<six>[^\[\]]+)\]|(?P<four>[^:]+)):(?P<port>[0-9]{1,5})")


def _text(name: dns.name.Name) -> str:
    return name.to_text(omit_final_dot=True).lower()


def _is_host(name: str) -> bool:
    return len(name) <= _MAX_NAME and _HOST.fullmatch(name) is not None
