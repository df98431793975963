"""MX hosts of many domains, asked of a real name server."""

from __future__ import annotations

import asyncio

import dns.asyncresolver
import dns.resolver
import pytest

from mailsluice.mailbox_providers import mail_hosts
from mailsluice.mailbox_providers.mail_hosts import MailHosts, Resolver, look_up
from tests.dns_server import CONTROLS, FAILING, SILENT, DnsServer, Zone, dns_server


def asked(server: DnsServer, *domains: str, seconds: float = 60.0) -> dict[str, MailHosts]:
    resolver = Resolver(["127.0.0.1"], server.port)
    found = asyncio.run(look_up(domains, resolver, seconds=seconds))
    assert [one.domain for one in found] == [*domains]
    return {one.domain: one for one in found}


def hosts(server: DnsServer, domain: str) -> tuple[str, ...] | None:
    return asked(server, domain)[domain].hosts


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        # The preferred host first; equal ones by name.
        ({"MX": ["20 b.example.", "10 C.Example.", "10 a.example."]},
         ("a.example", "c.example", "b.example")),
        # A null MX (RFC 7505).
        ({"MX": ["0 ."]}, ()),
        # A root among others is no null MX, and no host either.
        ({"MX": ["0 .", "10 a.example."]}, ("a.example",)),
        # Without MX records the domain's own address counts, of either kind.
        ({"A": ["127.0.0.1"]}, ("shop.example",)),
        ({"AAAA": ["::1"]}, ("shop.example",)),
        # A domain with other records only.
        ({"TXT": ['"nothing"']}, ()),
        # Names that no host has.
        ({"MX": [r"10 a\032b.example."]}, None),
        ({"MX": [r"10 a\.b.example.", r"10 \|a\|\`.example."]}, None),
        ({"MX": ["10 localhost.", "10 google.", "10 127.0.0.1.", "20 b.example."]}, ("b.example",)),
        # A name of an internationalised domain.
        ({"MX": ["10 mx.xn--bcher-kva.example."]}, ("mx.xn--bcher-kva.example",)),
        ({FAILING: []}, None),
    ],
)  # fmt: skip
def test_the_hosts_of_a_domain(
    records: dict[str, list[str]], expected: tuple[str, ...] | None
) -> None:
    with dns_server({**CONTROLS, "shop.example": records}) as server:
        assert hosts(server, "shop.example") == expected


def test_a_domain_that_does_not_exist_takes_no_mail() -> None:
    with dns_server(CONTROLS) as server:
        assert asked(server, "nowhere.example")["nowhere.example"].takes_no_mail


def test_an_answer_says_how_long_it_may_be_kept() -> None:
    with dns_server({**CONTROLS, "shop.example": {"MX": ["10 a.example."]}}) as server:
        assert asked(server, "shop.example")["shop.example"].seconds == 300


@pytest.mark.parametrize("written", ["127.0.0.1:{}", " 127.0.0.1:{} "])
def test_a_name_server_has_its_own_port(written: str) -> None:
    with dns_server({**CONTROLS, "shop.example": {"MX": ["10 a.example."]}}) as server:
        resolver = Resolver([written.format(server.port)])
        (found,) = asyncio.run(look_up(["shop.example"], resolver, seconds=60.0))
    assert found.hosts == ("a.example",)


@pytest.mark.parametrize("written", ["10.0.0.2", "10.0.0.2:53", "::1", "[::1]:53", "fe80::1%eth0"])
def test_name_servers_are_addresses_with_or_without_a_port(written: str) -> None:
    Resolver([written])


@pytest.mark.parametrize(
    "written", ["dns.example", "10.0.0.2:0", "10.0.0.2:70000", "10.0.0.2:dns", "[::1", "1.2.3", "x"]
)
def test_what_is_no_address_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match=r"IPv4|port"):
        Resolver([written])


def test_a_machine_without_name_servers_knows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def unconfigured(self: object, f: object) -> None:
        raise dns.resolver.NoResolverConfiguration

    monkeypatch.setattr(dns.asyncresolver.Resolver, "read_resolv_conf", unconfigured)
    (found,) = asyncio.run(look_up(["shop.example"], Resolver(), seconds=60.0))
    assert found.hosts is None


def test_a_resolver_that_denies_large_providers_is_not_believed() -> None:
    """Such as one that knows the names of a company's own network only."""
    with dns_server({"shop.example": {"MX": ["10 a.example."]}}) as server:
        found = asked(server, "shop.example", "nowhere.example")
    assert found["shop.example"].hosts == ("a.example",)
    assert found["nowhere.example"].hosts is None


def test_a_resolver_with_an_address_for_every_name_is_not_asked() -> None:
    """Such as that of a network that wants a login first; its answers would be kept for days."""
    everything: Zone = {name: {"A": ["127.0.0.1"]} for name in (*CONTROLS, "shop.example")}
    with dns_server(everything) as server:
        assert hosts(server, "shop.example") is None
        assert server.questions["shop.example"] == 0


def test_a_resolver_with_the_same_mail_server_for_every_name_is_not_asked() -> None:
    everything: Zone = {
        name: {"MX": ["10 mx.hotel.example."]} for name in (*CONTROLS, "shop.example")
    }
    with dns_server(everything) as server:
        assert hosts(server, "shop.example") is None
        assert server.questions["shop.example"] == 0


def test_a_resolver_that_denies_large_providers_afterwards_is_not_believed() -> None:
    """Such as one whose network loses its way to the world in the middle of a look-up."""

    class Losing(Resolver):
        async def mail_hosts(self, domain: str) -> MailHosts:
            if domain == "nowhere.example":
                server.zone = {}
            return await super().mail_hosts(domain)

    known = {"shop.example": {"MX": ["10 a.example."]}}
    with dns_server({**CONTROLS, **known}) as server:
        resolver = Losing(["127.0.0.1"], server.port)
        domains = ["shop.example", "nowhere.example"]
        found = asyncio.run(look_up(domains, resolver, seconds=60.0, at_once=1))
    assert [one.hosts for one in found] == [("a.example",), None]


def test_a_look_up_that_waits_for_a_silent_server_ends_in_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(mail_hosts, "LOOKUP_SECONDS", 3_600.0)
    with dns_server({**CONTROLS, "silent.example": {SILENT: []}}) as server:
        found = asked(server, "silent.example", seconds=1.0)
    assert found["silent.example"].hosts is None


def test_a_silent_domain_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    class Impatient(Resolver):
        async def mail_hosts(self, domain: str) -> MailHosts:
            seconds = 0.2 if domain == "silent.example" else 60.0
            monkeypatch.setattr(mail_hosts, "LOOKUP_SECONDS", seconds)
            return await super().mail_hosts(domain)

    zone = {**CONTROLS, "silent.example": {SILENT: []}, "shop.example": {"MX": ["10 a.example."]}}
    with dns_server(zone) as server:
        resolver = Impatient(["127.0.0.1"], server.port)
        domains = ["silent.example", "shop.example"]
        found = asyncio.run(look_up(domains, resolver, seconds=60.0, at_once=1))
    assert [one.hosts for one in found] == [None, ("a.example",)]


def test_without_a_name_server_nothing_is_asked_in_vain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mail_hosts, "LOOKUP_SECONDS", 0.2)
    silent: Zone = {name: {SILENT: []} for name in CONTROLS}
    with dns_server({**silent, "shop.example": {"MX": ["10 a.example."]}}) as server:
        assert hosts(server, "shop.example") is None
        assert server.questions["shop.example"] == 0


def test_domains_left_over_when_the_time_is_up_are_unknown() -> None:
    zone = {**CONTROLS, "shop.example": {"MX": ["10 a.example."]}}
    with dns_server(zone) as server:
        assert asked(server, "shop.example", seconds=0.0)["shop.example"].hosts is None
        assert server.questions["shop.example"] == 0


def test_thousands_of_domains_are_asked_once_each() -> None:
    many = {f"d{i}.example": {"MX": [f"10 mx{i % 7}.example."]} for i in range(2_000)}
    with dns_server({**CONTROLS, **many}) as server:
        found = asked(server, *many)
        assert {one.hosts for one in found.values()} == {(f"mx{i}.example",) for i in range(7)}
        assert {server.questions[name] for name in many} == {1}
