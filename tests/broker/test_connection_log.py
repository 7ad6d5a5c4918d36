"""What is logged of connections and channels: RabbitMQ's lines, their parts for JSON, and never a password."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from leveret.amqp.field_table import table_from_python
from leveret.amqp.frame import PROTOCOL_HEADER, method_frame
from leveret.amqp.methods import (
    ChannelOpen,
    ConnectionClose,
    ConnectionOpen,
    ConnectionStartOk,
    ConnectionTuneOk,
    ConnectionUpdateSecret,
    Method,
    QueueDeclare,
    QueueDelete,
)
from leveret.broker.connection_log import duration, without_octets
from tests.broker.driver import Client, Driver

ADDRESSES = "127.0.0.1:1000 -> 127.0.0.1:5672"
PASSWORD = "Tr0ub4dor&3"
Lines = list[tuple[str, str]]


@pytest.fixture(autouse=True)
def everything(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    with caplog.at_level(logging.DEBUG, "leveret"):
        yield


def logged(caplog: pytest.LogCaptureFixture) -> Lines:
    """The levels and the lines of connections and channels since this was last asked."""
    names = ("leveret.connection", "leveret.channel")
    result = [(record.levelname, record.getMessage()) for record in caplog.records if record.name in names]
    caplog.clear()
    return result


def start_ok(user: str = "guest", password: str = "guest", name: str | None = None, able: bool = True) -> Method:
    properties: dict[str, object] = {"capabilities": {"authentication_failure_close": able}}
    if name is not None:
        properties["connection_name"] = name
    return ConnectionStartOk(table_from_python(properties), "PLAIN", f"\0{user}\0{password}".encode(), "en_US")


def begin(driver: Driver, *methods: Method) -> Client:
    client = driver.client()
    client.feed(PROTOCOL_HEADER)
    for method in methods:
        client.send(method, 0)
    driver.tick()
    return client


def opened(driver: Driver, name: str | None = None) -> Client:
    return begin(driver, start_ok(name=name), ConnectionTuneOk(2047, 131072, 0), ConnectionOpen("/"))


@pytest.mark.parametrize(("name", "named"), [(None, ADDRESSES), ("worker 1", f"{ADDRESSES} - worker 1")])
def test_a_connection_that_is_opened_and_closed(
    driver: Driver, caplog: pytest.LogCaptureFixture, name: str | None, named: str
) -> None:
    client = opened(driver, name)
    assert logged(caplog) == [
        ("INFO", f"accepting AMQP connection {ADDRESSES}"),
        ("INFO", f"connection {named}: user 'guest' authenticated and granted access to vhost '/'"),
    ]
    driver.now += 75
    client.send(ConnectionClose(200, "bye", 0, 0), 0)
    assert logged(caplog) == [
        ("INFO", f"closing AMQP connection ({named}, vhost: '/', user: 'guest', duration: '1M, 15s')")
    ]


def test_a_client_that_is_gone(driver: Driver, caplog: pytest.LogCaptureFixture) -> None:
    opened(driver, "w").connection.client_gone()
    assert logged(caplog)[2:] == [
        (
            "WARNING",
            f"closing AMQP connection ({ADDRESSES} - w, vhost: '/', user: 'guest', duration: '0ms'): "
            "client unexpectedly closed TCP connection",
        )
    ]


def test_a_client_that_is_gone_after_the_broker_closed(driver: Driver, caplog: pytest.LogCaptureFixture) -> None:
    client = opened(driver)
    client.connection.force_close("stop")
    client.connection.client_gone()
    assert [level for level, _ in logged(caplog)[2:]] == ["INFO"]


def test_who_says_nothing_is_not_worth_a_line(driver: Driver, caplog: pytest.LogCaptureFixture) -> None:
    driver.client().connection.client_gone()
    assert [level for level, _ in logged(caplog)] == ["DEBUG"]


def test_another_protocol(driver: Driver, caplog: pytest.LogCaptureFixture) -> None:
    driver.client().feed(b"GET / HTTP/1.1\r\n")
    accepted, closed = logged(caplog)
    assert accepted == ("INFO", f"accepting AMQP connection {ADDRESSES}")
    assert closed[0] == "WARNING"
    assert closed[1].endswith(": its protocol is not AMQP 0-9-1")


@pytest.mark.parametrize("able", [True, False])
def test_a_refused_login(driver: Driver, caplog: pytest.LogCaptureFixture, able: bool) -> None:
    begin(driver, start_ok("guest", PASSWORD, able=able))
    _, refused, *_ = logged(caplog)
    assert refused == (
        "ERROR",
        f"Error on AMQP connection ({ADDRESSES}, state: starting): "
        "PLAIN login refused: user 'guest' - invalid credentials",
    )


def test_a_handshake_that_takes_too_long(driver: Driver, caplog: pytest.LogCaptureFixture) -> None:
    begin(driver, start_ok())
    driver.at(11)
    level, line = logged(caplog)[-1]
    assert level == "WARNING"
    assert line.endswith(": handshake timeout in state tuning")


def test_an_error_of_the_connection(driver: Driver, caplog: pytest.LogCaptureFixture) -> None:
    client = opened(driver)
    client.send(ConnectionOpen("/"), 0)
    assert logged(caplog)[2] == (
        "ERROR",
        f"Error on AMQP connection ({ADDRESSES}, vhost: '/', user: 'guest', state: running): "
        "CHANNEL_ERROR - unexpected method connection.open on channel 0",
    )


def test_an_error_of_a_channel(driver: Driver, caplog: pytest.LogCaptureFixture) -> None:
    client = opened(driver)
    client.send(ChannelOpen(), 7)
    client.send(QueueDeclare("none", passive=True), 7)
    assert logged(caplog)[2:] == [
        (
            "ERROR",
            f"Channel error on connection ({ADDRESSES}, vhost: '/', user: 'guest'), channel 7: "
            "NOT_FOUND - no queue 'none' in vhost '/'",
        )
    ]


def test_queues_are_told_of_for_who_looks_for_errors(driver: Driver, caplog: pytest.LogCaptureFixture) -> None:
    client = driver.client().log_in()
    caplog.clear()
    client.send(QueueDeclare("q"))
    client.send(QueueDelete("q"))
    told = [(record.levelname, record.getMessage()) for record in caplog.records if record.name == "leveret.queue"]
    assert told == [
        ("DEBUG", "queue 'q' added to vhost '/'"),
        ("DEBUG", "queue 'q' deleted from vhost '/', with 0 ready messages"),
    ]


def test_a_message_on_its_way_has_no_line(driver: Driver, caplog: pytest.LogCaptureFixture) -> None:
    client = driver.client().log_in()
    client.declare("q")
    caplog.clear()
    client.publish("", "q", b"x")
    driver.tick()
    assert client.fetch("q") is not None
    assert caplog.records == []


def test_the_parts_of_a_line(driver: Driver, caplog: pytest.LogCaptureFixture) -> None:
    client = opened(driver, "n" * 300)
    fields = [getattr(record, "fields", None) for record in caplog.records if record.name == "leveret.connection"]
    whole = {
        "connection": ADDRESSES,
        "peer": "127.0.0.1:1000",
        "user": "guest",
        "vhost": "/",
        "connection_name": "n" * 200,
    }
    assert fields == [{"connection": ADDRESSES, "peer": "127.0.0.1:1000"}, whole]
    driver.now += 1.5
    client.connection.client_gone()
    assert getattr(caplog.records[-1], "fields", None) == {**whole, "duration_ms": 1500}


# Passwords

FRAME = method_frame(0, start_ok(password=PASSWORD).encode())


BROKEN = {
    "a wrong password": FRAME,
    "no end of the frame": FRAME[:-1] + b"x",
    "an unknown kind of frame": b"\x07" + FRAME[1:],
    "a content header": b"\x02" + FRAME[1:],
    "a heartbeat": b"\x08" + FRAME[1:],
    "octets that are missing": FRAME[:20] + FRAME[30:],
    "another mechanism": FRAME.replace(b"PLAIN", b"AMQPL"),
    "a response that is not PLAIN": FRAME.replace(b"\0guest", b"guest\0"),
    "a name that is not UTF-8": FRAME.replace(b"guest", b"gu\xffst"),
    "a locale that is not UTF-8": FRAME.replace(b"en_US", b"\xff\xff\xff\xff\xff"),
    "another channel": method_frame(3, start_ok(password=PASSWORD).encode()),
    "a second one": FRAME + FRAME,
    "a key that is not UTF-8": FRAME.replace(b"capabilities", b"\xffapabilities"),
    "no frame at all": PASSWORD.encode() * 100,
}


@pytest.mark.parametrize("data", BROKEN.values(), ids=BROKEN)
def test_no_password_is_logged_whatever_is_wrong_with_a_frame(
    driver: Driver, caplog: pytest.LogCaptureFixture, data: bytes
) -> None:
    client = driver.client()
    client.feed(PROTOCOL_HEADER)
    client.feed(data)
    client.feed(b"\xce" * 8)
    driver.tick()
    driver.at(20)
    assert client.is_closed()
    assert caplog.records
    assert PASSWORD[:6] not in caplog.text
    assert all(PASSWORD not in str(vars(record)) for record in caplog.records)


def test_no_secret_is_logged(driver: Driver, caplog: pytest.LogCaptureFixture) -> None:
    client = opened(driver)
    client.send(ConnectionUpdateSecret(PASSWORD.encode(), "it is time"), 0)
    client.feed(method_frame(0, ConnectionUpdateSecret(PASSWORD.encode(), "it is time").encode())[:-1] + b"x")
    assert "Error on AMQP connection" in caplog.text
    assert PASSWORD not in caplog.text


def test_octets_are_left_out() -> None:
    text = "type 7, all octets = <<1,2,3>>: unknown_frame"
    assert without_octets(text) == "type 7, all octets left out: unknown_frame"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0ms"), (0.0149, "14ms"), (1, "1s"), (60, "1M"), (3605, "1H, 5s"), (93784, "1D, 2H, 3M, 4s")],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text
