"""Seed tests: trends, falls below the least share, the page and its picture."""

from __future__ import annotations

import base64
import os
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mailsluice.core.outcome import Attempt, Phase
from mailsluice.operations.probes.authentication import Verdict, Verdicts
from mailsluice.operations.probes.delivered import Delivered, Placement
from mailsluice.operations.probes.result import Probed, ProbeResult
from mailsluice.operations.seed_test.figure import trend_picture
from mailsluice.operations.seed_test.result import SeedTestResult
from mailsluice.operations.seed_test.trend import below, falls, seed_copies, trends
from mailsluice.operations.send_test import Delivery, SendTestResult
from mailsluice.store.seed_copy import SeedCopy, StoredSeed

OK = Attempt(Phase.BODY, 250, "2.0.0 queued")
DAY = 86_400.0


def seeds(connection: str, *days: str) -> list[StoredSeed]:
    """Copies of a test each day, a letter for each: inbox, spam, missing."""
    placements = {"i": Placement.INBOX, "s": Placement.SPAM, "m": Placement.MISSING}
    return [
        StoredSeed(
            day * DAY, connection, placements[letter], None if letter == "m" else 3.0 + place
        )
        for day, letters in enumerate(days)
        for place, letter in enumerate(letters)
    ]


def test_a_trend_has_a_point_for_each_test_of_a_connection() -> None:
    by_connection = trends([*seeds("red", "iiis", "iimm"), *seeds("green", "ii")])
    assert [point.percent for point in by_connection["red"]] == [75, 50]
    assert [(point.spam, point.missing) for point in by_connection["red"]] == [(1, 0), (0, 2)]
    assert [point.delay_seconds for point in by_connection["red"]] == [4.5, 3.5]
    assert [point.copies for point in by_connection["green"]] == [2]


def test_a_test_in_which_all_is_missing_has_no_delay() -> None:
    (point,) = trends(seeds("red", "mm"))["red"]
    assert (point.percent, point.delay_seconds) == (0, None)


@pytest.mark.parametrize(
    ("days", "is_below", "has_fallen"),
    [
        (["iiii"], False, False),
        (["iiis"], True, True),  # the first test
        (["iiii", "iiis"], True, True),
        (["iiis", "iiis"], True, False),  # reported by the one before
        (["iiis", "iiii"], False, False),
        (["iiis", "iiii", "mmmm"], True, True),
        (["iiiis"], False, False),  # exactly the least share
    ],
)
def test_a_fall_is_reported_once(days: list[str], is_below: bool, has_fallen: bool) -> None:
    by_connection = trends(seeds("red", *days))
    assert bool(below(by_connection, ["red"], 80)) is is_below
    assert bool(falls(by_connection, ["red"], 80)) is has_fallen


def test_a_connection_that_this_test_knows_nothing_of_is_not_judged() -> None:
    assert below(trends(seeds("red", "ss")), ["green"], 80) == []


def delivered(placement: Placement) -> Delivered:
    verdicts = Verdicts(spf=Verdict("fail", "example.com", True), sender="example.com")
    return Delivered(placement, "Junk", 105.0, True, verdicts, "TLS 1.3", "")


COPIES = [
    Probed("red", "gmail", "Gmail", 100.0, delivered(Placement.INBOX)),
    Probed("red", "own", "", 100.0, delivered(Placement.SPAM)),
    Probed("red", "gone", "", 100.0, None),
    Probed("red", "away", "", 100.0, None, "the login was refused"),
    Probed("red", "full", "", None, None),
]


def test_only_copies_of_which_something_is_known_are_stored() -> None:
    assert seed_copies(COPIES) == [
        SeedCopy("red", "gmail", "Gmail", "inbox", 5.0, "fail", "", "", "TLS 1.3"),
        SeedCopy("red", "own", "", "spam", 5.0, "fail", "", "", "TLS 1.3"),
        SeedCopy("red", "gone", "", "missing", None),
    ]


def result(copies: list[Probed], *days: str) -> SeedTestResult:
    delivery = Delivery("red", [OK] * len(copies), names=[copy.probe for copy in copies])
    test = SendTestResult("weekly", [delivery], probes=ProbeResult(copies, 15))
    return SeedTestResult(test, trends(seeds("red", *days)), 80)


def test_the_page_names_who_is_below_and_shows_the_trend() -> None:
    seed_test = result(COPIES[:3], "iii", "ism")
    assert not seed_test.is_good
    assert seed_test.summary().startswith("below 80 % in the inbox: red (33 %). 3 of 3 copies")
    page = seed_test.markdown("![trend](data:)")
    assert "| red | 33 % | 1 | 1 | 3 | 4 s | 100 % |" in page
    assert "![trend](data:)" in page
    assert "SPF fails" in page


def test_a_mailbox_that_cannot_be_read_fails_the_test_and_lowers_no_share() -> None:
    assert result(COPIES[:1], "i").is_good
    assert not result([COPIES[0], COPIES[3]], "i").is_good
    assert result([COPIES[0], COPIES[3]], "i").below == []


def test_a_test_of_which_nothing_is_known_has_no_trend_of_its_own() -> None:
    seed_test = result([COPIES[3]], "ss")
    assert seed_test.below == []
    assert not seed_test.is_good
    assert "## Trend" not in seed_test.markdown("")


def test_the_picture_shows_each_connection() -> None:
    known = [*seeds("red", "iii", "ism"), *seeds("green", "iii", "mmm"), *seeds("a$b$", "ii")]
    picture = trend_picture(trends(known), 80)
    assert "red: 33 % in the inbox at last, after 4 s, 2 tests" in picture
    assert "green: 0 % in the inbox at last, 2 tests" in picture
    assert "0 % in the inbox at last, 1 test]" in trend_picture(trends(seeds("red", "m")), 80)
    data = re.search(r"base64,([^)]+)\)", picture)
    assert data
    assert base64.b64decode(data[1]).startswith(b"\x89PNG")


def test_the_picture_of_the_documentation() -> None:
    """Sixty days of two connections, one of which lost its reputation and got it back."""
    falling = ["iiiiiiii"] * 20 + ["iiiiiiss"] * 5 + ["iissssss"] * 10 + ["iiiiisss"] * 15
    known = [*seeds("sendgrid", *["iiiiiiii"] * 30, *["iiiiiiis"] * 20), *seeds("ses", *falling)]
    start = datetime(2026, 10, 1, 7, tzinfo=UTC).timestamp()
    later = [seed._replace(at=start + seed.at, delay_seconds=_delay(seed)) for seed in known]
    data = re.search(r"base64,([^)]+)\)", trend_picture(trends(later), 80))
    assert data
    if folder := os.environ.get("MAILSLUICE_SCREENSHOTS"):
        (Path(folder) / "seed-test.png").write_bytes(base64.b64decode(data[1]))


def _delay(seed: StoredSeed) -> float:
    day = seed.at // DAY
    return 4.0 + day % 3 + (40 + 7 * (day % 5) if seed.connection == "ses" and day > 20 else 0)
