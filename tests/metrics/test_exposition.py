"""The samples of objects as text: as Prometheus' own library would render them."""

from __future__ import annotations

import pytest
from prometheus_client.core import Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import CollectorRegistry

from leveret.management.metrics.exposition import SAMPLES, Collected, pieces_of, text_of_labels
from leveret.management.metrics.families import COUNTER, GAUGE, UNTYPED, Description

LABELS: tuple[dict[str, str], ...] = ({}, {"vhost": "/", "queue": 'a"b\\c\nd é{}'}, {"b": "", "a": 'x,y="1"'})
VALUES = (0, 1, 0.5, 1.0, 999_999, 1_000_000, 12_345_678, 2**53, 2**63, -1, 1e-9, 1e22)


@pytest.mark.parametrize("count", [0, 1, 2 * SAMPLES + 1])
@pytest.mark.parametrize("kind", [COUNTER, GAUGE, UNTYPED])
def test_samples_are_rendered_as_by_the_library(kind: str, count: int) -> None:
    family = "rabbitmq_thing"
    name = family + ("_total" if kind == COUNTER else "")
    samples = [(LABELS[at % len(LABELS)], VALUES[at % len(VALUES)]) for at in range(count)]
    metric = Metric(family, 'help with "quotes" and \\', kind)
    for labels, value in samples:
        metric.add_sample(name, labels, value)
    registry = CollectorRegistry()
    registry.register(Collected([metric]))
    description = Description(name.removeprefix("rabbitmq_"), kind, metric.documentation)
    text = b"".join(pieces_of("rabbitmq_", description, [(text_of_labels(labels), value) for labels, value in samples]))
    assert text == generate_latest(registry)


def test_a_name_that_is_not_utf_8_spoils_no_scrape() -> None:
    description = Description("thing", GAUGE, "help")
    samples = [(text_of_labels({"queue": b"\xffq".decode("utf-8", "surrogateescape")}), 1)]
    assert b"".join(pieces_of("", description, samples)).endswith('thing{queue="\ufffdq"} 1.0\n'.encode())
