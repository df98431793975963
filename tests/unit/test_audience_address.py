"""Valid addresses are normalised, and others refused with a reason."""

from __future__ import annotations

import re

import pandas as pd
import pytest
from email_validator import validate_email
from hypothesis import given, settings
from hypothesis import strategies as st

from mailsluice.audience.address import normalise

ACCEPTED = [
    ("ann@example.com", "ann@example.com"),  # the common form
    ("Ann.B+x@EXAMPLE.com", "Ann.B+x@example.com"),  # the domain in lower case, the rest kept
    (" \t ann@example.com\u00a0\r\n", "ann@example.com"),  # blanks around it
    ("o'neil_{a}!#$%&*/=?^`|~-@mail.test", "o'neil_{a}!#$%&*/=?^`|~-@mail.test"),  # all of atext
    ("ann@relay.local", "ann@relay.local"),  # a private name: the server decides
    ("ann@münchen.de", "ann@xn--mnchen-3ya.de"),  # IDNA
    ("ann@MÜNCHEN.de", "ann@xn--mnchen-3ya.de"),  # the same one (UTS 46)
    ("ann@xn--mnchen-3ya.de", "ann@xn--mnchen-3ya.de"),  # the same one
    ("ann@faß.de", "ann@xn--fa-hia.de"),  # not fass.de (IDNA 2008)
    ("ann@example\u3002com", "ann@example.com"),  # an ideographic full stop
    ("ann@mail.xn--p1ai", "ann@mail.xn--p1ai"),  # a top-level domain in Punycode
    ("zoë@example.com", "zoë@example.com"),  # SMTPUTF8
    ("zoe\u0308@example.com", "zoë@example.com"),  # the same one (NFC)
    ("zoë@mail.test", "zoë@mail.test"),  # a name for tests
    ("ann@example.com.", "ann@example.com"),  # the root of the DNS
    ('"ann.b"@example.com', "ann.b@example.com"),  # quotes that are not needed
    (r'"a\nn"@example.com', "ann@example.com"),  # nor escapes
    ("\ufeff\u200bann@example.com\u200b\u2060", "ann@example.com"),  # blanks without width
    ("\u202aann@example.com\u202c", "ann@example.com"),  # pasted from a contact list
    ("a..b@docomo.ne.jp", '"a..b"@docomo.ne.jp'),  # issued so: quoted as RFC 5321 wants
    ("a.@EZweb.ne.jp", '"a."@ezweb.ne.jp'),
    (".a@au.com", '".a"@au.com'),
    ('"a..b"@docomo.ne.jp', '"a..b"@docomo.ne.jp'),  # the same one
    ("a.b@docomo.ne.jp", "a.b@docomo.ne.jp"),  # nothing odd about it
    ("a" * 64 + "@example.com", "a" * 64 + "@example.com"),  # the longest local part
    ("a@" + "b" * 63 + ".com", "a@" + "b" * 63 + ".com"),  # the longest label
]

REJECTED = [
    ("", "no address"),
    ("  ", "no address"),
    ("ann", "no @ sign"),
    ("ann@localhost", "the domain has no dot"),
    ("ann@", "after the @"),
    ("@example.com", "before the @"),
    ("ann@bob@example.com", "invalid characters: '@'"),
    ("ann b@example.com", "SPACE"),
    ("ann..b@example.com", "two periods"),
    (".ann@example.com", "start with a period"),
    ("ann.@example.com", "before the @"),
    ("ann..b@mydocomo.ne.jp", "two periods"),  # another domain
    ("..@docomo.ne.jp", "before the @"),
    ("a..b c@docomo.ne.jp", "SPACE"),
    ("a" * 61 + "..@docomo.ne.jp", "too long for SMTP"),  # with its quotes 65 octets
    ("a" * 100_000 + "@example.com", "too long for SMTP"),
    ('""@example.com', "before the @"),
    ("ann@example.com..", "period"),
    ("ann@example..com", "two periods"),
    ("ann@-example.com", "hyphen"),
    ("ann@exa_mple.com", "invalid characters: '_'"),
    ("ann@192.168.0.1", "top-level domain"),  # a number is no host name
    ("ann@[192.168.0.1]", "bracketed IP address"),
    ('"ann b"@example.com', "Quoting"),
    ("Ann <ann@example.com>", "display name"),
    ("<ann@example.com>", "angle brackets"),
    ("ann@example.com>", "invalid characters: '>'"),
    ("ann@example.com\r\nRCPT TO:<bob@example.com>", "invalid characters"),  # an injection
    ("ann\r\n@example.com", "invalid characters"),
    ("ann@exam\0ple.com", "invalid characters"),
    ("ann\u200b@example.com", "unsafe characters"),  # a blank without width, within
    ("ann\ufe0f@example.com", "invisible character"),  # which keyboards add after symbols
    ("a\u034fnn@example.com", "invisible character"),
    ("ann\u3164@example.com", "invisible character"),  # a letter of Hangul, empty
    ("ann@xn--zzzzzz.de", "IDNA"),  # no such Punycode
    ("a" * 65 + "@example.com", "too long before"),
    ("a@" + "b" * 64 + ".com", "periods cannot be separated"),
    ("a" * 60 + "@" + ("b" * 60 + ".") * 4 + "com", "too long"),
    ("ä" * 33 + "@example.com", "too long for SMTP"),  # 33 characters, but 66 octets
]


def one(text: str) -> tuple[str, str, str]:
    row = normalise(pd.Series([text], dtype="str")).iloc[0]
    return row["email"], row["domain"], row["reason"]


@pytest.mark.parametrize(("given", "expected"), ACCEPTED)
def test_good_addresses_are_brought_into_one_form(given: str, expected: str) -> None:
    assert one(given) == (expected, expected.rpartition("@")[2], "")


@pytest.mark.parametrize(("given", "reason"), REJECTED)
def test_bad_addresses_are_refused_with_a_reason(given: str, reason: str) -> None:
    email, domain, said = one(given)

    assert (email, domain) == ("", "")
    assert reason in said


def test_results_are_in_the_order_of_the_rows() -> None:
    given = [text for pair in zip(ACCEPTED, REJECTED, strict=False) for text, _ in pair]

    frame = normalise(pd.Series(given, dtype="str"))

    assert [tuple(row) for row in frame.to_numpy()] == [one(text) for text in given]


def test_no_rows_give_no_rows() -> None:
    assert normalise(pd.Series([], dtype="str")).shape == (0, 3)


near_addresses = st.text("aB1.-_+@ <>\"'ä\u00df\r\n\0\u3002,;:()\\", max_size=20)
labels = st.text("aBz09-", min_size=1, max_size=5)


@settings(deadline=None)
@given(st.one_of(st.text(max_size=40), near_addresses))
def test_an_accepted_address_is_safe_and_normalising_it_again_changes_nothing(text: str) -> None:
    email, domain, reason = one(text)

    if reason:
        assert (email, domain) == ("", "")
        return
    assert re.fullmatch(r"(\"?)[^\s\x00-\x1f\x7f<>@,;:()\"\\\[\]]+\1@[a-z0-9.-]+", email)
    assert len(email.encode()) <= 254
    assert one(email) == (email, domain, "")


@settings(deadline=None)
@given(
    st.builds(
        "{}@{}.com".format,
        st.text("aB1.-_+", min_size=1, max_size=6),
        st.lists(labels, min_size=1, max_size=3).map(".".join),
    )
)
def test_the_vectorised_check_agrees_with_email_validator(text: str) -> None:
    try:
        expected = validate_email(text, check_deliverability=False, strict=True).ascii_email
    except ValueError:
        expected = None

    assert (one(text)[0] or None) == expected
