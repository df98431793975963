"""Header fields of a copy in a mailbox: forms of large providers, and forged ones."""

from __future__ import annotations

import pytest

from mailsluice.operations.probes.authentication import Verdict
from mailsluice.operations.probes.delivered import Delivered, Placement, read_copy
from mailsluice.operations.probes.fields import MAX_OCTETS, without_comments
from tests.unit.growth import TIMES, is_in_proportion

OWN = """DKIM-Signature: v=1; a=rsa-sha256; d=example.com; s=s1; bh=x; b=y
From: News <news@example.com>
Subject: [Test via red] Hi
Message-ID: <0123@example.com>
"""

GMAIL = """Delivered-To: probe@gmail.com
Received: by 2002:a05:6a10:b1c2:b0:5f1:aaaa with SMTP id x2csp1;
        Fri, 27 Nov 2026 09:00:07 -0800 (PST)
X-Received: by 2002:a17:902:d2c6:b0:1 with SMTP id y; Fri, 27 Nov 2026 09:00:06 -0800 (PST)
ARC-Authentication-Results: i=1; mx.google.com;
       dkim=fail header.i=@arc.example; spf=fail smtp.mailfrom=arc.example
Return-Path: <b.1@bounce.example.com>
Received: from o1.sendgrid.example (o1.sendgrid.example. [203.0.113.7])
        by mx.google.com with ESMTPS id d9443c01a7336
        for <probe@gmail.com>
        (version=TLS1_3 cipher=TLS_AES_128_GCM_SHA256 bits=128/128);
        Fri, 27 Nov 2026 09:00:05 -0800 (PST)
Received-SPF: pass (google.com: domain of b.1@bounce.example.com designates 203.0.113.7)
Authentication-Results: mx.google.com;
       dkim=pass header.i=@example.com header.s=s1 header.b=AbCd+/ef;
       dkim=pass header.i=@sendgrid.example header.s=smtpapi header.b="x;y";
       spf=pass (google.com: domain of b.1@bounce.example.com designates 203.0.113.7 as permitted sender) smtp.mailfrom=b.1@bounce.example.com;
       dmarc=pass (p=NONE sp=NONE dis=NONE) header.from=example.com
"""  # noqa: E501 - as Gmail writes it

OUTLOOK = """Received: from AM0PR01MB1.eurprd01.prod.outlook.com (2603:10a6:20b:1::1)
 by AM9PR01MB2.eurprd01.prod.outlook.com with HTTPS; Fri, 27 Nov 2026 17:00:09 +0000
Received: from DB8EUR05FT1.eop-eur05.prod.protection.outlook.com
 (2603:10a6:10:1:cafe::1) by DB8PR01CA1.outlook.office365.com
 (2603:10a6:10:110::1) with Microsoft SMTP Server (version=TLS1_3,
 cipher=TLS_AES_256_GCM_SHA384) id 15.20.1; Fri, 27 Nov 2026 17:00:08 +0000
Authentication-Results: spf=fail (sender IP is 203.0.113.7)
 smtp.mailfrom=bounce.example.com; dkim=none (message not signed)
 header.d=none;dmarc=fail action=none
 header.from=example.com;compauth=fail reason=001
Received-SPF: Fail (protection.outlook.com: domain of bounce.example.com does not designate)
Received: from o1.sendgrid.example (203.0.113.7) by
 DB8EUR05FT1.mail.protection.outlook.com (10.233.239.1) with Microsoft SMTP
 Server (version=TLS1_2, cipher=TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384) id
 15.20.2; Fri, 27 Nov 2026 17:00:07 +0000
X-MS-Exchange-Organization-SCL: 5
"""

YAHOO = """X-Apparently-To: probe@yahoo.com; Fri, 27 Nov 2026 17:00:06 +0000
Return-Path: <b.1@bounce.example.com>
Authentication-Results: atlas-production.v2-mail-prod1-gq1.omega.yahoo.com;
 dkim=pass header.i=@example.com header.s=s1;
 spf=softfail smtp.mailfrom=bounce.example.com;
 dmarc=pass(p=REJECT) header.from=example.com;
Received-SPF: softfail (domain of transitioning bounce.example.com)
Received: from 203.0.113.7 (EHLO o1.sendgrid.example)
 by 10.253.62.11 with SMTPs
 (version=TLS1_3 cipher=TLS_AES_128_GCM_SHA256);
 Fri, 27 Nov 2026 17:00:06 +0000
"""

ICLOUD = """Received: from p00-icloudmta-asmtp-us-central-1k-1 by p101-mailgateway-smtp-1
\t(mailgateway) with SMTP id 1234 for <probe@icloud.com>; Fri, 27 Nov 2026 17:00:06 GMT
Authentication-Results: bimi.icloud.com; bimi=skipped reason="insufficient dmarc"
Authentication-Results: dmarc.icloud.com; dmarc=pass header.from=example.com
Authentication-Results: dkim-verifier.icloud.com;
\tdkim=pass (2048-bit key) header.d=example.com header.i=@example.com header.b=AbC
Authentication-Results: spf.icloud.com; spf=none (spf.icloud.com: bounce.example.com
\tdoes not designate permitted sender hosts) smtp.mailfrom=b.1@bounce.example.com
Received: from o1.sendgrid.example (o1.sendgrid.example [203.0.113.7])
\tby p00-icloudmta-asmtp-us-central-1k-1.p00.mr.icloud.com (Postfix) with ESMTPS id 0
\tfor <probe@icloud.com>; Fri, 27 Nov 2026 17:00:05 GMT
"""

GMX = """Return-Path: <b.1@bounce.example.com>
Authentication-Results: gmx.net; dkim=pass header.i=@example.com
Received: from o1.sendgrid.example ([203.0.113.7]) by mx-ha.gmx.net
 (mxgmx115 [212.227.17.5]) with ESMTPS (Nemesis) id 1MAL
 for <probe@gmx.net>; Fri, 27 Nov 2026 18:00:06 +0100
X-GMX-Antispam: 0 (Mail was not recognized as spam); Detail=V3;
"""

FASTMAIL = """Received: from phl-compute-04.internal (phl-compute-04.internal [10.202.2.44])
\t by sloti40d2t27 (Cyrus 3.11.0-alpha0) with LMTPA;
\t Fri, 27 Nov 2026 12:00:08 -0500
X-Spam-score: -0.2
Received: from phl-mx-05.messagingengine.com ([10.202.2.204])
  by phl-compute-04.internal (MEProxy); Fri, 27 Nov 2026 12:00:07 -0500
Received: from phl-mx-05.messagingengine.com (localhost [127.0.0.1])
\tby mailmx.phl.internal (Postfix) with ESMTP id A1; Fri, 27 Nov 2026 12:00:07 -0500 (EST)
Authentication-Results: phl-mx-05.messagingengine.com;
    dkim=pass (2048-bit rsa key sha256) header.d=example.com
    header.i=@example.com header.b=AbC header.a=rsa-sha256 header.s=s1 x-bits=2048;
    dmarc=pass policy.published-domain-policy=none
    policy.applied-disposition=none (p=none,d=none) policy.policy-from=p
    header.from=example.com;
    arc=none (no signatures found);
    spf=pass smtp.mailfrom=b.1@bounce.example.com smtp.helo=o1.sendgrid.example;
    x-tls=pass smtp.version=TLSv1.3 smtp.cipher=TLS_AES_256_GCM_SHA384
    smtp.bits=256/256
Received: from o1.sendgrid.example (o1.sendgrid.example [203.0.113.7])
\tby phl-mx-05.messagingengine.com (Postfix) with ESMTPS id B2
\tfor <probe@fastmail.com>; Fri, 27 Nov 2026 12:00:06 -0500 (EST)
"""

POSTFIX = """Received: from mx.example.net
\tby mx.example.net with LMTP id 8B1; Fri, 27 Nov 2026 17:00:06 +0000
Received: from o1.sendgrid.example (o1.sendgrid.example [203.0.113.7])
\t(using TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits)
\t key-exchange X25519 server-signature RSA-PSS (2048 bits))
\t(No client certificate requested)
\tby mx.example.net (Postfix) with ESMTPS id 9C; Fri, 27 Nov 2026 17:00:05 +0000 (UTC)
"""

FORGED = """Authentication-Results: mx.example.net; spf=pass smtp.mailfrom=example.com
"""
FURTHER = """Received: from app (app [198.51.100.9]) by o1.sendgrid.example (SG) with HTTP;
 Fri, 27 Nov 2026 16:59:00 +0000
"""


def read(header: str, host: str = "imap.example.net") -> Delivered:
    return read_copy(
        (header + FURTHER + OWN).replace("\n", "\r\n").encode(),
        placement=Placement.INBOX,
        folder="INBOX",
        internal_date=1_795_798_900.0,
        host=host,
    )


ALIGNED = Verdict("pass", "example.com", True)


@pytest.mark.parametrize(
    ("header", "host", "spf", "dkim", "dmarc", "tls"),
    [
        # Gmail writes its field below its own Received; one of two signatures is the sender's.
        (
            *(GMAIL, "imap.gmail.com", Verdict("pass", "bounce.example.com", True)),
            *(ALIGNED, ALIGNED, "TLS 1.3, TLS_AES_128_GCM_SHA256"),
        ),
        # Microsoft names no authserv-id.
        (
            *(OUTLOOK, "outlook.office365.com", Verdict("fail", "bounce.example.com", True)),
            *(Verdict("none"), Verdict("fail", "example.com", True)),
            "TLS 1.2, TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
        ),
        # Yahoo ends its field with a semicolon, and its host is an IP address.
        (
            *(YAHOO, "imap.mail.yahoo.com", Verdict("softfail", "bounce.example.com", True)),
            *(ALIGNED, ALIGNED, "TLS 1.3, TLS_AES_128_GCM_SHA256"),
        ),
        # iCloud writes a field for each method.
        (
            *(ICLOUD, "imap.mail.me.com", Verdict("none", "bounce.example.com", True)),
            *(ALIGNED, ALIGNED, "yes"),
        ),
        # GMX tells of DKIM alone.
        (GMX, "imap.gmx.net", None, ALIGNED, None, "yes"),
        # Fastmail hands the mail on between five hosts of its own.
        (
            *(FASTMAIL, "imap.fastmail.com", Verdict("pass", "bounce.example.com", True)),
            *(ALIGNED, ALIGNED, "TLS 1.3, TLS_AES_256_GCM_SHA384"),
        ),
        # A postfix without a filter checks nothing.
        (POSTFIX, "imap.example.net", None, None, None, "TLS 1.3, TLS_AES_256_GCM_SHA384"),
    ],
    ids=["gmail", "outlook", "yahoo", "icloud", "gmx", "fastmail", "postfix"],
)
def test_the_receiving_side_is_read_as_it_writes(
    header: str,
    host: str,
    spf: Verdict | None,
    dkim: Verdict | None,
    dmarc: Verdict | None,
    tls: str,
) -> None:
    found = read(header, host)
    assert found.verdicts.spf == spf
    assert found.verdicts.dkim == dkim
    assert found.verdicts.dmarc == dmarc
    assert found.tls == tls
    assert found.is_by_received


@pytest.mark.parametrize(
    "header",
    [
        # The sender's own relay checked the mail: below the Received of another organisation.
        POSTFIX + FURTHER + FORGED,
        # Another name than that of the receiving side, directly below its Received.
        POSTFIX + FORGED.replace("mx.example.net", "mx.attacker.example"),
        # A name that merely begins or ends like it.
        POSTFIX + FORGED.replace("mx.example.net", "mx.example.net.attacker.example"),
        POSTFIX + FORGED.replace("mx.example.net", "badexample.net"),
        # Without a name, where Microsoft is not the receiving side.
        POSTFIX + FORGED.replace("mx.example.net; ", ""),
        # The name only in a comment.
        POSTFIX + FORGED.replace("mx.example.net", "(mx.example.net) mx.attacker.example"),
        # A sender that calls itself by a private address does not get inside.
        POSTFIX.replace("from o1.sendgrid.example (", "from [10.0.0.1] (") + FURTHER + FORGED,
        # ARC repeats what another one said.
        POSTFIX + FORGED.replace("Auth", "ARC-Auth"),
    ],
)
def test_a_field_that_the_receiving_side_did_not_write_does_not_count(header: str) -> None:
    assert read(header).verdicts.spf is None


def test_in_a_mail_without_received_nobody_is_known() -> None:
    found = read_copy(
        (FORGED + OWN).encode(),
        placement=Placement.SPAM,
        folder="Junk",
        internal_date=7.0,
        host="imap.example.net",
    )
    assert (found.verdicts.spf, found.tls, found.at) == (None, "", 7.0)


def test_of_two_fields_the_topmost_counts() -> None:
    own = FORGED.replace("pass", "fail")
    assert read(own + POSTFIX + FORGED).verdicts.spf == Verdict("fail", "example.com", True)


@pytest.mark.parametrize(
    ("value", "spf"),
    [
        # Folded within a word's surroundings, with comments everywhere (RFC 8601 appendix B.4).
        ("mx.example.net (a; b) 1;\n\tspf (c) = (d) pass\n\tsmtp . mailfrom = example.com", "pass"),
        # A clause that cannot be read does not hide the others.
        ("mx.example.net; dkim; =; ;; x=; spf=pass smtp.mailfrom=example.com", "pass"),
        # Quoted semicolons and parentheses.
        ('mx.example.net; spf=fail reason="a; b (" smtp.mailfrom=example.com', "fail"),
        # Upper case.
        ("MX.EXAMPLE.NET; SPF=PASS smtp.mailfrom=EXAMPLE.COM", "pass"),
        # Nested and open comments, bytes that are no ASCII.
        (f"mx.example.net; spf=pass {'(' * 3_000}", "pass"),
        ("mx.example.net; spf=pass (é) smtp.mailfrom=example.com", "pass"),
        # Results are words.
        ("mx.example.net; spf=<b>&1", None),
        ("mx.example.net; none", None),
        ("", None),
    ],
)
def test_a_field_is_read_however_it_is_written(value: str, spf: str | None) -> None:
    found = read(f"Authentication-Results: {value}\n{POSTFIX}").verdicts.spf
    assert (found.result if found else None) == spf


def test_what_names_no_domain_is_not_aligned() -> None:
    header = "Authentication-Results: mx.example.net; spf=pass smtp.mailfrom=<img/src=x>\n"
    assert read(header + POSTFIX).verdicts.spf == Verdict("pass")


@pytest.mark.parametrize(
    ("protocol", "tls"),
    [
        ("ESMTPS", "yes"),  # RFC 3848
        ("UTF8SMTPSA", "yes"),  # RFC 6531
        ("ESMTP", "no"),
        ("SMTP", "no"),
        ("something", ""),
    ],
)
def test_the_protocol_tells_whether_the_last_hop_had_tls(protocol: str, tls: str) -> None:
    header = f"Received: from a ([203.0.113.7]) by mx.example.net with {protocol} id 1; {'x'}\n"
    found = read(header)
    assert found.tls == tls
    assert not found.is_by_received
    assert found.at == 1_795_798_900.0


def test_a_score_of_the_receiving_side_is_read_and_one_of_the_sender_is_not() -> None:
    assert read(FASTMAIL, "imap.fastmail.com").spam_score == "-0.2"
    assert read("X-Spam-Status: No, score=-1.9 required=5.0\n" + POSTFIX).spam_score == "-1.9"
    assert read(POSTFIX + FURTHER + "X-Spam-Score: 3\n").spam_score == ""


@pytest.mark.parametrize(
    "unit",
    ["(", "Received: by a with b;\n", "Authentication-Results: x; spf=pass;\n", '"', "\\", "; a=b"],
)
def test_a_hostile_header_takes_time_in_proportion_to_its_length(unit: str) -> None:
    def work(times: int) -> None:
        text = f"Authentication-Results: mx.example.net; {unit * times}\n{POSTFIX}"
        read_copy(text.encode(), placement=Placement.INBOX, folder="", internal_date=0.0, host="")

    assert is_in_proportion(work, MAX_OCTETS // TIMES, MAX_OCTETS, nothing=0.2)


def test_comments_are_left_out() -> None:
    assert without_comments(r'a (b (c) \) d) "(e)" f (g') == 'a    "(e)" f '
