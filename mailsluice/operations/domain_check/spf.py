"""Read SPF records (RFC 7208), and find faults that receivers would reject mail for."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from mailsluice.operations.domain_check.finding import Topic, TopicFinding, excerpt
from mailsluice.operations.domain_check.names import Names
from mailsluice.operations.domain_check.subject import Subject, is_address

MOST_LOOK_UPS, MOST_VOIDS = 10, 2
"""RFC 7208 section 4.6.4: more of them are an error, and the record counts for nothing."""
_STOP_AFTER = 40
_MOST_TERMS = 200
_MOST_EXCHANGES = 10
_TERM = re.compile(r"([+~?-]?)([a-z][a-z0-9_.-]*)(?:([:=/])(.*))?", re.IGNORECASE)
_ASKING = frozenset(("include", "a", "mx", "ptr", "exists", "redirect"))
_MECHANISMS = _ASKING | {"all", "ip4", "ip6"}
_PREFIX = re.compile(r"(?:/\d{1,3}){1,2}$|//\d{1,3}$")


@dataclass
class SpfReading:
    """The content of an SPF record, with all records that it includes."""

    records: list[str]
    look_ups: int = 0
    voids: int = 0
    """Look-ups without an answer."""
    includes: set[str] = field(default_factory=set)
    networks: list[IPv4Network | IPv6Network] = field(default_factory=list)
    """The addresses that may send."""
    ending: str = ""
    """The qualifier of `all`; empty: there is none."""
    faults: list[str] = field(default_factory=list)

    def allows(self, address: str) -> bool:
        """Whether a server with this address may send."""
        return any(ip_address(address) in network for network in self.networks)


async def read_spf(domain: str, names: Names) -> SpfReading:
    """Read the SPF record of a domain. Raises Unknown if a name server does not answer."""
    reading = SpfReading(_spf_records(await names.texts(domain)))
    if len(reading.records) == 1:
        await _Reader(names, reading).read(domain, reading.records[0], (domain,))
    return reading


def _spf_records(texts: list[str]) -> list[str]:
    return [text for text in texts if text.lower().split(" ", 1)[0] == "v=spf1"]


class _Reader:
    """Follows the terms of records, and counts look-ups."""

    def __init__(self, names: Names, reading: SpfReading) -> None:
        self._names = names
        self._reading = reading

    async def read(self, domain: str, record: str, path: tuple[str, ...]) -> None:
        """Read a record; `path` is the chain of domains that leads to it."""
        redirect, has_all = "", False
        for term in record.split()[1:_MOST_TERMS]:
            match = _TERM.fullmatch(term)
            name, kind = (match[2].lower(), match[3]) if match else ("", "")
            if match is None or (kind != "=" and name not in _MECHANISMS):
                fault = f"{excerpt(term)!r} in the record of {domain} is no mechanism"
                self._reading.faults.append(fault)
            elif name == "all" and kind != "=":
                has_all = True
                if len(path) == 1:
                    self._reading.ending = match[1] or "+"
                break
            elif name == "redirect" and kind == "=":
                redirect = match[4]
            elif kind != "=":
                value = match[4] if kind == ":" else kind and f"/{match[4]}"
                await self._mechanism(name, value or "", domain, path, match[1] in ("", "+"))
        if redirect and not has_all:
            await self._other_record(redirect, path, is_redirect=True)

    async def _mechanism(
        self, name: str, value: str, domain: str, path: tuple[str, ...], is_pass: bool
    ) -> None:
        if name in ("ip4", "ip6"):
            self._network(value, domain, is_pass=is_pass)
            return
        if name == "include":
            await self._other_record(value, path)
            return
        if not self._count():
            return
        target = _PREFIX.sub("", value) or domain
        if "%" in target or name not in ("a", "mx"):  # depends on the mail: not followed
            return
        hosts = [target]
        if name == "mx":
            hosts = (await self._names.exchanges(target))[:_MOST_EXCHANGES]
        found = [one for host in hosts if host for one in await self._names.addresses(host)]
        self._reading.voids += not found
        if is_pass:
            prefixes = _PREFIX.search(value)
            self._reading.networks += _networks(found, prefixes[0] if prefixes else "")

    async def _other_record(
        self, target: str, path: tuple[str, ...], *, is_redirect: bool = False
    ) -> None:
        word = "redirect" if is_redirect else "include"
        name = target.lower().rstrip(".")
        if not self._count() or "%" in name:
            return
        if name in path:
            self._reading.faults.append(f"{word} of {excerpt(name)} leads back to itself")
            return
        self._reading.includes.add(name)
        records = _spf_records(await self._names.texts(name))
        if len(records) != 1:
            count = "no SPF record" if not records else f"{len(records)} SPF records"
            self._reading.faults.append(f"{word} of {excerpt(name)}, which has {count}")
            self._reading.voids += not records
            return
        depth = path if is_redirect and len(path) == 1 else (*path, name)
        await self.read(name, records[0], depth)

    def _network(self, value: str, domain: str, *, is_pass: bool) -> None:
        try:
            network = ip_network(value, strict=False)
        except ValueError:
            fault = f"{excerpt(value)!r} in the record of {domain} is no network"
            self._reading.faults.append(fault)
            return
        if is_pass:
            self._reading.networks.append(network)

    def _count(self) -> bool:
        """Count a look-up; returns whether to follow it."""
        self._reading.look_ups += 1
        return self._reading.look_ups <= _STOP_AFTER


def _networks(addresses: list[str], prefixes: str) -> Iterator[IPv4Network | IPv6Network]:
    """Return the networks around addresses: `/24`, `//64` or `/24//64`."""
    four, _, six = prefixes.partition("//")
    for address in addresses:
        length = f"/{six}" if ":" in address and six else four if ":" not in address else ""
        try:
            yield ip_network(f"{address}{length}", strict=False)
        except ValueError:
            yield ip_network(address)


def spf_finding(subject: Subject, reading: SpfReading, server: list[str]) -> TopicFinding:
    """Judge a reading for a connection; `server` has the addresses of one's own server."""
    domain, provider = subject.return_domain, subject.provider
    replaced = provider is not None and provider.replaces_return_path
    if not reading.records and replaced and provider:
        note = f"no record at {domain}, and {provider.title} sends with a return path of its own"
        return TopicFinding(Topic.SPF, f"{note}, whose SPF counts")
    if not reading.records:
        return TopicFinding(Topic.SPF, f"no record at {domain}", (_none(subject, server),))
    if len(reading.records) > 1:
        warning = (
            f"{domain} has {len(reading.records)} SPF records, so that none of them counts: merge"
            " them into one"
        )
        return TopicFinding(Topic.SPF, f"{len(reading.records)} records at {domain}", (warning,))
    note = f"{reading.look_ups} of {MOST_LOOK_UPS} look-ups: {excerpt(reading.records[0])}"
    warnings = [*_faults(domain, reading)]
    if not replaced:
        warnings += _missing(subject, reading, server)
    return TopicFinding(Topic.SPF, note, tuple(warnings))


def _faults(domain: str, reading: SpfReading) -> Iterator[str]:
    for fault in reading.faults[:3]:
        yield f"the SPF record of {domain} counts for nothing: {fault}; correct it"
    if reading.look_ups > MOST_LOOK_UPS:
        yield (
            f"the SPF record of {domain} needs {reading.look_ups} look-ups, and receivers stop"
            f" after {MOST_LOOK_UPS} (RFC 7208): remove includes that you do not need, or write"
            " their addresses instead"
        )
    if reading.voids > MOST_VOIDS:
        yield (
            f"{reading.voids} names in the SPF record of {domain} have no answer, and receivers"
            f" stop after {MOST_VOIDS}: remove what does not exist any more"
        )
    if reading.ending in ("+", "?") or (not reading.ending and not reading.faults):
        said = f"ends with {reading.ending}all" if reading.ending else "has no all at its end"
        yield (
            f"the SPF record of {domain} {said}, so that anybody may send for it: end it with ~all"
        )


def _missing(subject: Subject, reading: SpfReading, server: list[str]) -> Iterator[str]:
    domain, provider = subject.return_domain, subject.provider
    if provider is not None:
        if not reading.includes.intersection(provider.includes):
            yield (
                f"the SPF record of {domain} does not include {provider.title}: add"
                f" include:{provider.includes[0]} to it, before all"
            )
    elif server and not any(map(reading.allows, server)):
        yield (
            f"the SPF record of {domain} does not allow {', '.join(server[:3])}, the addresses of"
            f" {subject.host}: add {_terms(subject, server)} to it, before all"
        )


def _none(subject: Subject, server: list[str]) -> str:
    provider = subject.provider
    terms = f"include:{provider.includes[0]}" if provider else _terms(subject, server)
    unknown = "ip4:ADDRESS-OF-YOUR-SERVER" if subject.is_own_server else "include:YOUR-PROVIDER"
    return (
        f"{subject.return_domain} has no SPF record, and Gmail and Yahoo require one: publish"
        f" {subject.return_domain} TXT v=spf1 {terms or unknown} ~all"
    )


def _terms(subject: Subject, server: list[str]) -> str:
    if server and not is_address(subject.host):
        return f"a:{subject.host}"
    return " ".join(f"ip{6 if ':' in one else 4}:{one}" for one in server)
