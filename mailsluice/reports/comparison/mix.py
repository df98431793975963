"""Pairs of connections whose rates depend on which mail is counted. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from mailsluice.reports.comparison.contrast import Contrast
from mailsluice.reports.comparison.observed import Measure

Rates = Mapping[tuple[str, Measure], float]


def mix_notes(
    contrasts: Sequence[Contrast], of_all_mail: Rates, smallest_difference: float
) -> Iterator[str]:
    """Notes on pairs of connections whose mail went to different campaigns and mailbox providers.

    A pair is noted when the difference of its rates over all mail and the difference over the same
    mix of campaigns and mailbox providers have different signs, or are further apart than
    `smallest_difference`. `of_all_mail` holds the rates over all mail.
    """
    for contrast in contrasts:
        first, second = (
            of_all_mail[name, contrast.measure] for name in (contrast.first, contrast.second)
        )
        crude, alike = first - second, contrast.difference
        if crude * alike < 0 or abs(crude - alike) >= smallest_difference:
            yield (
                f"{contrast.first} and {contrast.second}, {contrast.measure.value}: {first:.2%} and"
                f" {second:.2%} of all their mail, {contrast.rates[0]:.2%} and"
                f" {contrast.rates[1]:.2%} over the same mix of campaigns and mailbox providers."
                " The mail of which this is known is of different campaigns or mailbox providers:"
                " rely on the tests, which compare mail of the same campaign and provider"
            )
