"""Methods at the wrong time or in the wrong place, and frames on channels that are not open."""

from __future__ import annotations

import pytest

from tests.behaviour.expectations import leveret_only
from tests.support.raw_client import (
    BASIC_DELIVER,
    BODY,
    CHANNEL_CLOSE,
    CHANNEL_CLOSE_OK,
    CHANNEL_FLOW,
    CHANNEL_OPEN,
    CHANNEL_OPEN_OK,
    CONFIRM_SELECT_OK,
    CONNECTION_BLOCKED,
    CONNECTION_CLOSE,
    CONNECTION_CLOSE_OK,
    CONNECTION_OPEN,
    CONNECTION_OPEN_OK,
    CONNECTION_SECURE_OK,
    CONNECTION_START,
    CONNECTION_START_OK,
    CONNECTION_TUNE,
    CONNECTION_TUNE_OK,
    CONNECTION_UNBLOCKED,
    CONNECTION_UPDATE_SECRET,
    QUEUE_DECLARE,
    QUEUE_DECLARE_OK,
    MethodId,
    RawClient,
    close_arguments,
    content_header,
    declare_queue,
    frame,
    longstr,
    method,
    open_vhost,
    publish,
    shortstr,
    start_ok,
    table,
    tune_ok,
)
from tests.wire.conftest import Dial, ids

START = b"\x00\x09" + table() + longstr("PLAIN") + longstr("en_US")
SECRET = longstr("guest") + shortstr("renewed")


@pytest.mark.parametrize(
    "data",
    [
        tune_ok(),
        open_vhost(),
        method(1, CHANNEL_OPEN, b"\0"),
        declare_queue(1, "early"),
        method(0, CONNECTION_CLOSE_OK),
    ],
    ids=["tune-ok", "connection.open", "channel.open", "queue.declare", "close-ok"],
)
def test_nothing_comes_before_start_ok(dial: Dial, data: bytes) -> None:
    client = dial()
    client.greet()
    client.send(data)
    client.expect_refusal()


@pytest.mark.parametrize(
    "data",
    [start_ok(), open_vhost(), method(1, CHANNEL_OPEN, b"\0"), method(0, CONNECTION_SECURE_OK, longstr("guest"))],
    ids=["start-ok", "connection.open", "channel.open", "secure-ok"],
)
def test_nothing_but_tune_ok_follows_tune(dial: Dial, data: bytes) -> None:
    client = dial()
    client.authenticate()
    client.send(data)
    client.expect_refusal()


@pytest.mark.parametrize(
    "data",
    [start_ok(), tune_ok(), method(0, CHANNEL_OPEN, b"\0"), method(0, CONNECTION_CLOSE_OK)],
    ids=["start-ok", "tune-ok", "channel.open on 0", "close-ok"],
)
def test_nothing_but_open_follows_tune_ok(dial: Dial, data: bytes) -> None:
    client = dial()
    client.authenticate()
    client.send(tune_ok() + data)
    client.expect_connection_close(504)


@pytest.mark.parametrize(
    "data",
    [method(1, CHANNEL_OPEN, b"\0"), declare_queue(1, "early"), publish(1, "early", b"body")],
    ids=["channel.open", "queue.declare", "basic.publish"],
)
def test_a_channel_cannot_be_used_before_open(dial: Dial, data: bytes) -> None:
    client = dial()
    client.authenticate()
    client.send(tune_ok() + data)
    client.expect_connection_close((504, 505))


@pytest.mark.parametrize(
    ("which", "arguments"),
    [
        (CONNECTION_START, START),
        (CONNECTION_START_OK, table() + shortstr("PLAIN") + longstr("\0guest\0guest") + shortstr("en_US")),
        (CONNECTION_SECURE_OK, longstr("guest")),
        (CONNECTION_TUNE, b"\0" * 8),
        (CONNECTION_TUNE_OK, b"\0" * 8),
        (CONNECTION_OPEN, shortstr("/") + b"\0\0"),
        (CONNECTION_OPEN_OK, b"\0"),
        (CONNECTION_CLOSE_OK, b""),
        (CONNECTION_BLOCKED, shortstr("low on patience")),
        (CONNECTION_UNBLOCKED, b""),
        (CHANNEL_OPEN, b"\0"),
        (CHANNEL_CLOSE, close_arguments()),
        (QUEUE_DECLARE, b"\0\0\0\0" + table()),
    ],
    ids=ids,
)
def test_an_open_connection_takes_no_such_method_on_channel_0(
    client: RawClient, which: MethodId, arguments: bytes
) -> None:
    client.send(method(0, which, arguments))
    client.expect_connection_close(504, failing=which)


@pytest.mark.parametrize("data", [content_header(0, 1), frame(BODY, 0, b"x")], ids=["header", "body"])
def test_channel_0_takes_no_content(client: RawClient, data: bytes) -> None:
    client.send(data)
    client.expect_connection_close((504, 505))


@pytest.mark.parametrize(
    ("which", "arguments"),
    [
        (CONNECTION_CLOSE, close_arguments()),
        (CONNECTION_TUNE_OK, b"\0" * 8),
        (CONNECTION_OPEN, shortstr("/") + b"\0\0"),
        (CONNECTION_UPDATE_SECRET, SECRET),
        (CHANNEL_OPEN_OK, b"\0\0\0\0"),
        (CHANNEL_CLOSE_OK, b""),
        (QUEUE_DECLARE_OK, shortstr("x") + b"\0" * 8),
        (CONFIRM_SELECT_OK, b""),
    ],
    ids=ids,
)
def test_a_channel_takes_no_methods_of_the_connection_or_of_the_server(
    client: RawClient, which: MethodId, arguments: bytes
) -> None:
    client.send(method(1, which, arguments))
    client.expect_connection_close(503, failing=which)


def test_a_client_cannot_deliver(client: RawClient) -> None:
    deliver = method(1, BASIC_DELIVER, shortstr("tag") + b"\0" * 9 + b"\0\0")
    client.send(deliver + content_header(1, 1) + frame(BODY, 1, b"x"))
    client.expect_connection_close(503, failing=BASIC_DELIVER)


def test_a_second_channel_open_closes_the_connection(client: RawClient) -> None:
    client.send(method(1, CHANNEL_OPEN, b"\0"))
    client.expect_connection_close(504, "second 'channel.open' seen", failing=CHANNEL_OPEN)


@pytest.mark.parametrize(
    ("which", "arguments"),
    [
        (QUEUE_DECLARE, b"\0\0\0\4" + table()),
        (CHANNEL_FLOW, b"\1"),
        (CHANNEL_CLOSE, close_arguments()),
        (CHANNEL_CLOSE_OK, b""),
    ],
    ids=["queue.declare", "channel.flow", "channel.close", "channel.close-ok"],
)
def test_a_channel_never_opened_takes_no_method(client: RawClient, which: MethodId, arguments: bytes) -> None:
    client.send(method(7, which, arguments))
    client.expect_connection_close(504, "expected 'channel.open'", failing=which)


def test_a_channel_never_opened_takes_no_publish(client: RawClient) -> None:
    client.send(publish(7, "nowhere", b"body"))
    client.expect_connection_close(504, "expected 'channel.open'", failing=(60, 40))


@pytest.mark.parametrize("data", [content_header(7, 1), frame(BODY, 7, b"x")], ids=["header", "body"])
def test_a_channel_never_opened_takes_no_content(client: RawClient, data: bytes) -> None:
    client.send(data)
    client.expect_connection_close((504, 505))


def test_a_channel_closed_by_the_client_is_as_one_never_opened(client: RawClient) -> None:
    client.call(1, CHANNEL_CLOSE, close_arguments(), CHANNEL_CLOSE_OK)
    client.send(declare_queue(1, "late"))
    client.expect_connection_close(504, "expected 'channel.open'", failing=QUEUE_DECLARE)


@pytest.mark.parametrize(
    "which",
    [(99, 10), (0, 0), (65535, 65535), (50, 99), (60, 62), (70, 10), (85, 20), (110, 10)],
    ids=["class 99", "zeros", "ones", "queue.99", "basic.62", "file", "confirm.20", "tunnel"],
)
@pytest.mark.parametrize("channel", [0, 1, 5])
@leveret_only("RabbitMQ ends the connection without a word")
def test_an_unknown_method_closes_the_connection(client: RawClient, channel: int, which: MethodId) -> None:
    client.send(method(channel, which, b"\0\0"))
    client.expect_connection_close((503, 540))
