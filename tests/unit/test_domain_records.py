"""DNS records of senders' domains: judged without DNS."""

from __future__ import annotations

import pytest

from mailsluice.core.organisation import is_aligned
from mailsluice.operations.domain_check import Subject, TopicFinding
from mailsluice.operations.domain_check.dkim_records import record_fault, tags_of, weakness
from mailsluice.operations.domain_check.dmarc import judged
from mailsluice.operations.domain_check.finding import (
    DomainCheck,
    Topic,
    excerpt,
    shared_warnings,
)
from mailsluice.operations.domain_check.sending_providers import provider_of_host
from mailsluice.smtp.dkim.keys import public_key, read_key, record
from tests.dkim_keys import both_keys, ed25519_pem, rsa_pem

KEY = rsa_pem()
RECORD = record(read_key(KEY))
PUBLIC = public_key(read_key(KEY))


def subject(
    host: str = "smtp.example.com", returned: str = "example.com", **fields: object
) -> Subject:
    return Subject("red", host, "example.com", returned, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "texts",
    [
        [RECORD],
        [f"p={PUBLIC}"],  # v and k have defaults
        [f"v=DKIM1; h=sha1:sha256; t=s; n=note; p={PUBLIC[:50]} {PUBLIC[50:]};"],
        ["google-site-verification=x", RECORD],  # other records of a wildcard
    ],
)
def test_a_record_with_our_key_is_accepted(texts: list[str]) -> None:
    assert record_fault("s._domainkey.example.com", texts, KEY) is None


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        ([], "has no DKIM record: publish the record that verify-connection shows"),
        (["v=spf1 -all"], "has no DKIM record"),
        ([RECORD, RECORD], "has 2 DKIM records"),
        (["v=DKIM1; p="], "is revoked"),
        ([record(read_key(ed25519_pem()))], "has another key than the one that signs"),
        ([RECORD.replace("k=rsa", "k=ed25519")], "has another key"),
        ([RECORD.replace("DKIM1", "DKIM2")], "is not accepted"),
        ([RECORD + "; h=sha1"], "is not accepted"),
    ],
)
def test_a_record_that_does_not_verify_is_told_with_the_record_to_publish(
    texts: list[str], words: str
) -> None:
    fault = record_fault("s._domainkey.example.com", texts, KEY)
    assert fault is not None
    assert words in fault


@pytest.mark.parametrize(
    ("record_text", "about", "words"),
    [
        ("v=DMARC1; p=none; rua=mailto:a@b.example", subject(), []),
        ("v=DMARC1; p=wrong", subject(), ["has no valid p"]),
        ("v=DMARC1", subject(), ["has no valid p"]),
        # The provider's own DKIM decides.
        ("v=DMARC1; p=reject", subject("smtp.sendgrid.net", "other.example"), []),
        (
            "v=DMARC1; p=reject",
            subject(returned="other.example"),
            ["neither SPF (return path at other.example) nor DKIM (not signed here)", "is refused"],
        ),
        ("v=DMARC1; p=none", subject(returned="bounce.example.com"), []),  # relaxed
        ("v=DMARC1; p=none; aspf=s", subject(returned="bounce.example.com"), ["strictly"]),
        ("v=DMARC1; p=none", subject(returned="other.example", dkim=both_keys()), []),
        (
            "v=DMARC1; p=none; adkim=s",
            subject(returned="o.example", dkim=both_keys(domain="mail.example.com")),
            ["signed for mail.example.com", "fails DMARC"],
        ),
    ],
)
def test_dmarc_is_judged_with_the_alignment_of_the_mail(
    record_text: str, about: Subject, words: list[str]
) -> None:
    warnings = judged(about, "example.com", [record_text]).warnings
    assert bool(warnings) == bool(words)
    assert all(word in warnings[0] for word in words)


def test_a_subdomain_follows_the_subdomain_policy() -> None:
    about = Subject("red", "h.example.com", "news.example.com", "news.example.com")
    assert "policy reject" in judged(about, "example.com", ["v=DMARC1; p=none; sp=reject"]).note


@pytest.mark.parametrize(
    ("host", "title"),
    [
        ("smtp.sendgrid.net", "SendGrid"),
        ("email-smtp.eu-west-1.amazonaws.com", "Amazon SES"),
        ("IN-V3.mailjet.com.", "Mailjet"),
        ("sendgrid.net.example.com", None),
        ("notsendgrid.net", None),
    ],
)
def test_providers_are_known_by_their_servers(host: str, title: str | None) -> None:
    provider = provider_of_host(host)
    assert (provider.title if provider else None) == title


def test_ones_own_server_is_at_the_senders_domain_or_signed_for_here() -> None:
    assert is_aligned("mx1.example.com", "example.com")
    assert subject("mx1.example.com").is_own_server
    assert subject("192.0.2.1", dkim=both_keys()).is_own_server
    assert not subject("192.0.2.1").is_own_server
    assert not subject("smtp.other.example").is_own_server
    assert not subject("smtp.sendgrid.net", dkim=both_keys()).is_own_server


def test_texts_from_dns_are_shown_short_and_plain() -> None:
    shown = excerpt("v=spf1 \x1b[31m<b>\u202eä a@b.example " + "x" * 5_000)
    assert len(shown) < 200
    assert shown.isascii()
    assert shown.isprintable()
    assert "a@b" not in shown


def test_tags_are_read_whatever_comes() -> None:
    assert tags_of("v=DMARC1 ;P = none;;=;x; rua=a=b") == {
        "v": "DMARC1",
        "p": "none",
        "": "",
        "rua": "a=b",
    }


def test_the_page_escapes_what_dns_says() -> None:
    finding = TopicFinding(Topic.SPF, "v=spf1 [x](http://evil) | <b>", ("do *this*",))
    check = DomainCheck("red", "example.com", [finding])
    page = "\n".join(check.page_lines())
    assert r"\[x\](http://evil) \| \<b\>" in page
    assert [*shared_warnings([check, DomainCheck("blue", "example.com", [finding])])] == [
        "red, blue: do *this*"
    ]


def test_a_short_key_is_told() -> None:
    assert "has 1024 bits: change to one of 2048" in str(weakness("s.example.com", rsa_pem()))
    assert weakness("s.example.com", ed25519_pem()) is None
