"""What RabbitMQ's Grafana dashboards and its operator's alert rules ask for is there, with the labels they join by.

Every metric must have a value, since a panel without one stays empty, and exactly one identity, since two of them make
a join fail. Left out are the dashboards of Erlang, Raft and streams, and of load generators.
"""

from __future__ import annotations

import pytest

from tests.metrics.scraping import Scrape, scrape
from tests.support.broker_process import BrokerProcess

DETAILED = "/metrics/detailed?family=queue_coarse_metrics&family=queue_consumer_count"
IDENTITY = {"rabbitmq_identity_info": {"rabbitmq_node", "rabbitmq_cluster", "rabbitmq_endpoint"}}
BUILD = {
    "rabbitmq_build_info": {
        "rabbitmq_version",
        "erlang_version",
        "prometheus_client_version",
        "prometheus_plugin_version",
    }
}
NO_LABELS: set[str] = set()
NODE = (
    "resident_memory_limit_bytes process_resident_memory_bytes disk_space_available_bytes"
    " disk_space_available_limit_bytes process_max_fds process_open_fds process_max_tcp_sockets"
    " process_open_tcp_sockets erlang_uptime_seconds connections channels queues consumers queue_messages_ready"
    " queue_messages_unacked queues_declared_total queues_created_total queues_deleted_total channels_opened_total"
    " channels_closed_total connections_opened_total connections_closed_total"
)
CHANNELS = (  # which dashboards up to RabbitMQ 3.11 and the alert rules take
    "channel_consumers channel_messages_published_total channel_messages_confirmed_total"
    " channel_messages_unconfirmed channel_messages_unroutable_dropped_total"
    " channel_messages_unroutable_returned_total channel_messages_delivered_total channel_messages_delivered_ack_total"
    " channel_messages_redelivered_total channel_messages_acked_total channel_get_total channel_get_ack_total"
    " channel_get_empty_total queue_messages_published_total"
)
ALERTS = (
    "alarms_memory_used_watermark alarms_free_disk_space_watermark alarms_file_descriptor_limit"
    " unreachable_cluster_peers_count"
)
BY_PROTOCOL = (  # which dashboards take since
    "messages_received_total messages_received_confirm_total messages_confirmed_total messages_routed_total"
    " messages_unroutable_dropped_total messages_unroutable_returned_total publishers consumers"
)
BY_QUEUE_TYPE = (
    "delivered_total delivered_consume_auto_ack_total delivered_consume_manual_ack_total redelivered_total"
    " acknowledged_total delivered_get_auto_ack_total delivered_get_manual_ack_total get_empty_total"
)
SIZE_BOUNDS = ("100", "1000", "10000", "100000", "1000000", "10000000", "50000000", "100000000", "+Inf")


def asked_for() -> dict[str, set[str]]:
    """The metrics of `/metrics`, with the labels that they have to have and no other."""
    asked = {f"rabbitmq_{name}": NO_LABELS for names in (NODE, CHANNELS, ALERTS) for name in names.split()}
    asked |= {f"rabbitmq_global_{name}": {"protocol"} for name in BY_PROTOCOL.split()}
    asked |= {f"rabbitmq_global_messages_{name}": {"protocol", "queue_type"} for name in BY_QUEUE_TYPE.split()}
    sizes = "rabbitmq_message_size_bytes"
    return asked | {f"{sizes}_sum": {"protocol"}, f"{sizes}_count": {"protocol"}, f"{sizes}_bucket": {"protocol", "le"}}


pytestmark = pytest.mark.usefixtures("traffic")


@pytest.fixture(scope="module")
def told(leveret: BrokerProcess, traffic: None) -> Scrape:
    return scrape(leveret.metrics_port)


@pytest.mark.parametrize("name", asked_for())
def test_it_has_values_with_the_labels_of_the_queries(told: Scrape, name: str) -> None:
    labels = {frozenset(label for label, _ in of_it) for of_it in told.of(name)}
    assert labels == {frozenset(asked_for()[name])}


@pytest.mark.parametrize("path", ["/metrics", "/metrics/per-object", DETAILED])
def test_there_is_one_identity_to_join_with(leveret: BrokerProcess, path: str) -> None:
    told = scrape(leveret.metrics_port, path)
    for name, labels in {**IDENTITY, **BUILD}.items():
        ((of_it, value),) = told.of(name).items()
        assert value == 1 and labels <= dict(of_it).keys() and all(dict(of_it).values())


def test_the_dashboard_of_a_queue_and_the_alerts_for_queues(leveret: BrokerProcess) -> None:
    told = scrape(leveret.metrics_port, DETAILED)
    for name in ("rabbitmq_detailed_queue_messages", "rabbitmq_detailed_queue_consumers"):
        assert told.label_names(name) == {"vhost", "queue"}
    assert told.value("rabbitmq_detailed_queue_messages", vhost="/", queue="work") == 2
    assert told.value("rabbitmq_detailed_queue_consumers", vhost="/", queue="work") == 1


def test_the_panels_of_message_sizes(told: Scrape) -> None:
    name = "rabbitmq_message_size_bytes"
    counts = [told.value(f"{name}_bucket", protocol="amqp091", le=bound) for bound in SIZE_BOUNDS]
    assert counts == [1, 2, 2, 3, 3, 3, 3, 3, 3]
    assert told.value(f"{name}_sum", protocol="amqp091") == 50_510
    assert told.value(f"{name}_count", protocol="amqp091") == 3


def test_what_the_dashboards_show(told: Scrape) -> None:
    """Figures of a moment in which one consumer has acknowledged one of three confirmed messages, and has another."""
    amqp = {"protocol": "amqp091"}
    classic = {**amqp, "queue_type": "rabbit_classic_queue"}
    for name, expected in {
        "rabbitmq_connections": 1,
        "rabbitmq_channels": 2,
        "rabbitmq_channel_consumers": 1,
        "rabbitmq_queues": 2,
        "rabbitmq_queue_messages_ready": 1,
        "rabbitmq_queue_messages_unacked": 1,
        "rabbitmq_channel_messages_confirmed_total": 3,
        "rabbitmq_channel_messages_unconfirmed": 0,
    }.items():
        assert told.value(name) == expected, name
    assert told.value("rabbitmq_global_publishers", **amqp) == told.value("rabbitmq_global_consumers", **amqp) == 1
    assert told.value("rabbitmq_global_messages_delivered_consume_manual_ack_total", **classic) == 2
    assert told.value("rabbitmq_global_messages_acknowledged_total", **classic) == 1
    assert 0 < told.value("rabbitmq_process_resident_memory_bytes") < told.value("rabbitmq_resident_memory_limit_bytes")
    assert told.value("rabbitmq_process_open_fds") < told.value("rabbitmq_process_max_fds")
