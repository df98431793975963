"""Check senders' domains against a real name server."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from mailsluice.campaign import Provider
from mailsluice.mailbox_providers.mail_hosts import Resolver
from mailsluice.operations.domain_check import DomainCheck, Subject, Topic
from mailsluice.operations.domain_check.checking import check_domains
from mailsluice.operations.identities import ConnectionIdentity
from mailsluice.operations.plan.domains import begin_domain_check
from mailsluice.operations.verify_connection import TrialMail
from mailsluice.smtp.connection import Connection
from mailsluice.smtp.dkim.keys import read_key, record
from tests.dkim_keys import both_keys, rsa_pem
from tests.dns_server import FAILING, SILENT, dns_server
from tests.integration.connection_checks import inspected
from tests.integration.smtp_fixtures import connection_to
from tests.smtpd import SmtpServer

ADDRESS = "93.184.215.14"
DKIM = both_keys(domain="acme-news.org", private_key=rsa_pem(2048))
KEYS = {selector: record(read_key(key.get_secret_value())) for selector, key in DKIM.signatures}
OWN = Subject("red", "mx.acme-news.org", "acme-news.org", "acme-news.org", DKIM)
SENDGRID = Subject("blue", "smtp.sendgrid.net", "acme-news.org", "acme-news.org")
GOOGLE = Subject("green", "smtp.gmail.com", "acme-news.org", "acme-news.org")


def txt(*texts: str) -> dict[str, list[str]]:
    """TXT records, each in strings of at most 255 octets."""
    cut = [[text[at : at + 250] for at in range(0, len(text), 250)] for text in texts]
    return {"TXT": [" ".join(f'"{part}"' for part in parts) for parts in cut]}


GOOD: Mapping[str, Mapping[str, list[str]]] = {
    "gmail.com": txt("v=spf1 redirect=_spf.google.com"),
    "_spf.google.com": txt("v=spf1 ip4:35.190.247.0/24 ~all"),
    "acme-news.org": {
        **txt("other=1", "v=spf1 a:mx.acme-news.org include:_spf.google.com -all"),
        "MX": ["10 mx.acme-news.org."],
    },
    "mx.acme-news.org": {"A": [ADDRESS]},
    "14.215.184.93.in-addr.arpa": {"PTR": ["mx.acme-news.org."]},
    "_dmarc.acme-news.org": txt("v=DMARC1; p=reject; rua=mailto:a@acme-news.org"),
    **{f"{selector}._domainkey.acme-news.org": txt(text) for selector, text in KEYS.items()},
}


def checked(subject: Subject, zone: Mapping[str, Any] = GOOD, seconds: float = 60) -> DomainCheck:
    with dns_server(zone) as server:
        resolver = Resolver([f"127.0.0.1:{server.port}"])
        (check,) = asyncio.run(check_domains([subject], seconds=seconds, resolver=resolver))
    return check


@pytest.fixture(autouse=True)
def _on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MAILSLUICE_DNS_CHECKS")


def test_a_domain_in_order_has_no_warnings() -> None:
    check = checked(OWN)
    assert check.warnings == []
    assert [finding.result for finding in check.findings] == ["ok"] * len(Topic)
    assert "@" not in "\n".join([*check.lines(), *check.page_lines()])


CHANGES = [
    # by name: the new records, None for none; the words of the only warning
    (
        {"acme-news.org": {"MX": ["10 mx.acme-news.org."]}},
        OWN,
        "TXT v=spf1 a:mx.acme-news.org ~all",
    ),
    (
        {"acme-news.org": {**GOOD["acme-news.org"], **txt("v=spf1 -all", "v=spf1 ~all")}},
        OWN,
        "merge",
    ),
    (
        {"acme-news.org": {**GOOD["acme-news.org"], **txt("v=spf1 a:mx.acme-news.org +all")}},
        OWN,
        "+all",
    ),
    (
        {"acme-news.org": {**GOOD["acme-news.org"], **txt("v=spf1 mx")}},
        OWN,
        "has no all at its end",
    ),
    (
        {"acme-news.org": {**GOOD["acme-news.org"], **txt("v=spf1 ip4:192.0.2.1 -all")}},
        OWN,
        f"does not allow {ADDRESS}, the addresses of mx.acme-news.org: add a:mx.acme-news.org",
    ),
    (
        {"acme-news.org": {**GOOD["acme-news.org"], **txt("v=spf1 a:mx.acme-news.org -all")}},
        GOOGLE,
        "does not include Google: add include:_spf.google.com",
    ),
    (
        {"acme-news.org": {**GOOD["acme-news.org"], **txt("v=spf1 mx ipv4:1.2.3.4 -all")}},
        OWN,
        "'ipv4:1.2.3.4' in the record of acme-news.org is no mechanism",
    ),
    (
        {"acme-news.org": {**GOOD["acme-news.org"], **txt("v=spf1 mx ip4:999.1.1.1 -all")}},
        OWN,
        "'999.1.1.1' in the record of acme-news.org is no network",
    ),
    (
        {"acme-news.org": {**GOOD["acme-news.org"], **txt("v=spf1 mx include:acme-news.org -all")}},
        OWN,
        "leads back to itself",
    ),
    (
        {"acme-news.org": {**GOOD["acme-news.org"], **txt("v=spf1 mx include:gone.example -all")}},
        OWN,
        "include of gone.example, which has no SPF record",
    ),
    (
        {
            "acme-news.org": {
                **GOOD["acme-news.org"],
                **txt(f"v=spf1 {'a:mx.acme-news.org ' * 11}-all"),
            }
        },
        OWN,
        "needs 11 look-ups, and receivers stop after 10",
    ),
    (
        {
            "acme-news.org": {
                **GOOD["acme-news.org"],
                **txt("v=spf1 mx a:x.example a:y.example a:z.example -all"),
            }
        },
        OWN,
        "3 names in the SPF record of acme-news.org have no answer",
    ),
    (
        {"rsa._domainkey.acme-news.org": None},
        OWN,
        "rsa._domainkey.acme-news.org has no DKIM record",
    ),
    ({"_dmarc.acme-news.org": None}, OWN, "publish _dmarc.acme-news.org TXT v=DMARC1; p=none"),
    ({"_dmarc.acme-news.org": txt("v=DMARC1; p=none", "v=DMARC1; p=reject")}, OWN, "leave one"),
    ({"acme-news.org": {**GOOD["acme-news.org"], "MX": ["0 ."]}}, OWN, "takes no mail (null MX)"),
    (
        {"acme-news.org": {"TXT": GOOD["acme-news.org"]["TXT"]}},
        OWN,
        "has no mail server (neither MX nor A)",
    ),
    ({"14.215.184.93.in-addr.arpa": None}, OWN, "has no name in reverse DNS"),
    (
        {"14.215.184.93.in-addr.arpa": {"PTR": ["host-14.hoster.example."]}},
        OWN,
        f"{ADDRESS} is called host-14.hoster.example, which does not have that address",
    ),
    ({}, SENDGRID, "no DKIM record of SendGrid (selectors s1, s2)"),
]


@pytest.mark.parametrize(("changes", "subject", "words"), CHANGES)
def test_each_fault_is_one_warning_with_the_remedy(
    changes: Mapping[str, Any], subject: Subject, words: str
) -> None:
    zone = {name: records for name, records in {**GOOD, **changes}.items() if records is not None}
    warnings = checked(subject, zone).warnings
    assert len(warnings) == 1, warnings
    assert words in warnings[0]


def test_a_provider_with_its_own_return_path_needs_no_include() -> None:
    zone = {**GOOD, "s1._domainkey.acme-news.org": txt("p=x")}
    assert checked(SENDGRID, zone).warnings == []


def test_a_subdomain_has_the_dmarc_record_of_its_organisation() -> None:
    subject = Subject("red", "smtp.gmail.com", "news.acme-news.org", "acme-news.org")
    check = checked(subject, {**GOOD, "news.acme-news.org": {"A": [ADDRESS]}})
    assert check.warnings == []
    assert any("at _dmarc.acme-news.org" in finding.note for finding in check.findings)


@pytest.mark.parametrize(
    "zone",
    [
        {},  # a closed network denies every name
        {"gmail.com": {FAILING: []}},
        {"gmail.com": {"A": ["10.0.0.1"]}},
        {name: {**records, **txt("login=required")} for name, records in GOOD.items()},
    ],
)
def test_a_network_without_dns_warns_of_nothing(zone: Mapping[str, Any]) -> None:
    check = checked(OWN, zone)
    assert check.findings == []
    assert check.is_unknown
    assert "could not be checked" in check.remark


def test_what_is_not_answered_in_time_is_unknown() -> None:
    check = checked(OWN, {**GOOD, "_dmarc.acme-news.org": {SILENT: []}}, seconds=1.5)
    results = {finding.topic: finding.result for finding in check.findings}
    assert results.pop(Topic.DMARC) == "not checked"
    assert {*results.values()} <= {"ok", "warning"}


def test_a_hostile_record_is_bounded() -> None:
    chain = {
        f"n{number}.example": txt(
            f"v=spf1 include:n{number + 1}.example include:m{number}.example a mx ptr -all"
        )
        for number in range(100)
    }
    zone = {
        **GOOD,
        **chain,
        "acme-news.org": {
            **txt("v=spf1 include:n0.example " + "a:%{i}.x " * 1_000, "x" * 20_000),
            "MX": ["10 mx.acme-news.org."],
        },
    }
    check = checked(OWN, zone)
    assert any("look-ups" in warning for warning in check.warnings)
    assert max(map(len, check.lines())) < 600


def test_an_operator_may_switch_look_ups_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAILSLUICE_DNS_CHECKS", "off")
    other = Subject("red", "mx.acme-news.org", "other.org", "other.org", DKIM)
    check = checked(other, {})
    assert len(check.warnings) == 1  # which needs no DNS
    assert "signed for acme-news.org and the sender is at other.org" in check.warnings[0]


def test_verify_connection_shows_the_senders_domain(monkeypatch: pytest.MonkeyPatch) -> None:
    zone = {**GOOD, "sender.org": {"A": [ADDRESS]}}
    mail = TrialMail(sender="News <news@sender.org>", recipient="me@recipient.example")
    with dns_server(zone) as names, SmtpServer() as server:
        monkeypatch.setenv("MAILSLUICE_NAMESERVERS", f"127.0.0.1:{names.port}")
        found = inspected(connection_to(server), mail)
    assert found.works
    assert "## Sender's domain" in found.markdown()
    assert any("sender.org has no SPF record" in warning for warning in found.warnings)
    assert any("sender.org has no DMARC record" in warning for warning in found.warnings)


def test_without_a_sender_nothing_is_checked() -> None:
    check = checked(Subject("red", "h", "", ""), GOOD)
    assert "no sender is known" in check.remark


def identity(name: str) -> ConnectionIdentity:
    return ConnectionIdentity(
        name, "News", "acme-news.org", "acme-news.org", "acme-news.org", Provider.NONE, (), ()
    )


def test_a_plan_tells_each_fault_once(monkeypatch: pytest.MonkeyPatch) -> None:
    connections = {name: Connection(name, "smtp.gmail.com", 587) for name in ("red", "blue")}
    identities = [identity(name) for name in connections]
    zone = {name: records for name, records in GOOD.items() if "_dmarc" not in name}
    with dns_server(zone) as server:
        monkeypatch.setenv("MAILSLUICE_NAMESERVERS", f"127.0.0.1:{server.port}")
        (warning,) = begin_domain_check(identities, connections)()
    assert warning.startswith("red, blue: acme-news.org has no DMARC record")
    with dns_server({}) as server:
        monkeypatch.setenv("MAILSLUICE_NAMESERVERS", f"127.0.0.1:{server.port}")
        (warning,) = begin_domain_check(identities, connections)()
    assert warning.startswith("SPF, DKIM and DMARC could not be checked: DNS does not answer")
    monkeypatch.setenv("MAILSLUICE_NAMESERVERS", "nowhere")
    (warning,) = begin_domain_check(identities, connections)()
    assert "MAILSLUICE_NAMESERVERS is not a list of IP addresses" in warning


@pytest.mark.parametrize("domain", ["example.com", "news.example.net", "shop.example", "a.test"])
def test_domains_for_examples_are_not_looked_up(domain: str) -> None:
    check = checked(Subject("red", "h", domain, domain), {})
    assert (check.warnings, check.is_unknown) == ([], False)
    assert "one for examples" in check.remark


def test_the_record_to_publish_is_shown_whole() -> None:
    zone = {name: records for name, records in GOOD.items() if not name.startswith("rsa.")}
    check = checked(OWN, zone)
    whole = f"rsa._domainkey.acme-news.org TXT {KEYS['rsa']}"
    assert whole in check.page_lines()
    assert f"publish {whole}" in check.lines()
