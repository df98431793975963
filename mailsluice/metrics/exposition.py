"""Metrics as text: in OpenMetrics, or in Prometheus's older format, as the reader asks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib.metadata import version
from itertools import accumulate

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.core import Metric as Family
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from mailsluice.metrics.catalogue import BUILD, Kind, Metric
from mailsluice.metrics.numbers import Labels, Numbers


class Exposition(Collector):
    """Numbers for `prometheus_client`, with the version of Mailsluice."""

    def __init__(self, numbers: Numbers) -> None:
        self._numbers = numbers

    def collect(self) -> Iterator[Family]:
        """Yield the metrics in the order of the catalogue."""
        for metric in self._numbers:
            yield _family(metric, self._numbers.of(metric).items())
        yield _family(BUILD, [((version("mailsluice"),), [1.0])])


def exposed(numbers: Numbers, accept: str = "") -> tuple[bytes, str]:
    """The text for a reader with this Accept header, and its content type."""
    encode, content_type = choose_encoder(accept)
    return encode(Exposition(numbers)), content_type


def _family(metric: Metric, values: Iterable[tuple[Labels, list[float]]]) -> Family:
    unit = "seconds" if metric.name.endswith("_seconds") else ""
    if metric.kind is Kind.HISTOGRAM:
        histogram = HistogramMetricFamily(metric.name, metric.help, labels=metric.labels, unit=unit)
        bounds = [*map(floatToGoString, metric.bounds), "+Inf"]
        for labels, (*counts, total) in values:
            buckets = list(zip(bounds, accumulate(counts), strict=True))
            histogram.add_metric(labels, buckets, total)
        return histogram
    make = CounterMetricFamily if metric.kind is Kind.COUNTER else GaugeMetricFamily
    family = make(metric.name, metric.help, labels=metric.labels, unit=unit)
    for labels, (value,) in values:
        family.add_metric(labels, value)
    return family
