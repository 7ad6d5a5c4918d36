"""Names, units and help texts follow Prometheus' conventions, as `promtool check metrics` looks for them."""

from __future__ import annotations

import pytest

from tests.metrics.rabbitmq_4 import CLUSTER_FAMILIES, FAMILIES
from tests.metrics.scraping import scrape
from tests.support.broker_process import BrokerProcess

OF_RABBITMQ = {"rabbitmq_unreachable_cluster_peers_count"}  # a gauge, which should not be called a count
DETAILED = "/metrics/detailed?" + "&".join(f"family={name}" for name in (*FAMILIES, *CLUSTER_FAMILIES))
OF_HISTOGRAMS = ("_count", "_sum", "_bucket")
NOT_BASE_UNITS = ("milliseconds", "microseconds", "minutes", "hours", "kilobytes", "megabytes", "bits", "octets")
KINDS = {"counter", "gauge", "histogram", "untyped"}

pytestmark = pytest.mark.usefixtures("traffic")


@pytest.mark.parametrize("path", ["/metrics", "/metrics/per-object", DETAILED])
def test_conventions(leveret: BrokerProcess, path: str) -> None:
    told = scrape(leveret.metrics_port, path)
    assert set(told.types.values()) <= KINDS and set(told.helps) == set(told.types) and all(told.helps.values())
    for name, kind in told.types.items():
        assert (kind == "counter") == name.endswith("_total"), name
        assert not name.endswith(OF_HISTOGRAMS) or name in OF_RABBITMQ, name
        assert not set(name.split("_")) & set(NOT_BASE_UNITS), name
        assert kind == "untyped" or kind not in name.split("_"), name
        for labels in told.of(name):
            assert not {"le", "quantile"} & dict(labels).keys(), name
    assert {name for name, _ in told.values} <= set(told.types) | {
        name + suffix for name, kind in told.types.items() if kind == "histogram" for suffix in OF_HISTOGRAMS
    }
