"""The handshake, the states of a connection and its channels, and what breaks them: in-process, octet for octet."""

from __future__ import annotations

import struct

import pytest

from leveret.amqp.field_table import FieldValue, encode_table, table_from_python
from leveret.amqp.frame import HEARTBEAT_FRAME, PROTOCOL_HEADER
from leveret.amqp.methods import (
    AccessRequest,
    AccessRequestOk,
    BasicDeliver,
    ChannelClose,
    ChannelCloseOk,
    ChannelFlow,
    ChannelFlowOk,
    ChannelOpen,
    ChannelOpenOk,
    ConnectionClose,
    ConnectionCloseOk,
    ConnectionOpen,
    ConnectionOpenOk,
    ConnectionStart,
    ConnectionTune,
    ConnectionTuneOk,
    ConnectionUpdateSecret,
    ConnectionUpdateSecretOk,
    ExchangeDeclareOk,
    Method,
    QueueDeclare,
    QueueDeclareOk,
    TxSelectOk,
)
from leveret.broker.broker import Broker
from leveret.broker.connection_state import CLOSED, CLOSING
from tests.broker.driver import Client, Driver, Received, refused, start_ok


def said(client: Client, data: bytes = b"") -> list[Received]:
    """What the broker says to these bytes."""
    client.feed(data)
    client.driver.tick()
    return client.take()


def greeted(driver: Driver) -> Client:
    client = driver.client()
    start = said(client, PROTOCOL_HEADER)[0].method
    assert isinstance(start, ConnectionStart)
    assert (start.mechanisms, start.locales) == (b"PLAIN AMQPLAIN", b"en_US")
    assert start.server_properties["leveret_version"] == FieldValue("S", "1.2.3")
    return client


@pytest.mark.parametrize("header", [PROTOCOL_HEADER, b"AMQP\x01\x01\x00\x09", b"AMQP\x01\x01\x09\x01"])
def test_three_headers_are_understood(driver: Driver, header: bytes) -> None:
    assert isinstance(said(driver.client(), header)[0].method, ConnectionStart)


@pytest.mark.parametrize("header", [b"AMQP\x00\x01\x00\x00", b"GET / HTTP/1.1\r\n", b"HTTP", b"AMQPlain", b"A\0"])
def test_another_header_is_answered_with_ours(driver: Driver, header: bytes) -> None:
    client = driver.client()
    client.decodes = False
    client.feed(header)
    driver.tick()
    assert client.raw == PROTOCOL_HEADER
    assert client.is_closed()
    assert driver.broker.connections == {}
    client.feed(PROTOCOL_HEADER)
    driver.tick()
    assert client.raw == PROTOCOL_HEADER


def amqplain(**fields: object) -> bytes:
    return encode_table(table_from_python(fields))[4:]


@pytest.mark.parametrize(
    ("mechanism", "response"),
    [("PLAIN", b"\0guest\0guest"), ("AMQPLAIN", amqplain(LOGIN="guest", PASSWORD="guest"))],
)
def test_a_login(driver: Driver, mechanism: str, response: bytes) -> None:
    client = greeted(driver)
    tune = client.call(start_ok(mechanism, response), 0).method
    assert tune == ConnectionTune(2047, 131072, 60)
    client.send(ConnectionTuneOk(5, 4096, 0), 0)
    assert client.call(ConnectionOpen("/"), 0).method == ConnectionOpenOk()
    connection = client.connection
    assert (connection.user, connection.channel_max, connection.frame_max) == ("guest", 5, 4096)
    assert driver.broker.connections == {connection: None}


WRONG = [
    *(("PLAIN", b"\0guest\0wrong"), ("PLAIN", b"\0nobody\0guest"), ("PLAIN", b"\0nobody\0"), ("PLAIN", b"guest")),
    *(("PLAIN", b"other\0guest\0guest"), ("AMQPLAIN", b"nonsense"), ("AMQPLAIN", amqplain(LOGIN="guest"))),
    *(("AMQPLAIN", amqplain(LOGIN="guest", PASSWORD=5)), ("AMQPLAIN", amqplain(LOGIN="guest", PASSWORD="wrong"))),
]


@pytest.mark.parametrize(("mechanism", "response"), WRONG)
def test_a_refused_login(driver: Driver, mechanism: str, response: bytes) -> None:
    """Told to those who announced that they understand; the others are hung up on."""
    text = f"Login was refused using authentication mechanism {mechanism}. For details see the broker logfile."
    assert greeted(driver).refusal(start_ok(mechanism, response), 0) == (403, text)
    client = greeted(driver)
    client.send(start_ok(mechanism, response, capabilities=()), 0)
    assert said(client) == []
    assert client.is_closed()


def test_guest_may_only_come_from_loopback(driver: Driver) -> None:
    client = driver.client(from_loopback=False)
    said(client, PROTOCOL_HEADER)
    assert client.refusal(start_ok(), 0)[0] == 403


@pytest.mark.parametrize("mechanism", ["EXTERNAL", "", "PLAIN AMQPLAIN"])
def test_an_unknown_mechanism(driver: Driver, mechanism: str) -> None:
    assert greeted(driver).refusal(start_ok(mechanism), 0) == (
        503,
        f"unknown authentication mechanism '{mechanism}'",
    )


@pytest.mark.parametrize(
    ("tune_ok", "text"),
    [
        (ConnectionTuneOk(10, 4095, 0), "frame_max = 4095 is lower than the minimum allowed value (4096)"),
        (ConnectionTuneOk(10, 131073, 0), "frame_max = 131073 is higher than the maximum allowed value (131072)"),
        (ConnectionTuneOk(10, 0, 0), "frame_max = 0 is higher than the maximum allowed value (131072)"),
        (ConnectionTuneOk(0, 4096, 0), "channel_max = 0 (no limit) is higher than the maximum allowed value (2047)"),
        (ConnectionTuneOk(2048, 4096, 0), "channel_max = 2048 is higher than the maximum allowed value (2047)"),
    ],
    ids=repr,
)
def test_limits_must_be_within_what_was_offered(driver: Driver, tune_ok: ConnectionTuneOk, text: str) -> None:
    client = greeted(driver)
    client.call(start_ok(), 0)
    assert client.refusal(tune_ok, 0) == (530, f"negotiated {text}")


def test_an_unknown_vhost(driver: Driver) -> None:
    client = greeted(driver)
    client.call(start_ok(), 0)
    client.send(ConnectionTuneOk(10, 4096, 0), 0)
    assert client.refusal(ConnectionOpen("other"), 0) == (530, "vhost other not found")


OUT_OF_TURN: list[tuple[list[Method], Method, int, str]] = [
    ([], ConnectionTuneOk(1, 4096, 0), 0, "unexpected method connection.tune-ok on channel 0"),
    ([start_ok()], ConnectionOpen("/"), 0, "unexpected method connection.open on channel 0"),
    ([start_ok()], QueueDeclare("q"), 0, "unexpected method queue.declare on channel 0"),
    ([], ChannelOpen(), 1, "frame on channel 1 before connection.open-ok"),
]


@pytest.mark.parametrize(("before", "method", "channel", "text"), OUT_OF_TURN)
def test_a_handshake_out_of_turn(driver: Driver, before: list[Method], method: Method, channel: int, text: str) -> None:
    client = greeted(driver)
    for each in before:
        client.call(each, 0)
    assert client.refusal(method, channel) == (504, text)


@pytest.mark.parametrize(
    "method", [start_ok(), ConnectionOpen("/"), ConnectionTuneOk(1, 4096, 0), TxSelectOk()], ids=repr
)
def test_a_handshake_is_not_repeated(client: Client, method: Method) -> None:
    assert client.refusal(method, 0) == (504, f"unexpected method {method.name} on channel 0")


def test_a_new_secret_is_taken(client: Client) -> None:
    assert client.call(ConnectionUpdateSecret(b"secret", "reason"), 0).method == ConnectionUpdateSecretOk()


BROKEN = {
    "an unknown kind": (b"\x09\0\x01\0\0\0\x01x\xce", 501, 'type 9, all octets = <<"x">>: unknown_frame'),
    "a heartbeat on a channel": (b"\x08\0\x01\0\0\0\0\xce", 501, "type 8, all octets = <<>>: unknown_frame"),
    "a heartbeat with a payload": (b"\x08\0\0\0\0\0\x01x\xce", 501, 'type 8, all octets = <<"x">>: unknown_frame'),
    "no frame end": (b"\x01\0\x01\0\0\0\x04\0\x14\0\x0a\x01", 501, None),
    "too large": (
        b"\x01\0\x01\0\x02\0\x01\x00",
        501,
        "type 1, all octets = <<>>: {frame_too_large,131073,131064}",
    ),
    "a negative size": (b"\x01\0\x01\xff\xff\xff\xff\x00", 501, None),
    "a method of no class": (b"\x01\0\x01\0\0\0\x04\0\x09\0\x0a\xce", 540, "unknown method 10 of class 9"),
    "a method without its id": (b"\x01\0\x01\0\0\0\x02\0\x3c\xce", 501, "type 1, all octets = <<0,60>>: unknown_frame"),
    "content on channel 0": (b"\x02\0\0\0\0\0\0\xce", 504, "type 2, all octets = <<>> on channel 0"),
    "content on no channel": (b"\x03\0\x07\0\0\0\x01x\xce", 504, "expected 'channel.open'"),
    "a publish with nothing in it": (b"\x01\0\x01\0\0\0\x04\0\x3c\0\x28\xce", 501, "cannot decode <<>>"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_frame_closes_the_connection_and_harms_nobody(driver: Driver, client: Client, case: str) -> None:
    data, code, text = BROKEN[case]
    other = driver.log_in()
    other.declare("queue")
    closed = said(client, data)
    assert len(closed) == 1
    assert isinstance(closed[0].method, ConnectionClose)
    assert refused(closed[0])[0] == code
    assert text in (None, refused(closed[0])[1])
    assert client.connection.state == CLOSING
    assert other.declare("queue") == (0, 0)


def test_before_the_limits_are_agreed_frames_are_small(driver: Driver) -> None:
    client = greeted(driver)
    assert refused(said(client, b"\x01\0\0" + struct.pack(">L", 8193) + b"x")[0]) == (
        501,
        "type 1, all octets = <<>>: {frame_too_large,8193,8184}",
    )


def test_what_follows_an_error_in_one_piece_is_ignored(driver: Driver, client: Client) -> None:
    client.feed(BROKEN["an unknown kind"][0] + HEARTBEAT_FRAME)
    client.send(QueueDeclare("ignored"))
    driver.tick()
    assert [received.method.name for received in client.take()] == ["connection.close"]
    assert driver.queue_names() == set()


def test_a_failing_source_of_randomness_is_an_internal_error_of_one_connection() -> None:
    """Stands for any defect of the broker: 541 for the connection it happened on, the others go on."""

    def no_random_octets(size: int) -> bytes:
        if exhausted:
            raise OSError("no randomness")
        return bytes(size)

    exhausted = False
    driver = Driver(Broker("1.2.3", "leveret@test", lambda: 0.0, no_random_octets))
    client, other = driver.log_in(), driver.log_in()
    exhausted = True
    other.declare("queue")
    client.declare("mine")
    client.publish("", "mine", b"kept")
    assert client.refusal(QueueDeclare("")) == (541, "internal error")
    client.send(ConnectionCloseOk(), 0)
    assert client.is_closed()
    assert other.declare("mine") == (1, 0)


# channels


def test_the_number_of_channels_is_limited_and_not_how_they_are_numbered(driver: Driver) -> None:
    client = driver.client().log_in(channels=(7, 65535), channel_max=2)
    assert client.refusal(ChannelOpen(), 1) == (
        530,
        "number of channels opened (2) has reached the negotiated channel_max (2)",
    )


def test_a_channel_may_be_opened_again(client: Client) -> None:
    assert client.call(ChannelClose(200, "done")).method == ChannelCloseOk()
    assert client.refusal(QueueDeclare("queue"))[0] == 504


def test_a_second_open_is_an_error(client: Client) -> None:
    assert client.refusal(ChannelOpen()) == (504, "second 'channel.open' seen")


UNEXPECTED: list[Method] = [
    *(BasicDeliver("tag", 1, False, "", ""), ExchangeDeclareOk(), QueueDeclareOk("q", 0, 0), TxSelectOk()),
    *(ChannelOpenOk(), AccessRequestOk(1), ConnectionOpenOk()),
]


@pytest.mark.parametrize("method", UNEXPECTED, ids=repr)
def test_a_method_that_no_client_sends(client: Client, method: Method) -> None:
    assert client.refusal(method) == (503, f"unexpected method {method.name}")


def test_access_is_granted(client: Client) -> None:
    assert client.call(AccessRequest("realm")).method == AccessRequestOk(1)


@pytest.mark.parametrize("active", [True, False])
def test_flow_is_answered(client: Client, active: bool) -> None:
    assert client.call(ChannelFlow(active)).method == ChannelFlowOk(active)


def test_a_channel_that_is_closing_hears_only_closes(driver: Driver, client: Client) -> None:
    assert client.refusal(QueueDeclare("missing", passive=True))[0] == 404
    client.publish("", "queue", b"ignored")
    client.send(QueueDeclare("ignored"))
    client.feed(b"\x03\0\x01\0\0\0\x01x\xce")
    assert said(client) == []
    assert client.call(ChannelClose(200, "mine")).method == ChannelCloseOk()
    client.send(ChannelCloseOk())
    assert client.call(ChannelOpen()).method == ChannelOpenOk()
    assert driver.queue_names() == set()


def test_channels_end_with_the_connections_close(driver: Driver, client: Client) -> None:
    client.declare("queue")
    client.call(QueueDeclare("exclusive", exclusive=True))
    assert client.call(ConnectionClose(200, "done"), 0).method == ConnectionCloseOk()
    assert client.connection.state == CLOSED
    assert driver.queue_names() == {"queue"}
    client.feed(HEARTBEAT_FRAME)
    assert said(client) == []
