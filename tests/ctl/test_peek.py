"""leveretctl peek: what it prints, compared with rabbitmq-queues, and that it changes nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pika
import pytest
from pika import BasicProperties
from pika.adapters.blocking_connection import BlockingChannel

from tests.behaviour.expectations import Message, get, get_bodies, get_one
from tests.ctl.conftest import leveretctl_here
from tests.support.broker_process import BrokerProcess

QUORUM = {"x-queue-type": "quorum"}


@pytest.fixture
def channel(leveret: BrokerProcess) -> Iterator[BlockingChannel]:
    with pika.BlockingConnection(pika.URLParameters(leveret.url)) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        yield channel


@pytest.fixture
def queue(channel: BlockingChannel) -> Iterator[str]:
    channel.queue_declare("peeked", durable=True)
    yield "peeked"
    channel.queue_delete("peeked")


def peek(leveret: BrokerProcess, *arguments: str) -> list[list[str]]:
    """The rows that the command prints."""
    result = leveretctl_here("-q", "peek", *arguments, "--formatter", "table", data_dir=leveret.data_dir)
    assert (result.returncode, result.stderr) == (0, "")
    header, *rows = [line.split("\t") for line in result.stdout.splitlines()]
    assert header == ["keys", "values"]
    return rows


def body(leveret: BrokerProcess, position: int, queue: str = "peeked") -> str:
    return dict(peek(leveret, queue, str(position)))["payload (max 64 bytes)"]


def refusal(leveret: BrokerProcess, *arguments: str) -> tuple[int, str]:
    result = leveretctl_here("-q", "peek", *arguments, data_dir=leveret.data_dir)
    assert result.stdout == ""
    return result.returncode, result.stderr


def test_everything_that_there_is_to_see(leveret: BrokerProcess, channel: BlockingChannel, queue: str) -> None:
    """As rabbitmq-queues shows it, but for the array, the table and the body, which are Erlang terms."""
    properties = BasicProperties(
        "text/plain", "ce", {"b": "s", "a": 1, "t": {"x": True}, "l": [1, "z"], "v": None, "CC": ["cö"]}, 2, 3,
        "co", "r", "100000", "m1", 123456, "ty", "guest", "app", "cl",
    )  # fmt: skip
    channel.queue_bind(queue, "amq.fanout")
    channel.basic_publish("amq.fanout", "rk ö", b"body \xff\n two" + b"." * 100, properties)
    shown = peek(leveret, queue, "1")
    octets = ",".join(map(str, (b"body \xff\n two" + b"." * 100)[:64]))
    assert shown == [
        ["cluster_id", "cl"],
        ["app_id", "app"],
        ["user_id", "guest"],
        ["type", "ty"],
        ["timestamp", "123456"],
        ["message_id", "m1"],
        ["expiration", "100000"],
        ["reply_to", "r"],
        ["correlation_id", "co"],
        ["priority", "3"],
        ["delivery_mode", "2"],
        ["content_encoding", "ce"],
        ["content_type", "text/plain"],
        ["routing_keys", "rk ö, cö"],
        ["exchange", "amq.fanout"],
        ["payload (max 64 bytes)", f"<<{octets}>>"],
        ["header.CC", '["cö"]'],
        ["header.a", "1"],
        ["header.b", "s"],
        ["header.l", '[1,"z"]'],
        ["header.t", '[{"x",true}]'],
        ["header.v", "undefined"],
    ]


def test_the_usual_form_is_a_drawn_table(leveret: BrokerProcess, channel: BlockingChannel, queue: str) -> None:
    channel.basic_publish("", queue, "plain")
    result = leveretctl_here("peek", queue, "1", data_dir=leveret.data_dir)
    assert result.stdout == (
        "Peeking at queue peeked at position 1 ...\n"
        "┌────────────────────────┬────────┐\n"
        "│ keys                   │ values │\n"
        "├────────────────────────┼────────┤\n"
        "│ routing_keys           │ peeked │\n"
        "├────────────────────────┼────────┤\n"
        "│ exchange               │        │\n"
        "├────────────────────────┼────────┤\n"
        "│ payload (max 64 bytes) │ plain  │\n"
        "└────────────────────────┴────────┘\n"
    )


def test_json(leveret: BrokerProcess, channel: BlockingChannel, queue: str) -> None:
    channel.basic_publish("", queue, '{"json": true}', BasicProperties("application/json", headers={"l": [1]}))
    result = leveretctl_here("peek", queue, "1", "--formatter", "json", data_dir=leveret.data_dir)
    assert json.loads(result.stdout) == {
        "message": {
            "content_type": "application/json",
            "exchange": "",
            "header.l": [["signedint", 1]],
            "payload (max 64 bytes)": '{"json": true}',
            "routing_keys": ["peeked"],
        },
        "result": "ok",
    }


def test_quorum_queues_tell_how_often_a_message_came_back(leveret: BrokerProcess, channel: BlockingChannel) -> None:
    channel.queue_declare("counted", durable=True, arguments=QUORUM)
    for text in ("a", "b"):
        channel.basic_publish("", "counted", text)
    for _ in range(2):
        channel.basic_reject(get_one(channel, "counted", auto_ack=False).tag, requeue=True)
    counts = [dict(peek(leveret, "counted", at))["header.x-delivery-count"] for at in ("1", "2")]
    assert (counts, [body(leveret, at, "counted") for at in (1, 2)]) == (["2", "0"], ["a", "b"])
    channel.queue_delete("counted")


def test_nothing_changes(leveret: BrokerProcess, channel: BlockingChannel, queue: str) -> None:
    for text in ("a", "b", "c"):
        channel.basic_publish("", queue, text)
    held = [get_one(channel, queue, auto_ack=False).tag for _ in range(2)]
    for tag in reversed(held):
        channel.basic_nack(tag)
    assert [body(leveret, at) for at in (3, 1, 2, 1)] == ["c", "a", "b", "a"]
    found: list[Message] = []
    while (message := get(channel, queue)) is not None:
        found.append(message)
    assert [(message.body, message.redelivered) for message in found] == [(b"a", True), (b"b", True), (b"c", False)]


def test_priorities_count_from_the_highest(leveret: BrokerProcess, channel: BlockingChannel) -> None:
    channel.queue_declare("levels", arguments={"x-max-priority": 5})
    for priority in (1, 5, 0, 5):
        channel.basic_publish("", "levels", str(priority), BasicProperties(priority=priority))
    assert [body(leveret, at, "levels") for at in (1, 2, 3, 4)] == ["5", "5", "1", "0"]
    assert refusal(leveret, "levels", "5")[0] == 69
    channel.queue_delete("levels")


@pytest.mark.parametrize("delivery_mode", [1, 2])
def test_messages_on_the_disk(leveret: BrokerProcess, channel: BlockingChannel, queue: str, delivery_mode: int) -> None:
    """Twenty of one mebibyte are more than a queue's window."""
    for number in range(20):
        text = f"message {number} " + "." * 2**20
        channel.basic_publish("", queue, text, BasicProperties(delivery_mode=delivery_mode))
    shown = [body(leveret, at).split(" .")[0] for at in (20, 1, 19, 17)]
    assert shown == ["message 19", "message 0", "message 18", "message 16"]
    assert [text.split(b" .")[0] for text in get_bodies(channel, queue)] == [b"message %d" % at for at in range(20)]


def test_after_a_restart(tmp_path_factory: pytest.TempPathFactory) -> None:
    with BrokerProcess(tmp_path_factory.mktemp("ctl")) as process:
        with pika.BlockingConnection(pika.URLParameters(process.url)) as connection:
            channel = connection.channel()
            channel.confirm_delivery()
            channel.queue_declare("peeked", durable=True)
            for number in range(5):
                channel.basic_publish("", "peeked", str(number), BasicProperties(delivery_mode=2))
        process.stop()
        process.start()
        assert [body(process, at) for at in (5, 2, 1)] == ["4", "1", "0"]
        with pika.BlockingConnection(pika.URLParameters(process.url)) as connection:
            assert get_bodies(connection.channel(), "peeked") == [b"0", b"1", b"2", b"3", b"4"]


def test_refusals(leveret: BrokerProcess, queue: str) -> None:
    not_there = "Target queue does not have a message at that position"
    assert refusal(leveret, queue, "1") == (69, f"Error:\n{not_there}\n")
    assert refusal(leveret, "none", "1") == (69, "Error:\nTarget queue was not found in virtual host '/'\n")
    assert refusal(leveret, "-p", "no", queue, "1") == (69, "Error:\nTarget queue was not found in virtual host 'no'\n")
    status, text = refusal(leveret, queue, "1", "--formatter", "json")
    assert (status, json.loads(text)) == (69, {"message": not_there, "result": "error"})


@pytest.mark.parametrize("position", ["0", "x", "1.5", "", "00"])
def test_positions_are_numbers_from_1(leveret: BrokerProcess, position: str) -> None:
    status, text = refusal(leveret, "peeked", position)
    assert (status, text.splitlines()[0]) == (
        64,
        'Error (argument validation): "position value must be a positive integer"',
    )
    assert refusal(leveret, "peeked")[1].startswith("Error (argument validation): not enough arguments.")
