"""What `leveretctl status` says of the message store and of alarms."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pika
import pytest

from tests.ctl.conftest import leveretctl
from tests.support.broker_process import BrokerProcess

UNSAFE = "UNSAFE: A POWER FAILURE LOSES MESSAGES THAT WERE CONFIRMED"


def status(broker: BrokerProcess) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(leveretctl("status", "--formatter", "json", data_dir=broker.data_dir).stdout)
    return found


def section(broker: BrokerProcess, title: str) -> list[str]:
    """The lines of one section of the report."""
    printed = leveretctl("-q", "status", "--unit", "bytes", data_dir=broker.data_dir).stdout.splitlines()
    rest = printed[printed.index(title) + 2 :]
    return rest[: rest.index("")]


def test_the_message_store(tmp_path: Path) -> None:
    with BrokerProcess(tmp_path) as broker:
        with pika.BlockingConnection(pika.URLParameters(broker.url)) as connection:
            channel = connection.channel()
            channel.confirm_delivery()
            for name in ("tasks", "copies"):
                channel.queue_declare(name, durable=True)
                channel.queue_bind(name, "amq.fanout")
            for _ in range(3):
                channel.basic_publish("amq.fanout", "", bytes(1000), pika.BasicProperties(delivery_mode=2))
        store = status(broker)["store"]
        assert (store["sync"], store["segments"], store["live"], store["pending"]) == ("always", 1, 6, 0)
        assert store["octets"] == sum(path.stat().st_size for path in (broker.data_dir / "messages").iterdir()) > 3000
        assert store["octets_in_memory"] > 6000
        assert section(broker, "Message store") == [
            "Sync: always",
            f"Segments: 1, on disk: {store['octets']} bytes",
            "Messages, counted in each of their queues: 6",
            "Waiting to be written: 0, 0 bytes",
            f"Message content in memory: {store['octets_in_memory']} bytes",
        ]


@pytest.mark.parametrize("mode", ["never", "interval=20"])
def test_a_sync_mode_that_is_not_safe_is_said_loudly(tmp_path: Path, mode: str) -> None:
    with BrokerProcess(tmp_path, "--sync", mode) as broker:
        assert status(broker)["store"]["sync"] == mode
        assert section(broker, "Message store")[0] == f"Sync: {mode} - {UNSAFE}"


def test_an_ephemeral_broker(tmp_path: Path) -> None:
    with BrokerProcess(tmp_path, "--ephemeral") as broker:
        assert status(broker)["store"] == {}
        [line] = section(broker, "Message store")
        assert line.startswith("NOTHING IS KEPT")


def test_alarms(tmp_path: Path) -> None:
    with BrokerProcess(tmp_path, "--disk-free-limit", "1EiB", "--memory-limit", "1MiB") as broker:
        found = status(broker)
        node = found["node_name"]
        assert found["alarms"] == [
            {"type": "resource_limit", "resource": "memory", "node": node},
            {"type": "resource_limit", "resource": "disk", "node": node},
        ]
        assert section(broker, "Alarms") == [f"Memory alarm on node {node}", f"Free disk space alarm on node {node}"]
