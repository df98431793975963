"""Where rates of all mail and rates over the same mix of campaigns and domains tell apart. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from mailsluice.reports.comparison.contrast import Contrast
from mailsluice.reports.comparison.observed import Measure

Rates = Mapping[tuple[str, Measure], float]


def mix_notes(
    contrasts: Sequence[Contrast], of_all_mail: Rates, smallest_difference: float
) -> Iterator[str]:
    """Sentences about pairs whose mail was mixed so differently that the two rates disagree.

    `of_all_mail` are the rates by connection and measure. They disagree where their differences
    have other signs, or are further apart than matters.
    """
    for one in contrasts:
        first, second = (of_all_mail[name, one.measure] for name in (one.first, one.second))
        crude, alike = first - second, one.difference
        if crude * alike < 0 or abs(crude - alike) >= smallest_difference:
            yield (
                f"{one.first} and {one.second}, {one.measure.value}: {first:.2%} and {second:.2%}"
                f" of all their mail, {one.rates[0]:.2%} and {one.rates[1]:.2%} over the same mix"
                " of campaigns and domains. Their mail went to different ones: the tests, which"
                " compare like with like, are what counts"
            )
