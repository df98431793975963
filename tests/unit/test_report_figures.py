"""The pictures of a report: small PNGs with an alternative text."""

from __future__ import annotations

import os
import re
from base64 import b64decode
from collections.abc import Mapping, Sequence
from functools import cache
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from mailsluice.core.status import RecipientStatus as Status
from mailsluice.limits import Bound, Limit
from mailsluice.reports.campaign import AcceptedOverTime, PictureOf, Report, page
from mailsluice.reports.campaign.figures import pictures
from mailsluice.reports.providers.counts import MOST_SHOWN, ProviderCounts, ProviderTally
from tests.thorough import thorough_only
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
        statistics=statistics(
            pace=AcceptedOverTime(1_764_000_000.0, seconds, sent), providers=providers(names)
        ),
    )


@cache
def pictured(connections: int, buckets: int, seconds: int) -> Mapping[PictureOf, str]:
    """Draw the pictures of such a campaign."""
    return pictures(campaign(connections, buckets, seconds))


def providers(connections: Sequence[str]) -> ProviderCounts:
    """As many providers as are told apart, with other shares on each connection."""
    names = [*(f"provider{i}.example" for i in range(MOST_SHOWN)), None]
    tallies = {}
    for i, name in enumerate(names):
        for j, connection in enumerate(connections):
            mail = 10_000 // (i + 1)
            refused, deferred = mail * (7 * i + 3 * j) % 11 * mail // 100, mail * (i + j) % 7
            accepted = mail - refused
            tallies[name, connection] = ProviderTally(
                mail, mail, accepted, deferred, refused, accepted, accepted * 9 // 10
            )
    return ProviderCounts(tallies)


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("connections", "buckets", "seconds"),
    [
        (2, 1, 1),  # over within a second
        *thorough_only(
            (2, 150, 1),
            (3, 200, 60),
            (20, 200, 3_600),  # eight days
            (100, 200, 86_400),  # as many as a campaign may have
        ),
    ],
)
def test_pictures_are_small_and_equally_wide(connections: int, buckets: int, seconds: int) -> None:
    drawn = pictured(connections, buckets, seconds)
    assert set(drawn) == set(PictureOf)
    assert {image(picture).width for picture in drawn.values()} == {770}
    assert len(page(campaign(connections, buckets, seconds), drawn)) < MOST_BYTES_OF_A_PAGE


def test_the_background_is_white_on_a_dark_page() -> None:
    for markdown in pictured(2, 150, 1).values():
        picture = image(markdown).convert("RGBA")
        assert picture.getpixel((0, 0)) == (255, 255, 255, 255)


def test_without_sent_mail_only_outcomes_are_drawn() -> None:
    drawn = pictures(report(route(states={Status.PENDING: 5}), route("green")))
    assert set(drawn) == {PictureOf.OUTCOMES}
    assert set(pictures(report(route()))) == set()


def test_a_single_connection_has_no_picture_of_shares() -> None:
    assert set(pictures(campaign(1, 10, 60))) == set(PictureOf) - {PictureOf.SHARES}


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


def heat_map(
    tallies: Mapping[tuple[str | None, str], ProviderTally], *connections: str
) -> str | None:
    counted = statistics(providers=ProviderCounts(tallies))
    routes = (route(name, 5) for name in connections)
    return pictures(report(*routes, statistics=counted)).get(PictureOf.PROVIDERS)


def test_the_heat_map_names_the_pair_with_most_trouble() -> None:
    calm = {("google", "red"): ProviderTally(90, 90, 90), (None, "green"): ProviderTally(5, 5, 5)}
    quiet = heat_map(calm, "red", "green")
    late = heat_map(
        calm | {("yahoo", "red"): ProviderTally(50, 50, 50, deferred=10)}, "red", "green"
    )
    bad = heat_map(calm | {(None, "red"): ProviderTally(8, 8, 7, 0, refused=1)}, "red", "green")
    assert quiet
    assert "no mail deferred or refused" in quiet
    assert late
    assert "most mail deferred by Yahoo and AOL over red, 20.0%" in late
    assert bad
    assert "most mail refused by smaller providers over red, 12.5%" in bad
    heights = [image(picture).height for picture in (quiet, late, bad)]
    assert heights[0] < heights[1] == heights[2]  # nothing was deferred or refused in the first


def test_the_heat_map_has_a_row_for_each_connection_and_a_column_for_each_provider() -> None:
    """It is the picture of docs/reading-the-report.md."""
    providers = ("google", "microsoft-business", "microsoft-consumer", "yahoo", "unresolved", None)
    tallies = {}
    for i, name in enumerate(providers):
        for j, connection in enumerate(("sendgrid", "sparkpost")):
            mail = 42_000 // (i + 1) * (7 - 4 * j) // 10
            refused = mail * (31 if name == "yahoo" else 4 + i) // 1_000
            deferred = mail * (220 if (i, j) == (1, 1) else 6 + 9 * i % 13) // 1_000
            accepted = mail - refused
            delivered = accepted * (996 - 3 * i - j) // 1_000
            tallies[name, connection] = ProviderTally(
                mail, mail, accepted, deferred, refused, accepted, delivered
            )
    markdown = heat_map(tallies, "sendgrid", "sparkpost")
    assert markdown
    picture = image(markdown)
    if folder := os.environ.get("MAILSLUICE_SCREENSHOTS"):
        picture.save(Path(folder) / "providers.png")
    one_row = heat_map({pair: tallies[pair] for pair in tallies if pair[1] == "sendgrid"}, "red")
    assert one_row
    assert image(one_row).height < picture.height
    assert "most mail refused by Yahoo and AOL over" in markdown


def test_names_in_the_heat_map_are_escaped_and_masked() -> None:
    """The name of a provider without a rule comes from a name server."""
    hostile = "$x_{$](b) ann@a.example"
    picture = heat_map(
        {(hostile, "$ ann@b.example"): ProviderTally(9, 9, 4, 0, 5)}, "$ ann@b.example"
    )
    assert picture
    assert "@" not in picture.partition("](data:")[0]
    image(picture)


def test_without_attempts_there_is_no_heat_map() -> None:
    assert heat_map({("google", "red"): ProviderTally(9)}, "red") is None
    assert heat_map({}, "red") is None
