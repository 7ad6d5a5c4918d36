"""Names, types, help texts and labels are those of RabbitMQ's plugin, as a RabbitMQ 3.10 with it told them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel

from tests.metrics.rabbitmq_4 import all_names
from tests.metrics.scraping import Scrape, scrape
from tests.support.broker_process import BrokerProcess

RABBITMQ: dict[str, dict[str, dict[str, Any]]] = json.loads((Path(__file__).parent / "rabbitmq-3.10.json").read_text())
FAMILIES = (
    *("connection_churn_metrics", "node_coarse_metrics", "node_metrics", "node_persister_metrics"),
    *("auth_attempt_metrics", "queue_coarse_metrics", "queue_metrics", "queue_consumer_count"),
    *("channel_metrics", "channel_exchange_metrics", "channel_queue_metrics", "channel_queue_exchange_metrics"),
    *("connection_coarse_metrics", "connection_metrics", "exchange_bindings", "exchange_names", "vhost_status"),
)
PATHS = {
    "/metrics": "/metrics",
    "/metrics/per-object": "/metrics/per-object",
    "/metrics/detailed": "/metrics/detailed?" + "&".join(f"family={name}" for name in FAMILIES),
}
# What Leveret has nothing to tell of: Erlang's processes, Raft, Mnesia, and files that it doesn't have.
ABSENT = (
    *(
        "_erlang_",
        "_process_reductions_total",
        "_raft_",
        "_schema_db_",
        "_msg_store_",
        "_queue_index_",
        "_io_read_",
        "_io_seek_",
    ),
    *(
        "_io_reopen_",
        "_io_write_time_",
        "_queue_disk_",
        "_paged_out",
        "_dead_lettered_confirmed_",
        "_auth_attempts_detailed_",
    ),
)
# Labels: what is counted by a channel alone, and the parts of identity of 4.x.
ABSENT_LABELS = {"exchange", "queue", "channel", "exchange_vhost"}
LABELS_OF_LATER_RELEASES = {"product_name", "product_version", "rabbitmq_endpoint"}


@pytest.fixture(scope="module", params=PATHS)
def told(request: pytest.FixtureRequest, leveret: BrokerProcess) -> tuple[str, Scrape]:
    connection = pika.BlockingConnection(pika.URLParameters(leveret.url))
    channel = connection.channel()
    channel.queue_declare("named", durable=True)
    channel.basic_publish("", "named", b"x")
    result = scrape(leveret.metrics_port, PATHS[request.param])
    connection.close()
    return request.param, result


def test_every_metric_of_rabbitmq_is_there(told: tuple[str, Scrape]) -> None:
    path, ours = told
    expected = {name for name in RABBITMQ[path] if not any(part in name for part in ABSENT)}
    if path != "/metrics":
        expected.discard("process_start_time_seconds")
    else:
        expected.discard("rabbitmq_queue_head_message_timestamp")  # of which there is no sum
    assert len(expected) > 40
    assert expected <= set(ours.types), sorted(expected - set(ours.types))


def test_types_and_help_texts(told: tuple[str, Scrape]) -> None:
    path, ours = told
    for name, theirs in RABBITMQ[path].items():
        if name in ours.types:
            assert (ours.types[name], ours.helps[name]) == (theirs["type"], theirs["help"])


def test_labels(told: tuple[str, Scrape]) -> None:
    path, ours = told
    compared = 0
    for name, theirs in RABBITMQ[path].items():
        labels = ours.label_names(name)
        if labels or "labels" not in theirs:
            compared += 1
            own = labels - LABELS_OF_LATER_RELEASES
            rest = set(theirs.get("labels", own)) - own
            assert own - set(theirs.get("labels", own)) <= {"vhost"} and rest <= ABSENT_LABELS, (name, labels, theirs)
    assert compared > 5


def test_what_rabbitmq_has_not_is_marked_as_ours(told: tuple[str, Scrape]) -> None:
    path, ours = told
    for name in set(ours.types) - set(RABBITMQ[path]) - set(RABBITMQ["/metrics"]):
        assert name.startswith("leveret_") or name in all_names(), name


def test_own_histograms(leveret: BrokerProcess, channel: BlockingChannel) -> None:
    types = scrape(leveret.metrics_port).types
    assert {name: kind for name, kind in types.items() if name.startswith("leveret_")} == {
        "leveret_tick_seconds": "histogram",
        "leveret_store_sync_seconds": "histogram",
        "leveret_store_batch_bytes": "histogram",
        "leveret_confirm_seconds": "histogram",
        "leveret_store_segments": "gauge",
    }
