"""Every listing of leveretctl, for a broker with something of everything in it."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel

from leveret.management.columns import COLUMNS, DEFAULT_COLUMNS
from leveret.management.listings import LISTINGS
from tests.ctl.conftest import Ctl
from tests.support.broker_process import BrokerProcess
from tests.support.raw_client import QUEUE_DECLARE, QUEUE_DECLARE_OK, RawClient, longstr, shortstr

ODD_NAME = "a,b\"c'd\te\\é☃"
PID = re.compile(r"<leveret@[^<>]+\.\d+\.\d+\.\d+>")
PREDECLARED = [
    ["", "direct"],
    ["amq.direct", "direct"],
    ["amq.fanout", "fanout"],
    ["amq.topic", "topic"],
    ["amq.headers", "headers"],
    ["amq.match", "headers"],
    ["amq.rabbitmq.trace", "topic"],
    ["amq.rabbitmq.event", "topic"],
]


@dataclass
class State:
    """What was declared, and by whom."""

    connection: pika.BlockingConnection
    port: int  # of the client

    @property
    def name(self) -> str:
        return f"127.0.0.1:{self.port} -> 127.0.0.1:"


@pytest.fixture(scope="module")
def state(leveret: BrokerProcess) -> Iterator[State]:
    parameters = pika.URLParameters(leveret.url)
    parameters.client_properties = {"connection_name": "probe é"}
    connection = pika.BlockingConnection(parameters)
    declare(connection.channel())
    transaction(connection.channel())
    yield State(connection, connection._impl._transport._sock.getsockname()[1])
    connection.close()


def declare(channel: BlockingChannel) -> None:
    channel.confirm_delivery()
    channel.queue_declare("plain", durable=True)
    for timestamp in (1704067200, None, None):
        channel.basic_publish("", "plain", b"x" * 10, pika.BasicProperties(timestamp=timestamp))
    channel.queue_declare("args", arguments={"x-max-length": 5, "x-other": {"a": [1, "two", None, True]}, "x-b": b"\0"})
    channel.queue_declare("auto", auto_delete=True)
    channel.queue_declare("excl", exclusive=True)
    channel.queue_declare("quorum", durable=True, arguments={"x-queue-type": "quorum"})
    channel.queue_declare(ODD_NAME)
    channel.exchange_declare("ex", "topic", durable=True, arguments={"alternate-exchange": "amq.fanout"})
    channel.exchange_declare("int", "headers", internal=True, auto_delete=True)
    channel.queue_bind("plain", "ex", "a.#")
    channel.exchange_bind("int", "ex", "k")
    channel.queue_bind("auto", "amq.headers", "", arguments={"n": 1, "x-match": "all"})
    channel.basic_qos(prefetch_count=7)
    channel.basic_qos(prefetch_count=70, global_qos=True)
    channel.basic_consume("excl", ignore, consumer_tag="tag-x", exclusive=True, auto_ack=True)
    channel.basic_consume("auto", ignore, consumer_tag="tag-1", arguments={"x-priority": 4})


def transaction(channel: BlockingChannel) -> None:
    channel.tx_select()
    channel.basic_get("plain")
    channel.basic_publish("", "plain", b"uncommitted")
    channel.queue_declare("plain", passive=True)  # answered after the publish was taken in


def ignore(*_delivered: object) -> None:
    """A consumer that does nothing."""


def rows(ctl: Ctl, *arguments: str) -> list[list[str]]:
    """The rows of a table without banner and headers."""
    result = ctl("-s", *arguments)
    assert (result.returncode, result.stderr) == (0, "")
    return [line.split("\t") for line in result.stdout.splitlines()]


def objects(ctl: Ctl, *arguments: str) -> list[dict[str, object]]:
    """The rows of a listing as JSON."""
    result = ctl("--formatter", "json", *arguments)
    assert (result.returncode, result.stderr) == (0, "")
    found: list[dict[str, object]] = json.loads(result.stdout)
    return found


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("listing", list(COLUMNS))
def test_every_column_has_a_value_and_a_name(listing: str) -> None:
    assert set(LISTINGS[listing].columns) == set(COLUMNS[listing])
    assert set(DEFAULT_COLUMNS[listing]) <= set(COLUMNS[listing])


@pytest.mark.usefixtures("state")
@pytest.mark.parametrize("listing", ["queues", "exchanges", "bindings", "connections", "channels", "consumers"])
def test_every_column_can_be_listed_in_any_formatter(ctl: Ctl, listing: str) -> None:
    found = objects(ctl, f"list_{listing}", *COLUMNS[listing])
    assert found
    assert all(list(each) == list(COLUMNS[listing]) for each in found)
    for formatter in ("table", "csv", "pretty_table", "json_stream"):
        result = ctl("-q", f"list_{listing}", *COLUMNS[listing], "--formatter", formatter)
        assert (result.returncode, result.stderr) == (0, "")
        assert len(result.stdout.splitlines()) > len(found)


@pytest.mark.usefixtures("state")
def test_queues_as_rabbitmqctl_prints_them(ctl: Ctl) -> None:
    result = ctl("list_queues")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == (
        "Timeout: 60.0 seconds ...\n"
        "Listing queues for vhost / ...\n"
        "name\tmessages\n"
        f"plain\t3\nargs\t0\nauto\t0\nexcl\t0\nquorum\t0\n{ODD_NAME}\t0\n"
    )


@pytest.mark.usefixtures("state")
def test_queue_arguments(ctl: Ctl) -> None:
    assert rows(ctl, "list_queues", "name", "arguments") == [
        ["plain", "[]"],
        ["args", '[{"x-max-length",5},{"x-other",[{"a",[1,"two",undefined,true]}]},{"x-b",<<0>>}]'],
        ["auto", "[]"],
        ["excl", "[]"],
        ["quorum", '[{"x-queue-type","quorum"}]'],
        [*ODD_NAME.split("\t"), "[]"],
    ]
    arguments = {each["name"]: each["arguments"] for each in objects(ctl, "list_queues", "name", "arguments")}
    assert arguments["quorum"] == [["x-queue-type", "longstr", "quorum"]]
    assert arguments["args"] == [
        ["x-max-length", "signedint", 5],
        [
            "x-other",
            "table",
            [["a", "array", [["signedint", 1], ["longstr", "two"], ["void", "undefined"], ["bool", True]]]],
        ],
        ["x-b", "binary", "\0"],
    ]


@pytest.mark.usefixtures("state")
def test_queue_counts_and_attributes(ctl: Ctl) -> None:
    columns = [name for name in COLUMNS["queues"] if not name.endswith("pid")]
    by_name = {each["name"]: each for each in objects(ctl, "list_queues", *columns)}
    expected: dict[str, object] = dict.fromkeys(columns, "") | {
        "name": "plain",
        "durable": True,
        "auto_delete": False,
        "arguments": [],
        "effective_policy_definition": [],
        "exclusive": False,
        "messages_ready": 2,
        "messages_unacknowledged": 1,
        "messages_delayed": 0,
        "messages": 3,
        "messages_ready_ram": 2,
        "messages_unacknowledged_ram": 1,
        "messages_ram": 3,
        "message_bytes": 30,
        "message_bytes_ready": 20,
        "message_bytes_unacknowledged": 10,
        "message_bytes_ram": 30,
        "disk_reads": 0,
        "disk_writes": 0,
        "consumers": 0,
        "consumer_utilisation": 0,
        "consumer_capacity": 0,
        "memory": 30,
        "state": "running",
        "type": "classic",
    }
    assert by_name["plain"] == expected
    assert by_name["excl"]["exclusive"] is True
    assert by_name["excl"]["exclusive_consumer_tag"] == "tag-x"
    assert by_name["excl"]["messages_persistent"] == by_name["excl"]["message_bytes_persistent"] == 0
    assert (by_name["auto"]["auto_delete"], by_name["auto"]["consumers"]) == (True, 1)
    assert by_name["auto"]["consumer_utilisation"] == 1.0
    assert by_name["quorum"]["type"] == "quorum"
    node = by_name["quorum"]["leader"]
    assert by_name["quorum"]["members"] == by_name["quorum"]["online"] == [node]


@pytest.mark.usefixtures("state")
def test_identifiers_of_one_thing_are_equal(ctl: Ctl) -> None:
    queues = {each["name"]: each for each in objects(ctl, "list_queues", "name", "pid", "owner_pid")}
    [consumer_pid] = {pid for [pid] in rows(ctl, "list_consumers", "channel_pid")}
    [connection] = [each["pid"] for each in objects(ctl, "list_connections", "pid", "vhost") if each["vhost"] == "/"]
    channels = {each["number"]: each for each in objects(ctl, "list_channels", "pid", "connection", "number")}
    assert queues["excl"]["owner_pid"] == connection
    assert queues["plain"]["owner_pid"] == ""
    assert channels[1]["pid"] == consumer_pid
    assert channels[1]["connection"] == channels[2]["connection"] == connection
    pids = [str(each["pid"]) for each in (*queues.values(), *channels.values())]
    assert len({*pids, connection}) == len(queues) + 3
    assert all(PID.fullmatch(pid) for pid in pids)


def test_the_timestamp_of_the_head_is_its_own(leveret: BrokerProcess, ctl: Ctl) -> None:
    with pika.BlockingConnection(pika.URLParameters(leveret.url)) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        channel.queue_declare("timed")
        for timestamp in (1704067200, 5):
            channel.basic_publish("", "timed", b"", pika.BasicProperties(timestamp=timestamp))
        assert ["timed", "1704067200"] in rows(ctl, "list_queues", "name", "head_message_timestamp")
        delivered, _, _ = channel.basic_get("timed")
        assert ["timed", "5"] in rows(ctl, "list_queues", "name", "head_message_timestamp")
        channel.basic_nack(delivered.delivery_tag)
        channel.queue_declare("timed", passive=True)
        assert ["timed", "1704067200"] in rows(ctl, "list_queues", "name", "head_message_timestamp")
        channel.queue_delete("timed")


def test_what_is_delayed_is_counted(ctl: Ctl, leveret: BrokerProcess) -> None:
    """For the exchange that delays it; a message that is to be tried again, for its queue."""
    with pika.BlockingConnection(pika.URLParameters(leveret.url)) as connection:
        channel = connection.channel()
        channel.exchange_declare("later", "x-delayed-message", arguments={"x-delayed-type": "fanout"})
        channel.queue_declare("again", arguments={"x-delayed-retry-type": "all", "x-delayed-retry-min": 60_000})
        for _ in range(2):
            channel.basic_publish("later", "", b"body", pika.BasicProperties(headers={"x-delay": 60_000}))
        for _ in range(2):
            channel.basic_publish("", "again", b"body")
        method, _, _ = channel.basic_get("again")
        assert method is not None
        channel.basic_reject(method.delivery_tag)
        channel.queue_declare("again", passive=True)
        assert ["later", "x-delayed-message", "2"] in rows(ctl, "list_exchanges", "name", "type", "messages_delayed")
        columns = ("name", "messages", "messages_ready", "messages_delayed", "message_bytes")
        assert ["again", "2", "1", "1", "8"] in rows(ctl, "list_queues", *columns)
        assert not any("amq.delayed" in row[0] for row in rows(ctl, "list_queues"))
        channel.exchange_delete("later")
        channel.queue_delete("again")


@pytest.mark.usefixtures("state")
def test_exchanges(ctl: Ctl) -> None:
    assert rows(ctl, "list_exchanges") == [*PREDECLARED, ["ex", "topic"], ["int", "headers"]]
    assert ctl("list_exchanges").stdout.startswith("Listing exchanges for vhost / ...\nname\ttype\n\tdirect\n")
    found = {each["name"]: each for each in objects(ctl, "list_exchanges", *COLUMNS["exchanges"])}
    assert found["ex"] == {
        "name": "ex",
        "type": "topic",
        "durable": True,
        "auto_delete": False,
        "internal": False,
        "arguments": [["alternate-exchange", "longstr", "amq.fanout"]],
        "policy": "",
        "messages_delayed": 0,
    }
    assert (found["int"]["durable"], found["int"]["auto_delete"], found["int"]["internal"]) == (False, True, True)
    assert found["amq.rabbitmq.trace"]["internal"] is True


@pytest.mark.usefixtures("state")
def test_bindings_with_those_to_the_default_exchange(ctl: Ctl) -> None:
    queues = ["plain", "args", "auto", "excl", "quorum", ODD_NAME]
    result = ctl("list_bindings")
    expected = [["", "exchange", name, "queue", name, "[]"] for name in queues] + [
        ["amq.headers", "exchange", "auto", "queue", "", '[{"n",1},{"x-match","all"}]'],
        ["ex", "exchange", "plain", "queue", "a.#", "[]"],
        ["ex", "exchange", "int", "exchange", "k", "[]"],
    ]
    assert result.stdout == "".join(
        [
            "Listing bindings for vhost /...\n",
            "source_name\tsource_kind\tdestination_name\tdestination_kind\trouting_key\targuments\n",
            *("\t".join(row) + "\n" for row in expected),
        ]
    )


def test_consumers(state: State, ctl: Ctl) -> None:
    found = rows(ctl, "list_consumers", "queue_name,consumer_tag,ack_required,prefetch_count,active,arguments")
    assert found == [
        ["auto", "tag-1", "true", "7", "true", '[{"x-priority",4}]'],
        ["excl", "tag-x", "false", "0", "true", "[]"],
    ]
    header = ctl("list_consumers").stdout.splitlines()[:2]
    assert header == [
        "Listing consumers in vhost / ...",
        "queue_name\tchannel_pid\tconsumer_tag\tack_required\tprefetch_count\tactive\targuments",
    ]


@pytest.mark.usefixtures("state")
def test_columns_of_consumers_keep_their_order(ctl: Ctl) -> None:
    assert ctl("-q", "list_consumers", "activity_status", "consumer_tag", "queue_name").stdout == (
        "queue_name\tconsumer_tag\tactivity_status\nauto\ttag-1\tup\nexcl\ttag-x\tup\n"
    )


def test_connections(state: State, leveret: BrokerProcess, ctl: Ctl) -> None:
    assert rows(ctl, "list_connections") == [["guest", "127.0.0.1", str(state.port), "running"]]
    [found] = objects(ctl, "list_connections", *COLUMNS["connections"])
    assert found["name"] == f"127.0.0.1:{state.port} -> 127.0.0.1:{leveret.port}"
    assert (found["host"], found["port"]) == ([127, 0, 0, 1], leveret.port)
    assert (found["peer_host"], found["peer_port"]) == ([127, 0, 0, 1], state.port)
    assert (found["channels"], found["vhost"], found["user"], found["state"]) == (2, "/", "guest", "running")
    assert (found["channel_max"], found["frame_max"], found["timeout"]) == (2047, 131072, 60)
    assert (found["protocol"], found["ssl"]) == ([0, 9, 1], False)
    assert abs(int(str(found["connected_at"])) / 1000 - time.time()) < 3600
    properties = found["client_properties"]
    assert isinstance(properties, list)
    assert ["connection_name", "longstr", "probe é"] in properties
    assert rows(ctl, "list_connections", "protocol", "ssl") == [["{0,9,1}", "false"]]
    [[shown]] = rows(ctl, "list_connections", "client_properties")
    assert '{"connection_name","probe é"}' in shown
    assert ctl("list_connections", "name").stdout.splitlines()[:2] == ["Listing connections ...", "name"]


@pytest.mark.usefixtures("state")
def test_a_connection_that_has_not_logged_in(leveret: BrokerProcess, ctl: Ctl) -> None:
    with RawClient(leveret.port):
        eventually(lambda: ["", "", "starting"] in rows(ctl, "list_connections", "user", "protocol", "state"))
    eventually(lambda: len(rows(ctl, "list_connections", "state")) == 1)


def test_channels(state: State, ctl: Ctl) -> None:
    columns = [name for name in COLUMNS["channels"] if name not in ("pid", "connection", "name")]
    first = {
        "number": 1,
        "user": "guest",
        "vhost": "/",
        "transactional": False,
        "confirm": True,
        "consumer_count": 2,
        "messages_unacknowledged": 0,
        "messages_uncommitted": 0,
        "acks_uncommitted": 0,
        "messages_unconfirmed": 0,
        "prefetch_count": 7,
        "global_prefetch_count": 70,
    }
    second = first | {
        "number": 2,
        "transactional": True,
        "confirm": False,
        "consumer_count": 0,
        "messages_unacknowledged": 1,
        "messages_uncommitted": 1,
        "prefetch_count": 0,
        "global_prefetch_count": 0,
    }
    assert objects(ctl, "list_channels", *columns) == [first, second]
    names = [name for [name] in rows(ctl, "list_channels", "name")]
    assert [name.startswith(state.name) for name in names] == [True, True]
    assert [name[-4:] for name in names] == [" (1)", " (2)"]
    assert ctl("list_channels").stdout.splitlines()[:2] == [
        "Listing channels ...",
        "pid\tuser\tconsumer_count\tmessages_unacknowledged",
    ]


@pytest.mark.usefixtures("state")
def test_another_virtual_host_has_nothing(ctl: Ctl) -> None:
    result = ctl("list_queues", "-p", "nosuch")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == "Timeout: 60.0 seconds ...\nListing queues for vhost nosuch ...\n"
    for command in ("list_exchanges", "list_bindings", "list_consumers"):
        assert rows(ctl, command, "-p", "nosuch") == []
    assert len(rows(ctl, "list_channels", "-p", "nosuch")) == 2


def test_text_that_is_not_utf_8(leveret: BrokerProcess, ctl: Ctl) -> None:
    with RawClient(leveret.port) as client:
        client.log_in(channels=[1])
        arguments = longstr(shortstr("x-raw") + b"S" + longstr(b"a\xffb"))
        client.call(1, QUEUE_DECLARE, b"\0\0" + shortstr("raw\x1b") + bytes([4]) + arguments, QUEUE_DECLARE_OK)
        for formatter in ("table", "csv", "pretty_table"):
            printed = ctl("-q", "list_queues", "name", "arguments", "--formatter", formatter).stdout
            assert "raw\x1b" in printed
            assert "a\udcffb" in printed
        printed = ctl("list_queues", "name", "arguments", "--formatter", "json").stdout
        assert '{"name":"raw\\u001b","arguments":[["x-raw","longstr","a\ufffdb"]]}' in printed
        client.log_out()
    eventually(lambda: "raw" not in ctl("-q", "list_queues").stdout)
