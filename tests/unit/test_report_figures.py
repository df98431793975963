"""The pictures of a report: small PNGs with an alternative text."""

from __future__ import annotations

import re
from base64 import b64decode
from io import BytesIO

import pytest
from PIL import Image

from mailsluice.core.status import RecipientStatus as Status
from mailsluice.limits import Bound, Limit
from mailsluice.reports.campaign import AcceptedOverTime, PictureOf, Report, page
from mailsluice.reports.campaign.figures import pictures
from tests.unit.test_report import report, route, statistics

MOST_BYTES = 60_000
MOST_BYTES_OF_A_PAGE = 400_000
LIMITS = [Bound(Limit(100, 60.0), "its own"), Bound(Limit(4_200, 3_600.0), "the campaign's")]


def image(markdown: str) -> Image.Image:
    """Decode a picture completely, as a viewer would."""
    found = re.fullmatch(r"!\[.+\]\(data:image/png;base64,(.+)\)", markdown)
    assert found
    data = b64decode(found[1], validate=True)
    assert len(data) < MOST_BYTES
    picture = Image.open(BytesIO(data))
    picture.load()
    assert picture.format == "PNG"
    return picture


def campaign(connections: int, buckets: int, seconds: int) -> Report:
    """A campaign sent at an uneven pace; one recipient in 20 failed."""
    names = [f"sendgrid_{i}" for i in range(connections)]
    sent = {
        name: {j: 40 + (j * 7919 + i * 104_729) % 50 for j in range(buckets)}
        for i, name in enumerate(names)
    }
    totals = {name: sum(counts.values()) for name, counts in sent.items()}
    return report(
        *(route(name, totals[name], states={Status.FAILED: totals[name] // 20}) for name in names),
        limits=dict.fromkeys(names, LIMITS),
        statistics=statistics(pace=AcceptedOverTime(1_764_000_000.0, seconds, sent)),
    )


@pytest.mark.parametrize(
    ("connections", "buckets", "seconds"),
    [
        (2, 1, 1),  # over within a second
        (2, 150, 1),
        (3, 200, 60),
        (20, 200, 3_600),  # eight days
        (100, 200, 86_400),  # as many as a campaign may have
    ],
)
def test_pictures_are_small_and_equally_wide(connections: int, buckets: int, seconds: int) -> None:
    made = campaign(connections, buckets, seconds)
    drawn = pictures(made)
    assert set(drawn) == set(PictureOf)
    assert {image(picture).width for picture in drawn.values()} == {770}
    assert len(page(made, drawn)) < MOST_BYTES_OF_A_PAGE


def test_the_background_is_white_on_a_dark_page() -> None:
    for markdown in pictures(campaign(2, 10, 60)).values():
        picture = image(markdown).convert("RGBA")
        assert picture.getpixel((0, 0)) == (255, 255, 255, 255)


def test_without_sent_mail_only_outcomes_are_drawn() -> None:
    drawn = pictures(report(route(states={Status.PENDING: 5}), route("green")))
    assert set(drawn) == {PictureOf.OUTCOMES}
    assert set(pictures(report(route()))) == set()


def test_a_single_connection_has_no_picture_of_shares() -> None:
    assert set(pictures(campaign(1, 10, 60))) == {PictureOf.OUTCOMES, PictureOf.PACE}


def test_the_alternative_text_states_the_finding() -> None:
    counted = statistics(
        pace=AcceptedOverTime(0.0, 300, {"red": {0: 40, 1: 500}, "green": {0: 60}})
    )
    drawn = pictures(
        report(
            route("red", 540, states={Status.FAILED: 60}, planned=500),
            route("green", 60, planned=160),
            statistics=counted,
        )
    )
    assert "red differs most, by 14.2 percentage points" in drawn[PictureOf.SHARES]
    assert "most failures over red, 10.0%" in drawn[PictureOf.OUTCOMES]
    assert "accepted per minute: at most 100, over red" in drawn[PictureOf.PACE]


def test_names_in_pictures_are_escaped_and_masked() -> None:
    name = "$x_{$ [a](b) ann@a.example"
    counted = statistics(pace=AcceptedOverTime(0.0, 60, {name: {0: 5}}))
    drawn = pictures(report(route(name, 5), route("$", 1), statistics=counted))
    for picture in drawn.values():
        assert "@" not in picture
        image(picture)
    assert r"over $x\_{$ \[a\](b) \<address\>]" in drawn[PictureOf.PACE]
