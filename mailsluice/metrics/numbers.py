"""The values of metrics at one moment, which can be added up and stored. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping
from typing import Any, Self

from mailsluice.metrics.catalogue import CATALOGUE, Kind, Metric

Labels = tuple[str, ...]
"""The values of a metric's labels, in their order."""


class Numbers:
    """For each metric, the numbers of each combination of label values."""

    def __init__(self) -> None:
        self._values: dict[str, dict[Labels, list[float]]] = {}

    def add(self, metric: Metric, *labels: str, amount: float = 1.0) -> None:
        """Add to a counter or a gauge; an amount of 0 makes the metric appear."""
        self._of(metric, labels)[0] += amount

    def observe(self, metric: Metric, *labels: str, value: float) -> None:
        """Count an observation in a histogram."""
        numbers = self._of(metric, labels)
        numbers[bisect_left(metric.bounds, value)] += 1
        numbers[-1] += value

    def of(self, metric: Metric) -> Mapping[Labels, list[float]]:
        """The numbers of a metric by its label values.

        A histogram's are the counts of each bucket alone, that of the bucket beyond the bounds, and
        the sum of the values that were observed.
        """
        return self._values.get(metric.name, {})

    def __iter__(self) -> Iterator[Metric]:
        """The metrics that have a value, in the order of the catalogue."""
        return (metric for name, metric in CATALOGUE.items() if name in self._values)

    def __iadd__(self, more: Numbers) -> Self:
        for metric in more:
            for labels, numbers in more.of(metric).items():
                own = self._of(metric, labels)
                own[:] = map(float.__add__, own, numbers)
        return self

    def lasting(self) -> Numbers:
        """The counters and histograms alone: they remain when a process ends."""
        kept = Numbers()
        for metric in self:
            if metric.kind is not Kind.GAUGE:
                kept._values[metric.name] = self._values[metric.name]
        return kept

    def dumped(self) -> dict[str, list[Any]]:
        """The numbers as JSON can hold them."""
        return {name: [*map(list, values.items())] for name, values in self._values.items()}

    @classmethod
    def loaded(cls, dumped: Mapping[str, Any]) -> Self:
        """Read what `dumped` wrote; metrics that another version knew otherwise are left out.

        Raises ValueError, TypeError or AttributeError where the value is something else.
        """
        loaded = cls()
        for name, values in dumped.items():
            metric = CATALOGUE.get(name)
            for labels, numbers in values if metric else ():
                if metric and len(labels) == len(metric.labels) and len(numbers) == metric.size:
                    key = tuple(map(str, labels))
                    loaded._of(metric, key)[:] = map(float, numbers)
        return loaded

    def _of(self, metric: Metric, labels: Labels) -> list[float]:
        of_metric = self._values.setdefault(metric.name, {})
        return of_metric.setdefault(labels, [0.0] * metric.size)
