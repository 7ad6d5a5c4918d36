"""The values: they change as what they tell of does."""

from __future__ import annotations

import base64
import gzip
from pathlib import Path

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel

from tests.ctl.conftest import leveretctl_here
from tests.metrics.scraping import Scrape, fetch, parsed, scrape
from tests.support.broker_process import BrokerProcess

AMQP = {"protocol": "amqp091"}
CLASSIC = {**AMQP, "queue_type": "rabbit_classic_queue"}
QUORUM = {**AMQP, "queue_type": "rabbit_quorum_queue"}
MON = "monitoring"
PERSISTENT = pika.BasicProperties(delivery_mode=2)


def rise(before: Scrape, after: Scrape, name: str, **labels: str) -> float:
    """How much a value has risen."""
    return after.value(name, **labels) - before.value(name, **labels)


def test_messages(leveret: BrokerProcess, channel: BlockingChannel) -> None:
    before = scrape(leveret.metrics_port)
    channel.confirm_delivery()
    channel.queue_declare("lengths", durable=True)
    for _ in range(5):
        channel.basic_publish("", "lengths", b"hello", PERSISTENT)
    channel.basic_publish("", "leads-nowhere", b"dropped")
    with pytest.raises(pika.exceptions.UnroutableError):
        channel.basic_publish("", "leads-nowhere", b"returned", mandatory=True)
    method, _, _ = channel.basic_get("lengths")
    channel.basic_get("lengths")
    channel.basic_ack(method.delivery_tag)
    channel.queue_declare("lengths", passive=True)  # the acknowledgement is settled
    after = scrape(leveret.metrics_port)
    assert rise(before, after, "rabbitmq_queue_messages_ready") == 3
    assert rise(before, after, "rabbitmq_queue_messages_unacked") == 1
    assert rise(before, after, "rabbitmq_queue_messages") == 4
    assert rise(before, after, "rabbitmq_queue_messages_bytes") == 20
    assert after.of("rabbitmq_queue_messages_persistent") == {}  # nobody counts them
    for name, count in {
        "received": 7,
        "received_confirm": 7,
        "confirmed": 7,
        "routed": 5,
        "unroutable_dropped": 1,
        "unroutable_returned": 1,
    }.items():
        assert rise(before, after, f"rabbitmq_global_messages_{name}_total", **AMQP) == count, name
    assert rise(before, after, "rabbitmq_global_messages_delivered_get_manual_ack_total", **CLASSIC) == 2
    assert rise(before, after, "rabbitmq_global_messages_delivered_total", **CLASSIC) == 2
    assert rise(before, after, "rabbitmq_global_messages_acknowledged_total", **CLASSIC) == 1
    assert rise(before, after, "rabbitmq_global_messages_delivered_total", **QUORUM) == 0
    assert after.value("rabbitmq_channel_messages_unacked") == 1
    assert after.value("rabbitmq_global_publishers", **AMQP) == 1
    for name in ("leveret_store_sync_seconds", "leveret_confirm_seconds", "leveret_store_batch_bytes"):
        assert rise(before, after, f"{name}_count") >= 5, name
        assert rise(before, after, f"{name}_sum") > 0, name
    assert rise(before, after, "rabbitmq_io_write_bytes_total") >= 25
    assert rise(before, after, "leveret_tick_seconds_count") >= 10
    assert after.value("leveret_store_segments") >= 1


def test_what_comes_and_goes(leveret: BrokerProcess, channel: BlockingChannel) -> None:
    before = scrape(leveret.metrics_port)
    other = pika.BlockingConnection(pika.URLParameters(leveret.url))
    consuming = other.channel()
    consuming.queue_declare("passing")
    consuming.basic_consume("passing", lambda *_: None)
    between = scrape(leveret.metrics_port)
    for name in ("connections", "channels", "queues", "consumers"):
        assert rise(before, between, f"rabbitmq_{name}") == 1, name
    assert rise(before, between, "rabbitmq_global_consumers", **AMQP) == 1
    assert rise(before, between, "rabbitmq_auth_attempts_succeeded_total", **AMQP) == 1
    consuming.queue_delete("passing")
    other.close()
    after = scrape(leveret.metrics_port)
    for name in ("connections_opened", "connections_closed", "channels_opened", "channels_closed"):
        assert rise(before, after, f"rabbitmq_{name}_total") == 1, name
    for name in ("queues_declared", "queues_created", "queues_deleted"):
        assert rise(before, after, f"rabbitmq_{name}_total") == 1, name
    assert after.value("rabbitmq_consumers") == before.value("rabbitmq_consumers")


def test_quorum_queues_and_dead_letters_are_counted_apart_and_stay_counted(
    leveret: BrokerProcess, channel: BlockingChannel
) -> None:
    before = scrape(leveret.metrics_port)
    channel.queue_declare("letters")
    arguments = {"x-queue-type": "quorum", "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "letters"}
    channel.queue_declare("raft", durable=True, arguments=arguments)
    channel.basic_publish("", "raft", b"x")
    method, _, _ = channel.basic_get("raft")
    channel.basic_reject(method.delivery_tag, requeue=False)
    channel.queue_delete("raft")
    channel.queue_delete("letters")
    after = scrape(leveret.metrics_port)
    assert rise(before, after, "rabbitmq_global_messages_delivered_total", **QUORUM) == 1
    assert rise(before, after, "rabbitmq_global_messages_delivered_total", **CLASSIC) == 0
    letters = {"queue_type": "rabbit_quorum_queue", "dead_letter_strategy": "at_most_once"}
    assert rise(before, after, "rabbitmq_global_messages_dead_lettered_rejected_total", **letters) == 1
    assert rise(before, after, "rabbitmq_global_messages_dead_lettered_expired_total", **letters) == 0


def test_each_object(leveret: BrokerProcess, channel: BlockingChannel) -> None:
    channel.queue_declare('od"d\\')
    channel.basic_publish("", 'od"d\\', b"abc")
    channel.queue_declare("other")
    told = scrape(leveret.metrics_port, "/metrics/per-object")
    assert told.value("rabbitmq_queue_messages_ready_bytes", vhost="/", queue='od"d\\') == 3
    assert told.value("rabbitmq_queue_messages_ready", vhost="/", queue="other") == 0
    assert list(told.of("rabbitmq_channel_messages_published_total").values()) == [1]


def test_only_what_is_asked_for(leveret: BrokerProcess, channel: BlockingChannel) -> None:
    channel.queue_declare("one")
    channel.queue_declare("two")
    port = leveret.metrics_port
    assert set(scrape(port, "/metrics/detailed").types) == {"rabbitmq_build_info", "rabbitmq_identity_info"}
    path = "/metrics/detailed?family=queue_consumer_count&family=no_such_family"
    told = scrape(port, path)
    assert {name for name in told.types if "queue" in name} == {
        "rabbitmq_detailed_queue_consumers",
        "rabbitmq_detailed_queue_info",
    }
    assert {("queue", "one"), ("queue", "two")} <= {
        pair for labels in told.of("rabbitmq_detailed_queue_consumers") for pair in labels
    }
    one = scrape(port, path + "&queue=one&vhost=%2F").of("rabbitmq_detailed_queue_consumers")
    assert one == {frozenset({("vhost", "/"), ("queue", "one")}): 0}
    assert scrape(port, path + "&vhost=none").of("rabbitmq_detailed_queue_consumers") == {}
    both = scrape(port, path + "&family=queue_metrics&queue=two")
    assert len(both.of("rabbitmq_detailed_queue_consumers")) == 1
    exchanges = scrape(port, "/metrics/detailed?family=exchange_names").of("rabbitmq_cluster_exchange_name")
    assert frozenset({("vhost", "/"), ("exchange", "amq.topic"), ("type", "topic")}) in exchanges


def test_many_queues_come_in_one_group(leveret: BrokerProcess, channel: BlockingChannel) -> None:
    names = {f"many-{number}" for number in range(250)}
    for name in names:
        channel.queue_declare(name, exclusive=True)
    told = scrape(leveret.metrics_port, "/metrics/detailed?family=queue_coarse_metrics")
    assert names <= {dict(labels)["queue"] for labels in told.of("rabbitmq_detailed_queue_messages")}


def test_identity(leveret: BrokerProcess) -> None:
    for path, endpoint in {"/metrics": "aggregated", "/metrics/per-object": "per-object"}.items():
        ((labels, value),) = scrape(leveret.metrics_port, path).of("rabbitmq_identity_info").items()
        who = dict(labels)
        assert value == 1 and who["rabbitmq_endpoint"] == endpoint
        assert who["rabbitmq_node"].startswith("leveret@") and who["rabbitmq_cluster_permanent_id"]


def test_compression(leveret: BrokerProcess) -> None:
    for accepted, coding in {"gzip, deflate": "gzip", "gzip;q=0": None, "identity": None}.items():
        status, headers, body = fetch(leveret.metrics_port, "/metrics", {"accept-encoding": accepted})
        assert (status, headers.get("content-encoding")) == (200, coding)
        text = gzip.decompress(body) if coding else body
        assert parsed(text.decode()).value("rabbitmq_alarms_memory_used_watermark") == 0


def test_elsewhere_is_nothing(leveret: BrokerProcess) -> None:
    for path in ("/", "/metrics/none", "/api/overview"):
        status, _, body = fetch(leveret.metrics_port, path)
        assert (status, body) == (404, b'{"error":"Object Not Found","reason":"Not Found"}')


def test_settings_and_where_the_port_is_told(tmp_path: Path) -> None:
    path = tmp_path / "rabbitmq.conf"
    path.write_text("prometheus.path = /watch\nprometheus.return_per_object_metrics = true\n")
    with BrokerProcess(tmp_path, "--config", str(path)) as broker:
        assert f"listening on http+prometheus://127.0.0.1:{broker.metrics_port}\n" in broker.log_path.read_text()
        assert fetch(broker.metrics_port, "/metrics")[0] == 404
        connection = pika.BlockingConnection(pika.URLParameters(broker.url))
        connection.channel().queue_declare("q")
        assert scrape(broker.metrics_port, "/watch").value("rabbitmq_queue_messages", vhost="/", queue="q") == 0
        assert scrape(broker.metrics_port, "/watch/detailed?family=vhost_status").of("rabbitmq_cluster_vhost_status")
        connection.close()


def test_metrics_for_monitors_alone(tmp_path: Path) -> None:
    path = tmp_path / "rabbitmq.conf"
    path.write_text("prometheus.authentication.enabled = true\n")
    with BrokerProcess(tmp_path, "--config", str(path), "--management-port", "none") as broker:
        for arguments in (["add_user", "none", "secret"], ["add_user", "mon", "secret"], ["set_user_tags", "mon", MON]):
            assert leveretctl_here(*arguments, data_dir=broker.data_dir).returncode == 0
        status, headers, body = fetch(broker.metrics_port, "/metrics")
        assert (status, body, headers["www-authenticate"]) == (401, b"", 'Basic realm="RabbitMQ Prometheus"')
        for who, expected in {
            "mon:secret": 200,
            "guest:guest": 200,
            "mon:wrong": b'{"error":"not_authorized","reason":"Not_Authorized"}',
            "none:secret": b'{"error":"not_authorised","reason":"Not monitor user"}',
        }.items():
            login = {"authorization": f"Basic {base64.b64encode(who.encode()).decode()}"}
            for where in ("/metrics", "/metrics/per-object", "/metrics/detailed"):
                status, headers, body = fetch(broker.metrics_port, where, login)
                assert expected == 200 == status or (status, body) == (401, expected), (who, where, status, body)


def test_there_need_not_be_metrics(tmp_path: Path) -> None:
    with BrokerProcess(tmp_path, "--prometheus-port", "none", "--management-port", "none") as broker:
        assert broker.metrics_port == 0 and "prometheus" not in broker.log_path.read_text()
