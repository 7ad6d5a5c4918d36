"""Metrics as text, in pieces of a thousand samples.

Prometheus' own library makes all but the samples of objects: it takes five times as long for a sample, and renders an
object's labels again for each of its metrics.

Loaded when somebody asks for metrics for the first time: a broker that nobody watches needs no memory for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib.metadata import version
from itertools import accumulate
from typing import Final, TypeAlias

from prometheus_client.core import HistogramMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from leveret.amqp.text import well_formed
from leveret.management.http.slices import in_chunks
from leveret.management.metrics.families import COUNTER, Description
from leveret.management.metrics.node_metrics import Measured, Valued

Sample: TypeAlias = tuple[str, int | float]  # with the labels as text

SAMPLES: Final = 1000  # rendered at once, which takes less than a millisecond
TOTAL: Final = "_total"
ESCAPED: Final = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})
number_text: Final[Callable[[float], str]] = floatToGoString  # which has no types
CLIENT_VERSION: Final = version("prometheus_client")


class Collected(Collector):
    """Metrics that were collected already."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics: Final = metrics

    def collect(self) -> Iterable[Metric]:
        """The metrics."""
        return self._metrics


def text_of_labels(labels: Mapping[str, str]) -> str:
    """Labels as they stand behind a metric's name."""
    if not labels:
        return ""
    return "{" + ",".join([f'{name}="{value.translate(ESCAPED)}"' for name, value in sorted(labels.items())]) + "}"


def pieces_of(prefix: str, description: Description, samples: Iterable[Sample]) -> Iterator[bytes]:
    """The text of one metric."""
    name = prefix + description.name
    family = name.removesuffix(TOTAL) if description.kind == COUNTER else name
    yield generate_latest(Collected([Metric(family, description.help, description.kind)]))
    for chunk in in_chunks(samples, SAMPLES):
        lines = [f"{name}{labels} {number_text(value)}\n" for labels, value in chunk]
        yield well_formed("".join(lines)).encode()


def text_of(prefix: str, metrics: Iterable[Valued]) -> bytes:
    """The text of metrics that have few values."""
    return b"".join(
        [
            piece
            for valued in metrics
            for piece in pieces_of(
                prefix, valued.description, [(text_of_labels(labels), value) for labels, value in valued.samples]
            )
        ]
    )


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
