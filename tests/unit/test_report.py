"""The report: its numbers, its page and its next steps."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsluice.assignment.warming import WarmUpDay
from mailsluice.core.moves import Move, MoveReason
from mailsluice.core.status import RecipientStatus as Status
from mailsluice.events.event import DeliveryState, FailureKind
from mailsluice.limits import Bound, Limit
from mailsluice.reports.campaign import (
    AcceptedOverTime,
    DomainOutcome,
    PictureOf,
    ReplyCount,
    Report,
    RouteReport,
    Statistics,
    page,
)
from mailsluice.reports.campaign.page import refreshed
from mailsluice.reports.campaign.replies import alike, grouped
from mailsluice.reports.campaign.statistics import bucket_seconds, span_text
from mailsluice.reports.deliveries.counts import CampaignDeliveries, DeliveryCounts

HOURLY = Bound(Limit(6_000, 3_600.0), "its own")


def route(connection: str = "red", sent: int = 0, **fields: Any) -> RouteReport:
    by_status = {Status.SENT: sent, **fields.pop("states", {})}
    return RouteReport(
        connection, fields.pop("planned", sum(by_status.values())), by_status, **fields
    )


def statistics(**fields: Any) -> Statistics:
    defaults: dict[str, Any] = {
        "as_of": 1_764_000_000.0,
        "domains": [],
        "pace": None,
        "put_off": {},
        "replies": [],
        "other_replies": 0,
        "bounces": {},
    }
    return Statistics(**{**defaults, **fields})


def report(*routes: RouteReport, **fields: Any) -> Report:
    accepted = sum(part.planned for part in routes)
    defaults: dict[str, Any] = {
        "campaign": "spring",
        "read_rows": accepted,
        "accepted": accepted,
        "rejected": {},
        "statistics": statistics(),
    }
    return Report(routes=routes, **{**defaults, **fields})


def row(text: str, start: str) -> list[str]:
    """The cells of the first line of a table that starts with `start`."""
    line = next(line for line in text.splitlines() if line.startswith(f"| {start} |"))
    return [cell.strip() for cell in line.strip("|").split(" | ")]


def test_one_connection_has_a_row_and_a_sum() -> None:
    text = page(report(route(sent=7, states={Status.FAILED: 3})))
    assert row(text, "red") == ["red", "10", "100.00%", "7", "0", "3", "100.00%"]
    assert row(text, "**all**") == ["**all**", "10", "", "7", "0", "3", ""]
    assert "**7 of 10 sent, 3 failed**" in text
    assert "As of 2025-11-24 16:00:00 UTC." in text


def test_moves_are_listed_with_their_reason() -> None:
    moves = [
        Move("red", "green", MoveReason.WARM_UP, 6, 10),
        Move("red", "green", MoveReason.DOWN, 1, 4, at=1_764_000_000.0),
        Move("red", "green", MoveReason.DOWN, 1, 3, at=1_764_000_060.0),
    ]
    here, there = route(sent=2, planned=10), route("green", sent=18, planned=10)
    text = page(report(here, there, moves=moves))
    assert row(text, "red")[:5] == ["red", "10", "50.00%", "2", "2"]
    assert row(text, "green")[:5] == ["green", "10", "50.00%", "18", "18"]
    assert row(text, "**all**")[:5] == ["**all**", "20", "", "20", "20"]
    moved = text.partition("## Moved to another connection")[2]
    assert row(moved, "red") == ["red", "10", "8", "0", "2"]
    assert row(moved, "green") == ["green", "10", "0", "8", "18"]
    assert "- 6 recipients went from red to green: over the cap of red's warm-up" in text
    down = "- 2 recipients went from red to green: red was down, or rested too long"
    assert f"{down} (first at 2025-11-24 16:00:00 UTC)" in text
    assert "Moved" not in page(report(route(sent=2)))


def test_without_sent_mail_there_is_no_sent_share() -> None:
    text = page(report(route(states={Status.PENDING: 10})))
    assert row(text, "red") == ["red", "10", "100.00%", "0", "0", "0", "10", ""]
    assert "## Pace" not in text
    assert "## Most frequent replies" not in text


def test_an_empty_audience_has_a_page() -> None:
    assert "**0 of 0 sent**" in page(report(route()))


def test_twenty_connections_have_a_row_each() -> None:
    text = page(report(*(route(f"c{i}", sent=5) for i in range(20))))
    assert {row(text, f"c{i}")[6] for i in range(20)} == {"5.00%"}
    assert row(text, "**all**")[1] == "100"


def test_the_rate_is_that_of_the_run() -> None:
    text = page(report(route(sent=10, seconds=4.0, sent_now=8), route("green", sent=2)))
    assert row(text, "red")[-1] == "2.0"
    assert row(text, "green")[-1] == ""


def test_a_page_without_statistics_has_the_other_tables() -> None:
    text = page(report(route(sent=7), statistics=None))
    assert "## Connections" in text
    assert "## Audience" in text
    assert "As of" not in text


def test_pictures_and_the_file_are_on_the_page() -> None:
    text = page(
        report(
            route(sent=7), statistics=statistics(pace=AcceptedOverTime(0.0, 60, {"red": {0: 7}}))
        ),
        {PictureOf.PACE: "![pace](data:,)", PictureOf.SHARES: "![shares](data:,)"},
        "/home/me/reports/spring-1.html",
    )
    assert text.index("![shares]") < text.index("## Pace") < text.index("![pace]")
    assert "`/home/me/reports/spring-1.html`" in text


@pytest.mark.parametrize(
    ("limits", "shown"),
    [
        ({"red": [HOURLY]}, "6,000 an hour (its own)"),
        ({"red": []}, "none"),
        ({"green": []}, "not known"),  # the block of the connection is gone
    ],
)
def test_the_busiest_bucket_is_shown_beside_the_limits(
    limits: dict[str, list[Bound]], shown: str
) -> None:
    counted = statistics(pace=AcceptedOverTime(0.0, 300, {"red": {0: 70, 3: 90}}))
    text = page(report(route(sent=160), limits=limits, statistics=counted))
    assert row(text, "red | " + shown) == ["red", shown, "90"]
    assert "| most in 5 minutes |" in text


def test_a_report_that_knows_no_limits_has_no_column_for_them() -> None:
    counted = statistics(pace=AcceptedOverTime(0.0, 300, {"red": {0: 70, 3: 90}}))
    text = page(report(route(sent=160), statistics=counted))
    assert "| connection | most in 5 minutes |" in text


@pytest.mark.parametrize(
    ("last", "states", "said"),
    [
        (1_764_000_000.0, {}, "accepted at 2025-11-24 16:00:00 UTC, in time."),
        (1_764_000_190.0, {}, "accepted at 2025-11-24 16:03:10 UTC, 2 minutes later."),
        (1_764_000_000.0, {Status.PENDING: 3}, "accepted at 2025-11-24 16:00:00 UTC."),
        (None, {}, None),  # statistics of an earlier version
    ],
)
def test_the_finish_time_is_shown_beside_the_last_message(
    last: float | None, states: dict[Status, int], said: str | None
) -> None:
    counted = statistics(pace=AcceptedOverTime(0.0, 300, {"red": {0: 70}}, last))
    spread = report(route(sent=70, states=states), finish_at=1_764_000_060.0, statistics=counted)
    planned = "The campaign was to be finished by 2025-11-24 16:01:00 UTC."
    assert (planned in page(spread)) == (said is not None)
    if said:
        assert f"{planned} The last message so far was {said}" in page(spread)
    assert "was to be finished" not in page(replace(spread, finish_at=None))


def test_the_largest_domains_come_first_and_the_rest_last() -> None:
    counted = statistics(
        domains=[
            DomainOutcome(None, "red", Status.SENT, 90),
            DomainOutcome("small.example", "red", Status.FAILED, 1),
            DomainOutcome("large.example", "red", Status.SENT, 6),
            DomainOutcome("large.example", "red", Status.FAILED, 2),
            DomainOutcome("large.example", "green", Status.UNCERTAIN, 3),
        ],
        put_off={("large.example", "red"): 12, (None, "red"): 4},
    )
    text = page(report(route(sent=96), route("green"), statistics=counted))
    places = [text.index(beginning) for beginning in ("| large", "| small", "| all others")]
    assert places == sorted(places)
    shown = row(text, "large.example | red")
    assert shown == ["large.example", "red", "8", "6", "0", "2", "25.0%", "0", "12"]
    assert row(text, "large.example | green")[2:] == ["3", "0", "0", "0", "0.0%", "3", "0"]


def test_similar_replies_share_a_row_without_addresses() -> None:
    counted = statistics(
        replies=[
            ReplyCount(
                "gmail.com", "red", 550, "5.1.1 <ann@a.example>: unknown (id 4F3A21B)", 3, 0
            ),
            ReplyCount(
                "gmail.com", "green", 550, "5.1.1 <bob@b.example>: unknown (id 77C10E2)", 2, 0
            ),
            ReplyCount("gmail.com", "red", 450, "4.2.0 Greylisted, try again in 299 seconds", 0, 9),
            ReplyCount("gmail.com", "red", None, "the link broke", 1, 0),
        ],
        other_replies=4,
    )
    text = page(report(route(sent=1), statistics=counted))
    assert r"| 550 5.1.1 \<address\>: unknown (id …) | green, red | 5 | 0 |" in text
    assert "| 450 4.2.0 Greylisted, try again in … seconds | red | 0 | 9 |" in text
    assert "| the link broke | red | 1 | 0 |" in text
    assert "Rarer replies: 4." in text
    assert "@" not in text


def test_the_most_frequent_replies_are_listed_by_domain() -> None:
    """For each of the largest domains, the most frequent replies and the sum of the rest."""
    words = ["rate limited", "greylisted for user@gmail.com", "try later", "busy", "full"]
    counted = statistics(
        domains=[
            DomainOutcome("web.de", "red", Status.SENT, 5),
            DomainOutcome("gmail.com", "red", Status.SENT, 60),
            DomainOutcome(None, "red", Status.SENT, 900),
        ],
        replies=[
            *(ReplyCount("gmail.com", "red", 450, word, 0, 9 - i) for i, word in enumerate(words)),
            ReplyCount("gmail.com", "green", 450, "rate limited", 1, 2),
            ReplyCount("web.de", "red", 550, "no such user", 3, 0),
            ReplyCount(None, "red", 550, "somewhere else", 3, 0),
        ],
    )
    text = page(report(route(sent=65), statistics=counted))
    said = text.partition("## Replies by domain")[2].partition("\n## ")[0]
    assert [line for line in said.splitlines() if line.startswith("| ")][2:] == [
        "| gmail.com | 450 rate limited | green, red | 1 | 11 |",
        "| gmail.com | 450 greylisted for \\<address\\> | red | 0 | 8 |",
        "| gmail.com | 450 try later | red | 0 | 7 |",
        "| gmail.com | rarer replies |  | 0 | 11 |",
        "| web.de | 550 no such user | red | 3 | 0 |",
    ]


def test_deferred_recipients_are_shown_as_still_waiting() -> None:
    text = page(report(route(sent=7, states={Status.DEFERRED: 2, Status.PENDING: 1})))
    assert "**7 of 10 sent, 2 still waiting, 1 pending**" in text
    assert "deferred" not in text


def test_ten_replies_are_shown_and_the_others_counted() -> None:
    words = [f"no {letter}" for letter in "abcdefghijkl"]
    replies = [ReplyCount("gmail.com", "red", 550, word, 20 - i, 0) for i, word in enumerate(words)]
    text = page(report(route(sent=1), statistics=statistics(replies=replies)))
    assert "| 550 no j |" in text
    assert "| 550 no k |" not in text
    assert "Rarer replies: 19." in text


def test_bounces_are_shown_by_connection() -> None:
    bounces = {"red": {"hard": 3, "complaint": 1}, "": {"soft": 1}}
    text = page(report(route(sent=40), statistics=statistics(bounces=bounces)))
    assert row(text, "red | 3") == ["red", "3", "0", "1", "10.00%"]
    assert row(text, "not known") == ["not known", "0", "1", "0", ""]


def test_suppressed_recipients_are_counted_by_reason() -> None:
    text = page(
        report(
            route(sent=5, states={Status.SUPPRESSED: 3}),
            read_rows=15,
            rejected={"suppressed": 7},
            held_back={"manual": 7},
            suppressed_since={"unsubscribed": 2, "bounced": 1},
        )
    )
    assert row(text, "15") == ["15", "8", "7"]
    assert "Suppressed 7: 7 manual." in text
    assert "Suppressed since the launch 3: 2 unsubscribed, 1 bounced." in text


def test_warm_ups_are_shown() -> None:
    day = WarmUpDay("red", "", date(2026, 1, 5), 50, 60, 2)
    text = page(report(route(sent=50), warm_ups=[day]))
    assert row(text, "red | 2026-01-05") == ["red", "2026-01-05", "all", "50", "60", "2 days"]


def test_a_warm_up_names_its_largest_providers() -> None:
    day = WarmUpDay("red", "", date(2026, 1, 5), 150, None, 0)
    providers = [replace(day, provider=f"host{i}.net", planned=i, cap=20) for i in range(1, 13)]
    google = replace(day, provider="google", planned=20, cap=20)
    text = page(report(route(sent=50), warm_ups=[day, *providers, google]))
    assert row(text, "red | 2026-01-05 | Google")[2:] == ["Google", "20", "20", ""]
    assert "| host4.net | 4 |" in text
    assert "host3.net" not in text
    assert "3 smaller providers are left out." in text


EVERYTHING_DONE: list[tuple[Status, tuple[str, ...]]] = [
    (Status.SENT, ()),
    (Status.SUPPRESSED, ()),
    (Status.CANCELLED, ()),
]
TO_DO: list[tuple[Status, tuple[str, ...]]] = [
    (Status.PENDING, ("`send-campaign`", "`mailsluice send`")),
    (Status.DEFERRED, ("`send-campaign`", "`mailsluice send`")),
    (Status.UNCERTAIN, ("`resolve-uncertain`", "`export-campaign`", "`mailsluice resolve`")),
    (Status.FAILED, ("`export-campaign`", "`mailsluice export`")),
]


@pytest.mark.parametrize(("status", "named"), EVERYTHING_DONE + TO_DO)
def test_next_steps_name_the_deployment_and_the_command(
    status: Status, named: tuple[str, ...]
) -> None:
    text = page(report(route(states={status: 3}), statistics=None))
    assert ("## What to do next" in text) == bool(named)
    assert all(name in text for name in named)


def test_a_connection_that_is_down_is_listed_without_addresses() -> None:
    text = page(report(route(states={Status.PENDING: 3}, down="login: 535 no ann@a.example")))
    assert "**red is down**" in text
    assert "`verify-connection`" in text
    assert r"- **red**: login: 535 no \<address\>" in text


def test_bounces_and_comparison_are_next_steps_when_they_apply() -> None:
    text = page(report(route(sent=1), route("green", sent=1)))
    assert "`collect-bounces`" in text
    assert "`mailsluice events serve`" in text
    assert "`compare-connections`" in text
    assert "compare-connections" not in page(report(route(sent=1)))


def test_names_are_escaped_and_addresses_in_them_hidden() -> None:
    text = page(report(route("<b>|`x`", sent=1), campaign="<script>*a*</script> ann@a.example"))
    assert text.startswith(r"# \<script\>\*a\*\</script\> \<address\>")
    assert r"| \<b\>\|\`x\` | 1 |" in text
    assert "@" not in text


@given(st.floats(0, 4e7))
def test_a_span_has_at_most_about_200_buckets(span: float) -> None:
    length = bucket_seconds(span)
    assert span / length <= 201
    assert length % 60 == 0 or span < 300 or length == 1


@pytest.mark.parametrize(
    ("span", "length"),
    [
        (0, 1),  # one message
        (10, 1),
        (299, 2),
        (300, 60),  # limits are of minutes
        (200 * 60, 60),
        (200 * 60 + 1, 120),
        (86_400, 600),
        (7 * 86_400, 3_600),
        (365 * 86_400, 2 * 86_400),
    ],
)
def test_buckets_have_round_lengths(span: float, length: int) -> None:
    assert bucket_seconds(span) == length


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(1, "1 second"), (30, "30 seconds"), (60, "1 minute"), (7_200, "2 hours"), (86_400, "1 day")],
)
def test_lengths_of_time_are_shown_in_words(seconds: int, text: str) -> None:
    assert span_text(seconds) == text


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        # what servers really say, with what varies
        (
            "5.1.1 The account does not exist.\n5.1.1 See https://support.google.com/mail/?p=NoSuch"
            " d2e1a72fcca58-7af7e1b2c1asi1234567b3a.12 - gsmtp",
            "5.1.1 The account does not exist. See https://support.google.com/mail/?p=NoSuch … -"
            " gsmtp",
        ),
        (
            "4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred",
            "4.7.0 [TSS04] Messages from … temporarily deferred",
        ),
        ("5.7.26 Unauthenticated, see RFC 5322", "5.7.26 Unauthenticated, see RFC 5322"),
        ("4.3.2 try again (S2017062302)", "4.3.2 try again (…)"),
        ("4.2.0 again in 5 minutes", "4.2.0 again in … minutes"),
        ("Mailbox full", "Mailbox full"),
        ("", ""),
    ],
)
def test_variable_parts_of_a_reply_are_left_out(said: str, kept: str) -> None:
    assert alike(said) == kept


def test_long_replies_are_cut() -> None:
    assert len(alike("no " * 10_000)) == 160


_counts = st.builds(
    ReplyCount,
    st.sampled_from(["gmail.com", None]),
    st.sampled_from(["red", "green"]),
    st.sampled_from([450, 550, None]),
    st.sampled_from(["no", "no <a@b.example>", "no <c@d.example>", "later"]),
    st.integers(0, 9),
    st.integers(0, 9),
)


@given(st.lists(_counts))
def test_grouping_loses_no_reply(counts: list[ReplyCount]) -> None:
    found = grouped(counts)
    assert sum(group.failed for group in found) == sum(group.failed for group in counts)
    assert sum(group.deferred for group in found) == sum(group.deferred for group in counts)
    assert len({(group.code, group.text) for group in found}) == len(found)
    sizes = [group.failed + group.deferred for group in found]
    assert sizes == sorted(sizes, reverse=True)


def test_deliveries_add_up_to_the_accepted_messages() -> None:
    delivered, bounced, complained = (
        DeliveryState.DELIVERED,
        DeliveryState.BOUNCED,
        DeliveryState.COMPLAINED,
    )
    counts = DeliveryCounts(
        {delivered: 900, bounced: 50, complained: 2, DeliveryState.DEFERRED: 8},
        {FailureKind.HARD: 30, FailureKind.BLOCK: 20},
        median_seconds=4.2,
        p95_seconds=5_400.0,
    )
    known = CampaignDeliveries({"red": counts}, counts)
    routes = (route("red", 1_000), route("green", 30), route("blue"))
    text = page(report(*routes, statistics=statistics(deliveries=known)))
    assert "| red | 1,000 | 902 | 8 | 50 | 0 | 40 | 2 | 0 | 4 s | 90 min |" in text
    assert "| green | 30 | 0 | 0 | 0 | 0 | 30 | 0 | 0 |  |  |" in text
    assert "| **all** | 1,030 | 902 | 8 | 50 | 0 | 70 | 2 | 0 | 4 s | 90 min |" in text
    assert "| blue | 0 | 0 | 0 |" not in text  # no mail went over it
    assert "Of the bounces, 20 blame the sender or the content." in text
    assert "Deliveries" not in page(report(route("red", 1_000)))


def test_a_page_is_refreshed_with_later_deliveries_and_bounces_alone() -> None:
    def deliveries(number: int) -> CampaignDeliveries:
        counts = DeliveryCounts({DeliveryState.DELIVERED: number}, {}, 1.0, 2.0)
        return CampaignDeliveries({"red": counts}, counts)

    run = report(route("red", 1_000, seconds=10.0, sent_now=1_000), digest="d1")
    first = page(run, links=())
    assert "rate/s" in first
    stored = report(route("red", 1_000))
    once = refreshed(first, stored, statistics(deliveries=deliveries(5)))
    bounced = {"red": {"hard": 3}}
    twice = refreshed(once, stored, statistics(deliveries=deliveries(7), bounces=bounced))
    assert "| red | 1,000 | 5 |" in once
    assert "| red | 1,000 | 7 |" in twice
    assert twice.count("## Deliveries") == twice.count("## Bounces and complaints") == 1
    headings = [line for line in twice.splitlines() if line.startswith("## ")]
    assert headings[-3:] == [
        "## Deliveries, as reported by the providers",
        "## Bounces and complaints",
        "## Audience",
    ]
    assert [line for line in first.splitlines() if line not in twice.splitlines()] == []
    assert refreshed(twice, stored, statistics()) == twice


def test_the_page_of_another_campaign_is_not_refreshed() -> None:
    counts = DeliveryCounts({DeliveryState.DELIVERED: 1}, {})
    later = statistics(deliveries=CampaignDeliveries({"red": counts}, counts))
    text = page(report(route("red", 10), campaign="Spring"))
    assert refreshed(text, report(route("red", 10)), later) == text
