"""Metrics as text, made with Prometheus' own library, in pieces of a hundred samples.

Loaded when somebody asks for metrics for the first time: a broker that nobody watches needs no memory for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib.metadata import version
from itertools import accumulate
from typing import Final, TypeAlias

from prometheus_client.core import HistogramMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from leveret.management.http.slices import in_chunks
from leveret.management.metrics.families import COUNTER, Description
from leveret.management.metrics.node_metrics import Measured, Valued

Sample: TypeAlias = tuple[dict[str, str], int | float]

SAMPLES: Final = 100  # rendered at once, which takes well below a millisecond
TOTAL: Final = "_total"
HEAD_LINES: Final = 2  # HELP and TYPE, which stand before the first piece alone
CLIENT_VERSION: Final = version("prometheus_client")


class Collected(Collector):
    """Metrics that were collected already."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics: Final = metrics

    def collect(self) -> Iterable[Metric]:
        """The metrics."""
        return self._metrics


def pieces_of(prefix: str, description: Description, samples: Iterable[Sample]) -> Iterator[bytes]:
    """The text of one metric."""
    name = prefix + description.name
    family = name.removesuffix(TOTAL) if description.kind == COUNTER else name
    first = True
    for chunk in in_chunks(samples, SAMPLES):
        metric = Metric(family, description.help, description.kind)
        for labels, value in chunk:
            metric.add_sample(name, labels, value)
        text = generate_latest(Collected([metric]))
        yield text if first else text.split(b"\n", HEAD_LINES)[HEAD_LINES]
        first = False
    if first:
        yield generate_latest(Collected([Metric(family, description.help, description.kind)]))


def text_of(prefix: str, metrics: Iterable[Valued]) -> bytes:
    """The text of metrics that have few values."""
    return b"".join([piece for valued in metrics for piece in pieces_of(prefix, valued.description, valued.samples)])


def text_of_histograms(histograms: Iterable[Measured]) -> bytes:
    """The text of histograms."""
    return generate_latest(Collected([histogram_metric(measured) for measured in histograms]))


def histogram_metric(measured: Measured) -> HistogramMetricFamily:
    """A histogram with counts that add up, as Prometheus has them."""
    counts = list(accumulate(measured.counts))
    bounds = [*map(str, measured.bounds), "+Inf"]
    metric = HistogramMetricFamily(measured.name, measured.help, labels=list(measured.labels))
    metric.add_metric(list(measured.labels.values()), list(zip(bounds, counts, strict=True)), measured.total)
    return metric
