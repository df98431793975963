"""What a report says about mailbox providers, and what they said."""

from __future__ import annotations

from mailsluice.core.status import RecipientStatus as Status
from mailsluice.reports.campaign import DomainOutcome, ReplyCount, page
from mailsluice.reports.campaign.page import refreshed
from mailsluice.reports.deliveries.counts import DeliveryTimes
from mailsluice.reports.providers.counts import Measure, ProviderCounts, ProviderTally
from tests.unit.test_report import report, route, statistics

GOOGLE = ProviderTally(60, 50, 45, 20, 5, 40, 36, 3, 1)


def part(text: str, title: str) -> list[str]:
    """The rows of the table in the section of this title, without its head."""
    said = text.partition(f"## {title}\n")[2].partition("\n## ")[0]
    return [line for line in said.splitlines() if line.startswith("| ")][2:]


def test_shares_are_of_the_attempted_or_the_accepted_mail() -> None:
    assert GOOGLE.share(Measure.ACCEPTED) == 45 / 50
    assert GOOGLE.share(Measure.DEFERRED) == 20 / 50
    assert GOOGLE.share(Measure.REFUSED) == 5 / 50
    assert GOOGLE.share(Measure.DELIVERED) == 36 / 45
    assert ProviderTally(60, 50, 45).share(Measure.DELIVERED) is None  # without events
    assert ProviderTally(60).share(Measure.ACCEPTED) is None


def test_providers_are_listed_by_size_the_small_ones_together_at_the_end() -> None:
    counts = ProviderCounts(
        {
            (None, "red"): ProviderTally(900, 900, 900),
            ("yahoo", "red"): ProviderTally(20, 20, 20),
            ("google", "red"): ProviderTally(15, 15, 10, 4, 5),
            ("google", "green"): ProviderTally(15, 15, 15),
            ("mail.example", "green"): ProviderTally(2, 0, 0),
        }
    )
    text = page(report(route(sent=5), route("green"), statistics=statistics(providers=counts)))
    assert part(text, "Mailbox providers") == [
        "| Google | 30 | 25 | 4 | 5 |",
        "| Yahoo and AOL | 20 | 20 | 0 | 0 |",
        "| mail.example | 2 | 0 | 0 | 0 |",
        "| smaller providers | 900 | 900 | 0 | 0 |",
        "| **all** | 952 | 945 | 4 | 5 |",
    ]
    assert part(text, "Mailbox providers by connection") == [
        "| Google | green | 15 | 100.0% | 0.0% | 0.0% |",
        "| Google | red | 15 | 66.7% | 26.7% | 33.3% |",
        "| Yahoo and AOL | red | 20 | 100.0% | 0.0% | 0.0% |",
        "| mail.example | green | 2 |  |  |  |",
        "| smaller providers | red | 900 | 100.0% | 0.0% | 0.0% |",
    ]


def test_events_add_what_was_delivered_and_how_soon() -> None:
    counts = ProviderCounts(
        {("google", "red"): GOOGLE, ("yahoo", "red"): ProviderTally(9, 9, 9)},
        {"google": DeliveryTimes(4.0, 5_400.0)},
    )
    text = page(report(route(sent=54), statistics=statistics(providers=counts)))
    assert part(text, "Mailbox providers") == [
        "| Google | 60 | 45 | 20 | 5 | 36 | 3 | 1 | 4 s | 90 min |",
        "| Yahoo and AOL | 9 | 9 | 0 | 0 | 0 | 0 | 0 |  |  |",
        "| **all** | 69 | 54 | 20 | 5 | 36 | 3 | 1 |  |  |",
    ]
    assert "Mailbox providers by connection" not in text  # there is one


def test_the_replies_of_a_provider_stand_together_the_most_frequent_first() -> None:
    words = [f"try later {letter}" for letter in "abcdefg"]
    counted = statistics(
        providers=ProviderCounts({("google", "red"): GOOGLE, ("yahoo", "red"): ProviderTally(900)}),
        domains=[DomainOutcome("gmail.com", "red", Status.SENT, 60)],
        replies=[
            ReplyCount("yahoo", "red", 421, "TSS04 <ann@a.example>", 0, 2),
            *(ReplyCount("google", "red", 450, word, 0, 9 - i) for i, word in enumerate(words)),
            ReplyCount("google", "green", 450, "try later a", 1, 2),
            ReplyCount("b2b.example", "red", 550, "no <such> | user", 4, 0),
            ReplyCount(None, "red", 550, "somewhere else", 30, 0),
        ],
        later_replies=[ReplyCount("yahoo", "red", None, "554 delivery error", 0, 0, 7)],
    )
    text = page(report(route(sent=65), statistics=counted))
    assert part(text, "What the mailbox providers said") == [
        "| Google | 450 try later a | green, red | 1 | 11 | 0 |",
        "| Google | 450 try later b | red | 0 | 8 | 0 |",
        "| Google | 450 try later c | red | 0 | 7 | 0 |",
        "| Google | 450 try later d | red | 0 | 6 | 0 |",
        "| Google | 450 try later e | red | 0 | 5 | 0 |",
        "| Google | rarer replies |  | 0 | 7 | 0 |",
        "| Yahoo and AOL | 554 delivery error | red | 0 | 0 | 7 |",
        r"| Yahoo and AOL | 421 TSS04 \<address\> | red | 0 | 2 | 0 |",
        r"| b2b.example | 550 no \<such\> \| user | red | 4 | 0 | 0 |",
        "| smaller providers | 550 somewhere else | red | 30 | 0 | 0 |",
    ]
    assert "Replies by domain" not in text
    assert "@" not in text


def test_a_report_says_which_providers_asked_for_less_mail() -> None:
    counted = statistics(
        providers=ProviderCounts({("google", "red"): GOOGLE}),
        replies=[
            ReplyCount("google", "red", 421, "4.7.28 an unusual rate of mail from 192.0.2.1", 0, 9),
            ReplyCount("google", "green", 421, "4.7.28 an unusual rate of mail", 0, 1_000),
            ReplyCount("yahoo", "red", 421, "4.7.0 [TSS04] Messages temporarily deferred", 0, 2),
            ReplyCount("google", "red", 450, "4.2.1 is receiving mail at a rate that", 0, 5),
        ],
        later_replies=[
            ReplyCount("unresolved", "red", None, "550 5.7.1 weren't sent (S3150)", 0, 0, 7)
        ],
    )
    text = page(report(route(sent=65), statistics=counted))
    assert (
        "Google asked for less mail (1,009 times); Microsoft 365 blocked the sender (7 times);"
        " Yahoo and AOL took no mail for a while (2 times).\n\n| provider |" in text
    )


def test_a_campaign_without_stored_providers_has_no_part_about_them() -> None:
    replies = [ReplyCount("gmail.com", "red", 450, "busy", 0, 3)]
    domains = [DomainOutcome("gmail.com", "red", Status.SENT, 60)]
    text = page(report(route(sent=65), statistics=statistics(replies=replies, domains=domains)))
    assert "ailbox provider" not in text
    assert part(text, "Replies by domain") == ["| gmail.com | 450 busy | red | 0 | 3 |"]


def test_later_events_refresh_the_providers_of_a_page() -> None:
    before = ProviderCounts({("google", "red"): ProviderTally(60, 60, 60)})
    after = ProviderCounts({("google", "red"): ProviderTally(60, 60, 60, 0, 0, 50, 50)})
    stored = report(route("red", 60), statistics=None)
    first = page(report(route("red", 60), statistics=statistics(providers=before)))
    once = refreshed(first, stored, statistics(providers=after))
    assert part(once, "Mailbox providers")[0] == "| Google | 60 | 60 | 0 | 0 | 50 | 0 | 0 |  |  |"
    assert once.count("## Mailbox providers\n") == 1
    assert refreshed(once, stored, statistics(providers=after)) == once


def test_an_archive_keeps_the_counts() -> None:
    counts = ProviderCounts(
        {("google", "red"): GOOGLE, (None, "red"): ProviderTally(9)},
        {None: DeliveryTimes(4.0, 5_400.0)},
    )
    assert ProviderCounts.from_json(counts.as_json()) == counts
