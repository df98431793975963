"""Strata of a comparison: the mail of one campaign to one mailbox provider. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from mailsluice.mailbox_providers import title_of
from mailsluice.reports.comparison.observed import KNOWN, MAIL, NUMBERS, Measure

SMALL = 100
"""A provider with less mail than this in a campaign belongs to the stratum OTHERS ..."""
MOST_PROVIDERS = 20
"""... and so does a provider that is not among this many largest."""
OTHERS = "others"  # not a name of a provider or a domain

Counts = npt.NDArray[np.int64]
Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """Two connections in the k strata where both have mail."""

    names: tuple[str, ...]
    mail: Counts
    """(k, 2)"""
    events: Counts
    """(k, 2): mail with the outcome."""

    @property
    def weights(self) -> Numbers:
        """Weights (k,) of Mantel and Haenszel (1959), n1 n2 / (n1 + n2), scaled to the sum 1."""
        weights = self.mail.prod(1) / self.mail.sum(1)
        return np.asarray(weights / weights.sum(), np.float64)

    @property
    def rates(self) -> tuple[float, float]:
        """Rates of the first and second connection over the same mix of strata."""
        first, second = self.weights @ (self.events / self.mail)
        return float(first), float(second)

    @property
    def tables(self) -> Counts:
        """(k, 2, 2): a row for each connection with events and the rest."""
        return np.stack([self.events, self.mail - self.events], axis=2)


@dataclass(frozen=True, slots=True, eq=False)
class Strata:
    """The mail of c connections in k strata."""

    names: tuple[str, ...]
    connections: tuple[str, ...]
    mail: Mapping[str, Counts]
    """(k, c) each, by the names of Measure.of."""
    events: Mapping[Measure, Counts]
    """(k, c) each."""

    def pair(self, measure: Measure, first: str, second: str) -> Pair:
        """Two connections in the strata where both have mail."""
        columns = [self.connections.index(first), self.connections.index(second)]
        mail, events = self.mail[measure.of][:, columns], self.events[measure][:, columns]
        shared = np.flatnonzero((mail > 0).all(axis=1))
        names = tuple(self.names[i] for i in shared.tolist())
        return Pair(names, mail[shared], events[shared])


def stratify(counts: pd.DataFrame) -> Strata:
    """Make strata of `Observed.counts`: a campaign's large providers, and all others together.

    The strata depend on the amounts of mail, never on the outcomes.
    """
    table = counts.assign(provider=provider_strata(counts)).pivot_table(
        NUMBERS, ["campaign", "provider"], "connection", aggfunc="sum", fill_value=0
    )
    return Strata(
        names=tuple(f"{title_of(provider)} in {campaign}" for campaign, provider in table.index),
        connections=tuple(table[MAIL].columns),
        mail={of: table[of].to_numpy(np.int64) for of in (MAIL, KNOWN)},
        events={measure: table[measure.value].to_numpy(np.int64) for measure in Measure},
    )


def provider_strata(counts: pd.DataFrame) -> pd.Series[str]:
    """The provider of each row, or OTHERS where the provider has no stratum of its own."""
    sizes = counts.groupby(["campaign", "provider"])[MAIL].transform("sum")
    ranks = sizes.groupby(counts["campaign"]).rank(method="dense", ascending=False)
    return counts["provider"].where((sizes >= SMALL) & (ranks <= MOST_PROVIDERS), OTHERS)
