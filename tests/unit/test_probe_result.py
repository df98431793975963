"""The page about probe mailboxes, the next steps, and which folders are what."""

from __future__ import annotations

import pytest

from mailsluice.bounces.imap import Folder
from mailsluice.operations.probes.advice import next_steps
from mailsluice.operations.probes.authentication import Verdict, Verdicts
from mailsluice.operations.probes.delivered import Delivered, Placement
from mailsluice.operations.probes.folders import MOST_FOLDERS, folders_by_use
from mailsluice.operations.probes.result import Probed, ProbeResult, seconds_text

OK = Verdict("pass", "example.com", True)
ELSEWHERE = Verdict("pass", "relay.example", False)


def delivered(
    placement: Placement = Placement.INBOX,
    tls: str = "TLS 1.3",
    *,
    folder: str = "INBOX",
    at: float = 105.0,
    is_by_received: bool = True,
    score: str = "",
    **verdicts: Verdict | None,
) -> Delivered:
    given = Verdicts(**{"spf": OK, "dkim": OK, "dmarc": OK, **verdicts}, sender="example.com")
    return Delivered(placement, folder, at, is_by_received, given, tls, score)


@pytest.mark.parametrize(
    ("copy", "words"),
    [
        (delivered(), []),
        # The provider does not speak of anything.
        (delivered(spf=None, dkim=None, dmarc=None, tls=""), []),
        (delivered(spf=Verdict("fail", "b.example.com", True)), ["b.example.com does not list"]),
        (delivered(spf=Verdict("softfail")), ["softfail"]),
        (delivered(spf=Verdict("none", "b.example.com", True)), ["has no SPF record"]),
        (delivered(spf=Verdict("permerror", "b.example.com")), ["more than ten look-ups"]),
        (delivered(spf=Verdict("temperror", "b.example.com")), ["name servers of b.example.com"]),
        # SPF for the relay's domain is enough where DKIM is the sender's own.
        (delivered(spf=ELSEWHERE), []),
        (
            delivered(spf=ELSEWHERE, dkim=None, dmarc=Verdict("fail", "example.com", True)),
            ["SPF passes for relay.example", "neither SPF nor DKIM"],
        ),
        (delivered(dkim=Verdict("none")), ["not signed: switch signing for example.com on"]),
        (delivered(dkim=Verdict("fail", "example.com", True)), ["compare the published key"]),
        (delivered(dkim=ELSEWHERE), ["have the provider sign for example.com"]),
        (delivered(dkim=Verdict("temperror")), ["name servers of example.com"]),
        (delivered(dmarc=Verdict("none", "example.com", True)), ["_dmarc.example.com"]),
        (delivered(dmarc=Verdict("fail", "example.com", True)), ["strict alignment"]),
        (delivered(dmarc=Verdict("temperror", "example.com", True)), ["DMARC could not"]),
        (delivered(tls="no"), ["without TLS"]),
        (delivered(Placement.SPAM, folder="Junk"), ["spam folder of Gmail although"]),
        (
            delivered(Placement.SPAM, spf=Verdict("fail", "example.com", True)),
            ["does not list", "first fix"],
        ),
        (delivered(Placement.SPAM, spf=None, dkim=None, dmarc=None), ["does not say what"]),
        (delivered(Placement.OTHER, folder="News"), ["folder 'News'"]),
    ],
)
def test_each_failure_has_its_next_step(copy: Delivered, words: list[str]) -> None:
    steps = [*next_steps(copy.placement, copy, "Gmail", 10)]
    assert len(steps) == len(words)
    assert all(word in step for word, step in zip(words, steps, strict=True))


def test_a_missing_copy_says_how_long_it_was_looked_for() -> None:
    (step,) = next_steps(Placement.MISSING, None, "", 10)
    assert "after 10 minutes" in step
    assert "the mailbox's host may put off" in step


def test_the_page_shows_each_copy_and_hides_addresses() -> None:
    hostile = delivered(
        Placement.OTHER,
        folder="me@example.org | <b>",
        at=400.0,
        is_by_received=False,
        score="5.1",
        spf=Verdict("fail", "b.example.com", True),
    )
    copies = [
        Probed("red", "gmail", "Gmail", 100.0, delivered(arc=OK)),
        Probed("red", "own", "", 100.0, hostile),
        Probed("green", "gmail", "Gmail", 100.0, None),
        Probed("green", "own", "", None, None),
        Probed("blue", "own", "", 100.0, None, "the login was refused"),
    ]
    result = ProbeResult(copies, 10)
    assert not result.is_good
    assert result.summary() == (
        "1 of 5 copies in the inbox; red: other at own; green: missing at gmail; green: not"
        " accepted at own; blue: not known at own"
    )
    page = "\n".join(result.section())
    assert "| red | gmail (Gmail) | inbox | 5 s | pass example.com | pass example.com |" in page
    assert r"other (\<address\> \| \<b\>), score 5.1 | 5 min\* | fail b.example.com" in page
    assert "| green | own | not accepted | - | - | - | - | - |" in page
    assert "green to gmail: The server accepted the copy" in page
    assert "blue to own: The mailbox could not be read any more: the login was refused" in page
    assert "ARC: red to gmail: pass." in page
    assert "me@" not in page


def test_a_copy_that_arrives_before_it_was_accepted_has_no_negative_delay() -> None:
    copy = Probed("red", "own", "", 200.0, delivered(at=100.0))
    assert copy.delay_seconds == 0.0


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.0, "under 2 s"), (2.4, "2 s"), (119.0, "119 s"), (600.0, "10 min")]
)
def test_delays_are_no_more_exact_than_clocks(seconds: float, text: str) -> None:
    assert seconds_text(seconds) == text


def listed(*names: str, **marked: str) -> list[Folder]:
    plain = [Folder(name, frozenset({r"\hasnochildren"})) for name in names]
    return [*plain, *(Folder(name, frozenset({rf"\{use}"})) for use, name in marked.items())]


@pytest.mark.parametrize(
    ("folders", "spam", "junk", "others"),
    [
        # Marked as in RFC 6154; a folder with a usual name beside it is the owner's.
        (listed("INBOX", "Spam", junk="Unwanted"), "", {"Unwanted"}, {"Spam"}),
        # Gmail.
        (
            listed("INBOX", "[Gmail]/Spam", "News", noselect="[Gmail]", sent="[Gmail]/Sent Mail"),
            *("", {"[Gmail]/Spam"}, {"News"}),
        ),
        # Yahoo, and servers that put all folders below the inbox.
        (listed("Inbox", "Bulk Mail", "Bulk"), "", {"Bulk Mail", "Bulk"}, set()),
        (listed("INBOX", "INBOX.Junk", "Junk E-mail"), "", {"INBOX.Junk", "Junk E-mail"}, set()),
        # What is no spam folder.
        (listed("INBOX", "Spammers", "My spam report"), "", set(), {"Spammers", "My spam report"}),
        # The block's word counts.
        (listed("INBOX", "Spam", junk="Junk"), "Mine", {"Mine"}, {"Spam", "Junk"}),
    ],
)
def test_folders_are_what_the_server_says_or_their_names(
    folders: list[Folder], spam: str, junk: set[str], others: set[str]
) -> None:
    uses = folders_by_use(folders, "INBOX", spam)
    assert uses[0] == ("INBOX", Placement.INBOX)
    assert {name for name, use in uses if use is Placement.SPAM} == junk
    assert {name for name, use in uses if use is Placement.OTHER} == others


def test_the_archive_of_all_mail_is_looked_at_last_and_many_folders_are_not() -> None:
    folders = [*listed(all="All"), *listed("INBOX", "News")]
    assert folders_by_use(folders, "INBOX")[-1] == ("All", Placement.OTHER)
    many = listed("INBOX", *(f"f{number}" for number in range(1_000)), "Junk")
    uses = folders_by_use(many, "INBOX")
    assert len(uses) == MOST_FOLDERS
    assert ("Junk", Placement.SPAM) in uses
