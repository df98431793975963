"""Providers by MX hosts and by domains."""

from __future__ import annotations

import re
import tomllib
from importlib import resources
from typing import Any

import pytest

from mailsluice.mailbox_providers import (
    UNRESOLVED,
    provider_of_domain,
    provider_of_hosts,
    title_of,
)

RULES: dict[str, dict[str, Any]] = tomllib.loads(
    resources.files("mailsluice.mailbox_providers").joinpath("providers.toml").read_text("utf-8")
)


def test_each_end_of_a_host_leads_to_its_provider() -> None:
    for name, rule in RULES.items():
        for end in rule["hosts"]:
            assert provider_of_hosts([end]) == provider_of_hosts([f"MX1.{end}."]) == name


def test_each_domain_leads_to_its_provider() -> None:
    for name, rule in RULES.items():
        for domain in rule.get("domains", ()):
            assert provider_of_domain(domain) == name


def test_no_line_stands_twice_and_lists_are_sorted() -> None:
    for field in ("hosts", "domains"):
        lines = [line for rule in RULES.values() for line in rule.get(field, ())]
        assert len(lines) == len({*lines})
        assert all(rule[field] == sorted(rule[field]) for rule in RULES.values() if field in rule)
        assert all(re.fullmatch(r"[a-z0-9-]+(\.[a-z0-9-]+)+", line) for line in lines)


def test_a_provider_has_a_name_without_a_dot_and_a_title() -> None:
    assert all(re.fullmatch(r"[a-z-]+", name) and rule["title"] for name, rule in RULES.items())


@pytest.mark.parametrize(
    ("hosts", "provider"),
    [
        # As the providers' own documentation has them.
        (["aspmx.l.google.com", "alt1.aspmx.l.google.com"], "google"),
        (["smtp.google.com"], "google"),
        (["outlook-com.olc.protection.outlook.com"], "microsoft-consumer"),
        (["contoso-com.mail.protection.outlook.com"], "microsoft-business"),
        (["contoso-com.p-v1.mx.microsoft"], "microsoft-business"),
        (["mta5.am0.yahoodns.net"], "yahoo"),
        (["mx01.mail.icloud.com"], "apple"),
        (["mail.protonmail.ch", "mailsec.protonmail.ch"], "proton"),
        (["in1-smtp.messagingengine.com"], "fastmail"),
        (["mx00.ionos.de"], "ionos"),
        (["mx00.kundenserver.de"], "ionos"),
        (["mxa-00107d02.gslb.pphosted.com"], "proofpoint"),
        (["eu-smtp-inbound-1.mimecast.com"], "mimecast"),
        (["inbound-smtp.eu-west-1.amazonaws.com"], "amazon"),
        # A known host behind an unknown one takes no mail: Google has domains prove themselves so.
        (["mx.shop.example", "x1.mx-verification.google.com"], "shop.example"),
        # Unknown hosts: the registrable domain of the preferred one.
        (["mx1.mail.hoster.co.uk", "backup.other.net"], "hoster.co.uk"),
        (["localhost"], "localhost"),
        # A name that only looks like a provider's.
        (["mx.notgoogle.com"], "notgoogle.com"),
        (["google.com.attacker.net"], "attacker.net"),
        ([], UNRESOLVED),
    ],
)
def test_the_provider_of_hosts(hosts: list[str], provider: str) -> None:
    assert provider_of_hosts(hosts) == provider


def test_a_domain_of_nobody_has_no_provider() -> None:
    assert provider_of_domain("example.com") is None


def test_titles() -> None:
    assert title_of("google") == "Google"
    assert title_of("hoster.co.uk") == "hoster.co.uk"
