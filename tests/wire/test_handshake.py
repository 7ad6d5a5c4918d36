"""From the protocol header to a successful login: what the broker offers, and how it refuses."""

from __future__ import annotations

import pytest

from tests.behaviour.expectations import leveret_only
from tests.support.raw_client import (
    CONNECTION_START,
    CONNECTION_START_OK,
    CONNECTION_TUNE,
    PROTOCOL_HEADER,
    ConnectionEnded,
    RawClient,
    amqplain,
    longstr,
    method,
    open_vhost,
    plain,
    shortstr,
    start_ok,
    table,
    tune_ok,
)
from tests.wire.conftest import Connect, Dial, ids

WANTS_A_REASON = {"capabilities": {"authentication_failure_close": True}}
REFUSED = "Login was refused using authentication mechanism {}. For details see the broker logfile."
CAPABILITIES = {
    "publisher_confirms",
    "exchange_exchange_bindings",
    "basic.nack",
    "consumer_cancel_notify",
    "connection.blocked",
    "consumer_priorities",
    "authentication_failure_close",
    "per_consumer_qos",
    "direct_reply_to",
}


def server_properties(client: RawClient) -> dict[str, object]:
    reader = client.greet().arguments
    reader.unpack("BB")
    return reader.table()


def expect_protocol_header(client: RawClient) -> None:
    """The answer to a header the broker cannot speak: its own, and the end."""
    answer = b""
    while len(answer) < 8:
        answer += client.receive()
    assert answer == PROTOCOL_HEADER
    client.expect_end()


@pytest.mark.parametrize(
    "header",
    [b"AMQP\x00\x00\x09\x02", b"AMQP\x00\x00\x0a\x00"],
    ids=["newer revision", "newer version"],
)
def test_a_later_protocol_version_is_answered_with_the_one_spoken(dial: Dial, header: bytes) -> None:
    client = dial()
    client.send(header)
    expect_protocol_header(client)


@pytest.mark.parametrize(
    "header",
    [
        pytest.param(b"AMQP\x01\x01\x08\x00", marks=leveret_only("RabbitMQ 3 still spoke 0-8, RabbitMQ 4 does not")),
        b"AMQP\x00\x01\x00\x00",
        b"AMQP\x03\x01\x00\x00",
        b"AMQP\x01\x01\x00\x0a",
        b"HELO\x00\x00\x09\x01",
        b"\0\0\0\0\0\0\0\0",
    ],
    ids=["0-8", "1.0", "1.0 with SASL", "odd", "not AMQP", "zeros"],
)
def test_another_protocol_is_answered_with_the_one_spoken(dial: Dial, header: bytes) -> None:
    client = dial()
    client.send(header)
    expect_protocol_header(client)


def test_an_http_request_is_answered_and_closed(dial: Dial) -> None:
    client = dial()
    client.send(b"GET / HTTP/1.1\r\nHost: broker\r\n\r\n")
    with pytest.raises(ConnectionEnded):
        assert client.receive().startswith(b"AMQP")
        client.receive()


def test_the_header_of_0_9_is_accepted(dial: Dial) -> None:
    client = dial()
    client.send(b"AMQP\x01\x01\x00\x09")
    assert client.expect(CONNECTION_START).arguments.unpack("BB") == (0, 9)
    client.send(start_ok())
    client.expect(CONNECTION_TUNE)


def test_the_protocol_header_may_come_in_pieces(dial: Dial) -> None:
    client = dial()
    for octet in PROTOCOL_HEADER:
        client.send(bytes([octet]))
    client.expect(CONNECTION_START)


def test_start_names_version_mechanisms_and_locale(dial: Dial) -> None:
    reader = dial().greet().arguments
    assert reader.unpack("BB") == (0, 9)
    reader.table()
    mechanisms, locales = reader.longstr().decode(), reader.longstr().decode()
    assert {"PLAIN", "AMQPLAIN"} <= set(mechanisms.split(" "))
    assert "EXTERNAL" not in mechanisms
    assert locales == "en_US"
    assert reader.ended


@leveret_only("RabbitMQ lists the mechanisms of its plugins in any order")
def test_start_offers_exactly_plain_and_amqplain(dial: Dial) -> None:
    reader = dial().greet().arguments
    reader.unpack("BB")
    reader.table()
    assert sorted(reader.longstr().split(b" ")) == [b"AMQPLAIN", b"PLAIN"]


def test_start_announces_the_nine_capabilities(dial: Dial) -> None:
    assert server_properties(dial())["capabilities"] == dict.fromkeys(CAPABILITIES, True)


def test_start_says_rabbitmq_to_clients_that_ask_for_the_product(dial: Dial) -> None:
    properties = server_properties(dial())
    assert properties["product"] == "RabbitMQ"
    version = properties["version"]
    assert isinstance(version, str)
    assert all(part.isdigit() for part in version.split(".")), version
    assert tuple(map(int, version.split(".")[:2])) >= (3, 3)
    for key in ("platform", "copyright", "cluster_name", "information"):
        assert isinstance(properties[key], str) and properties[key], key


@leveret_only("it speaks of Leveret")
def test_start_says_leveret_to_people(dial: Dial) -> None:
    assert "Leveret" in str(server_properties(dial())["information"])


@pytest.mark.parametrize("mechanism", ["PLAIN", "AMQPLAIN"])
def test_guest_logs_in(dial: Dial, mechanism: str) -> None:
    client = dial()
    client.greet()
    client.send(start_ok(mechanism))
    assert client.expect(CONNECTION_TUNE).arguments.unpack("HLH") == (2047, 131072, 60)


@pytest.mark.parametrize(
    ("mechanism", "response"),
    [
        ("PLAIN", plain(password="wrong")),
        ("PLAIN", plain(user="nobody")),
        ("PLAIN", plain(password="")),
        ("AMQPLAIN", amqplain(password="wrong")),
        ("AMQPLAIN", amqplain(user="nobody")),
    ],
    ids=["password", "user", "empty password", "amqplain password", "amqplain user"],
)
def test_wrong_credentials_are_refused_with_a_reason_to_those_who_want_one(
    dial: Dial, mechanism: str, response: bytes
) -> None:
    client = dial()
    client.greet()
    client.send(start_ok(mechanism, response, WANTS_A_REASON))
    client.expect_connection_close(403, REFUSED.format(mechanism))


@pytest.mark.parametrize(
    "properties",
    [{}, {"capabilities": {"authentication_failure_close": False}}, {"capabilities": "yes"}],
    ids=["no capabilities", "not wanted", "nonsense"],
)
def test_wrong_credentials_end_the_socket_of_those_who_want_no_reason(
    dial: Dial, properties: dict[str, object]
) -> None:
    client = dial()
    client.greet()
    client.send(start_ok(response=plain(password="wrong"), properties=properties))
    client.expect_end()


@pytest.mark.parametrize(
    ("mechanism", "response"),
    [
        ("PLAIN", b""),
        ("PLAIN", b"guest"),
        ("PLAIN", b"\0guest"),
        ("PLAIN", b"\xff\xfe\0\xff\0\xff"),
        ("AMQPLAIN", b""),
        ("AMQPLAIN", amqplain()[:-3]),
        ("AMQPLAIN", table({"LOGIN": "guest"})[4:]),
        ("AMQPLAIN", b"\xff" * 40),
    ],
    ids=ids,
)
def test_a_malformed_response_is_refused_and_the_connection_ends(dial: Dial, mechanism: str, response: bytes) -> None:
    client = dial()
    client.greet()
    client.send(start_ok(mechanism, response, WANTS_A_REASON))
    client.expect_refusal()


@pytest.mark.parametrize("mechanism", ["NONSENSE", "EXTERNAL", "", "plain"])
def test_an_unknown_mechanism_is_refused(dial: Dial, mechanism: str) -> None:
    client = dial()
    client.greet()
    client.send(start_ok(mechanism, plain(), WANTS_A_REASON))
    client.expect_refusal()


@leveret_only("RabbitMQ writes the reason only to its log")
def test_an_unknown_mechanism_is_refused_by_name(dial: Dial) -> None:
    client = dial()
    client.greet()
    client.send(start_ok("NONSENSE", b"", WANTS_A_REASON))
    client.expect_connection_close(503, "unknown authentication mechanism 'NONSENSE'", failing=CONNECTION_START_OK)


def test_an_unknown_locale_is_taken(dial: Dial) -> None:
    client = dial()
    client.greet()
    client.send(start_ok(locale="xx_YY"))
    client.expect(CONNECTION_TUNE)


def test_client_properties_of_every_field_type_are_taken(connect: Connect) -> None:
    connect(
        properties={
            "text": "äöü",
            "empty": "",
            "number": -(2**63),
            "float": 0.5,
            "none": None,
            "bytes": b"\0\xff",
            "flag": True,
            "nested": {"list": [1, "two", [3.0, None, {}], {"deep": [False]}]},
        }
    )


@pytest.mark.parametrize("vhost", ["nowhere", "//", ""])
def test_an_unknown_vhost_is_refused(dial: Dial, vhost: str) -> None:
    client = dial()
    client.authenticate()
    client.send(tune_ok() + open_vhost(vhost))
    client.expect_connection_close(530, f"vhost {vhost} not found", failing=(10, 40))


def test_a_client_may_send_its_part_of_the_opening_without_waiting(dial: Dial) -> None:
    client = dial()
    client.send(PROTOCOL_HEADER + start_ok() + tune_ok() + open_vhost())
    client.expect(CONNECTION_START)
    client.expect(CONNECTION_TUNE)
    client.expect((10, 41))


@pytest.mark.parametrize(
    "arguments",
    [
        b"",
        b"\0\0\0",
        longstr(b"\x05ab"),
        table() + shortstr("PLAIN") + b"\xff\xff\xff\xff" + plain(),
        longstr(shortstr("key") + b"?") + shortstr("PLAIN") + longstr(plain()) + shortstr("en_US"),
        longstr(shortstr("key") + b"S\0\0\xff\xffshort") + shortstr("PLAIN") + longstr(plain()) + shortstr("en_US"),
    ],
    ids=["none", "cut table length", "cut table", "response too long", "unknown field type", "field too long"],
)
def test_malformed_start_ok_arguments_end_the_connection(dial: Dial, arguments: bytes) -> None:
    client = dial()
    client.greet()
    client.send(method(0, CONNECTION_START_OK, arguments))
    client.expect_refusal()
