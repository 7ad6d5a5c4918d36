"""Families, names, types and labels are those of RabbitMQ 4, where Leveret has something to tell."""

from __future__ import annotations

import pytest

from tests.metrics.rabbitmq_4 import (
    ABSENT,
    CLUSTER_FAMILIES,
    FAMILIES,
    GLOBAL,
    TOTALS,
    all_names,
    is_told,
    kind,
    labels_of,
    told_names,
)
from tests.metrics.scraping import scrape
from tests.support.broker_process import BrokerProcess

IDENTITY = {"rabbitmq_build_info", "rabbitmq_identity_info"}
QUEUE_INFO = "rabbitmq_detailed_queue_info"
OF_OLD = {  # which RabbitMQ 4 has no more
    "node_coarse_metrics": {"process_open_tcp_sockets"},
    "node_metrics": {"process_max_tcp_sockets"},
}
WITHOUT_VALUE = {"queue_messages_persistent", "queue_messages_persistent_bytes"}  # of durable queues with messages

pytestmark = pytest.mark.usefixtures("traffic")


@pytest.mark.parametrize("family", [*FAMILIES, *CLUSTER_FAMILIES])
def test_a_family_alone(leveret: BrokerProcess, family: str) -> None:
    told = scrape(leveret.metrics_port, f"/metrics/detailed?family={family}")
    prefix = "rabbitmq_cluster_" if family in CLUSTER_FAMILIES else "rabbitmq_detailed_"
    names = {prefix + name for name in (*told_names(family), *OF_OLD.get(family, ()))}
    with_info = family in ("queue_coarse_metrics", "queue_consumer_count", "queue_metrics")
    assert set(told.types) == names | IDENTITY | ({QUEUE_INFO} if with_info else set())
    for name in names:
        assert told.types[name] == kind(name)
        if name.removeprefix(prefix) not in WITHOUT_VALUE:
            labels = {frozenset(label for label, _ in of_it) for of_it in told.of(name)}
            extra = {"vhost"} if family == "channel_queue_metrics" else set()  # of the channel
            assert labels == {frozenset(labels_of(family) | extra)}, name


def test_every_family_that_is_summed_is_in_both_other_answers(leveret: BrokerProcess) -> None:
    for path in ("/metrics", "/metrics/per-object"):
        types = scrape(leveret.metrics_port, path).types
        for family in FAMILIES:
            for name in told_names(family):
                if (path, name) != ("/metrics", "queue_head_message_timestamp"):
                    assert types[f"rabbitmq_{name}"] == kind(name), (path, name)


def test_what_has_no_family(leveret: BrokerProcess) -> None:
    for path in ("/metrics", "/metrics/per-object"):
        told = scrape(leveret.metrics_port, path)
        for labels, names in GLOBAL:
            for name in filter(is_told, names.split()):
                full = f"rabbitmq_global_messages_{name}"
                assert told.types[full] == "counter" and told.label_names(full) == labels
        for name in TOTALS.split():
            assert told.types[f"rabbitmq_{name}"] == "gauge" and told.value(f"rabbitmq_{name}") >= 0


def test_what_a_queue_is(leveret: BrokerProcess) -> None:
    for path, name in {
        "/metrics/per-object": "rabbitmq_queue_info",
        "/metrics/detailed?family=queue_coarse_metrics&family=queue_metrics": QUEUE_INFO,
    }.items():
        told = scrape(leveret.metrics_port, path)
        for queue, queue_type in {"work": "rabbit_classic_queue", "rest": "rabbit_quorum_queue"}.items():
            assert told.value(name, vhost="/", queue=queue, queue_type=queue_type, membership="leader") == 1
    assert "rabbitmq_queue_info" not in scrape(leveret.metrics_port).types


def test_exchanges_that_nobody_can_bind_to_are_not_named(leveret: BrokerProcess) -> None:
    told = scrape(leveret.metrics_port, "/metrics/detailed?family=exchange_names&family=exchange_bindings")
    for name in ("rabbitmq_cluster_exchange_name", "rabbitmq_cluster_exchange_bindings"):
        exchanges = {dict(labels)["exchange"] for labels in told.of(name)}
        assert "amq.topic" in exchanges and exchanges.isdisjoint({"", "amq.rabbitmq.trace"})


def test_each_reason_for_leaving_out_is_one_for_something() -> None:
    for part in ABSENT:
        assert any(part in name for name in all_names()), part
