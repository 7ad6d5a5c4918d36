"""Methods: every one round trips, ids and names agree, and malformed payloads get RabbitMQ's answers."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leveret.amqp import methods
from leveret.amqp.field_table import FieldValue
from leveret.amqp.methods import (
    METHOD_IDS,
    BasicAck,
    BasicConsume,
    BasicDeliver,
    BasicNack,
    BasicPublish,
    BasicReject,
    ChannelClose,
    ConnectionBlocked,
    ConnectionClose,
    ConnectionSecure,
    ConnectionSecureOk,
    ConnectionStartOk,
    ConnectionTuneOk,
    ConnectionUpdateSecret,
    ConnectionUpdateSecretOk,
    ExchangeUnbindOk,
    Method,
    QueueDeclare,
    TxSelect,
    decode_method,
)
from leveret.amqp.reply_codes import FRAME_ERROR, NOT_IMPLEMENTED, SYNTAX_ERROR, AMQPError, HardError
from tests.amqp import strategies
from tests.amqp.strategies import wire_name

ids = st.sampled_from(sorted(METHOD_IDS.values()))


def refused(payload: bytes) -> HardError:
    with pytest.raises(HardError) as error:
        decode_method(payload)
    return error.value


@pytest.mark.parametrize("method_class", strategies.METHOD_CLASSES, ids=wire_name)
@given(data=st.data())
def test_round_trip(method_class: type[Method], data: st.DataObject) -> None:
    fields = data.draw(strategies.fields_of(method_class))
    method = method_class(**fields)  # type: ignore[arg-type]
    assert method.name == wire_name(method_class)
    assert METHOD_IDS[method.name] == (method.class_id, method.method_id)
    payload = method.encode()
    assert payload[:4] == struct.pack(">HH", method.class_id, method.method_id)
    decoded = decode_method(payload)
    assert type(decoded) is method_class
    assert {field: getattr(decoded, field) for field in fields} == fields
    assert decoded == method
    assert decoded.encode() == payload


def test_every_method_is_exported() -> None:
    assert {wire_name(method_class) for method_class in strategies.METHOD_CLASSES} == set(METHOD_IDS)
    assert len(set(METHOD_IDS.values())) == len(METHOD_IDS) == 66
    assert all(hasattr(methods, name) for name in methods.__all__)


@pytest.mark.parametrize("method_class", strategies.METHOD_CLASSES, ids=wire_name)
@settings(max_examples=20)
@given(data=st.data())
def test_arguments_of_another_length(method_class: type[Method], data: st.DataObject) -> None:
    payload = data.draw(strategies.methods_of(method_class)).encode()
    error = refused(payload + b"\x00")
    assert error.code == FRAME_ERROR
    assert (error.class_id, error.method_id) == struct.unpack_from(">HH", payload)
    for length in range(4, len(payload)):
        error = refused(payload[:length])
        assert error.code == FRAME_ERROR
        assert (error.class_id, error.method_id) == struct.unpack_from(">HH", payload)


arbitrary_payloads = st.one_of(
    st.binary(max_size=100),
    st.builds(lambda id_pair, octets: struct.pack(">HH", *id_pair) + octets, ids, st.binary(max_size=100)),
    strategies.damaged(strategies.any_method.map(lambda method: method.encode())),
)


@given(arbitrary_payloads)
def test_arbitrary_octets_raise_only_protocol_errors(payload: bytes) -> None:
    try:
        method = decode_method(payload)
    except AMQPError as error:
        assert isinstance(error, HardError)
        assert error.code in (FRAME_ERROR, SYNTAX_ERROR, NOT_IMPLEMENTED)
        assert len(error.text.encode()) <= 255
    else:
        assert decode_method(method.encode()) == method


# RabbitMQ's own answers to these payloads
@pytest.mark.parametrize(
    ("payload", "text", "failing"),
    [
        (b"", "FRAME_ERROR - type 1, all octets = <<>>: unknown_frame", (0, 0)),
        (b"\x00\x32\x00", "FRAME_ERROR - type 1, all octets = <<0,50,0>>: unknown_frame", (0, 0)),
        (b"\x00\x32\x00\x0a\x00\x00\x05ab", "FRAME_ERROR - cannot decode <<0,0,5,97,98>>", (50, 10)),
        (
            b"\x00\x32\x00\x0a\x00\x00\x02ab\x08\x00\x00\x00\x00zz",
            "FRAME_ERROR - cannot decode <<0,0,2,97,98,8,0,0,0,0,122,122>>",
            (50, 10),
        ),
        (b"\x00\x5a\x00\x0azz", "FRAME_ERROR - cannot decode <<122,122>>", (90, 10)),
        (
            b"\x00\x32\x00\x0a\x00\x00\xff" + b"a" * 200,
            "FRAME_ERROR - cannot decode <<0,0,255," + "97," * 71 + "9...",
            (50, 10),
        ),
    ],
)
def test_malformed_payloads(payload: bytes, text: str, failing: tuple[int, int]) -> None:
    error = refused(payload)
    assert error.text == text
    assert (error.class_id, error.method_id) == failing


@pytest.mark.parametrize(
    "id_pair", [(50, 99), (99, 99), (10, 99), (20, 99), (30, 99), (40, 41), (60, 99), (85, 99), (90, 99), (0, 0)]
)
def test_unknown_methods(id_pair: tuple[int, int]) -> None:
    error = refused(struct.pack(">HH", *id_pair) + b"abc")
    assert error.text == f"NOT_IMPLEMENTED - unknown method {id_pair[1]} of class {id_pair[0]}"
    assert (error.class_id, error.method_id) == id_pair


def test_malformed_table_names_the_method() -> None:
    error = refused(b"\x00\x32\x00\x0a\x00\x00\x00\x08\x00\x00\x00\x03\x01aZ")
    assert error.text == "SYNTAX_ERROR - malformed field table: unknown type 90"
    assert (error.class_id, error.method_id) == (50, 10)


def test_utf8_is_checked_but_not_in_methods_with_content() -> None:
    with pytest.raises(HardError, match="Malformed UTF-8 in shortstr"):
        decode_method(b"\x00\x32\x00\x0a\x00\x00\x02\xff\xfe\x08\x00\x00\x00\x00")
    payload = b"\x00\x3c\x00\x28\x00\x00\x01\xfd\x02\xff\xfe\x00"
    publish = decode_method(payload)
    assert isinstance(publish, BasicPublish)
    assert (publish.exchange, publish.routing_key) == ("\udcfd", "\udcff\udcfe")
    assert publish.encode() == payload


def test_ticket_and_unknown_bits_are_ignored() -> None:
    declare = decode_method(b"\x00\x32\x00\x0a\x12\x34\x01q\xe2\x00\x00\x00\x00")
    assert declare == QueueDeclare("q", durable=True)
    assert declare.encode()[4:6] == b"\x00\x00"


@pytest.mark.parametrize(
    ("method", "payload"),
    [
        (
            QueueDeclare("q", True, False, True, False, True, {"x-message-ttl": FieldValue("I", 60000)}),
            "0032000a 0000 0171 15 00000013 0d782d6d6573736167652d74746c 490000ea60",
        ),
        (BasicPublish("logs", "kern", mandatory=True), "003c0028 0000 046c6f6773 046b65726e 01"),
        (BasicDeliver("ctag", 258, True, "", "q"), "003c003c 0463746167 0000000000000102 01 00 0171"),
        (BasicAck(2**64 - 1, True), "003c0050 ffffffffffffffff 01"),
        (BasicNack(1, False, True), "003c0078 0000000000000001 02"),
        (BasicReject(1, True), "003c005a 0000000000000001 01"),
        (BasicConsume("q", "t", False, True, False, True), "003c0014 0000 0171 0174 0a 00000000"),
        (ConnectionTuneOk(2047, 131072, 60), "000a001f 07ff 00020000 003c"),
        (ConnectionClose(320, "x", 50, 10), "000a0032 0140 0178 0032 000a"),
        (ChannelClose(404, "NOT_FOUND", 60, 40), "00140028 0194 094e4f545f464f554e44 003c 0028"),
        (ExchangeUnbindOk(), "00280033"),
        (TxSelect(), "005a000a"),
        (ConnectionUpdateSecret(b"new", "old"), "000a0046 00000003 6e6577 03 6f6c64"),
        (ConnectionUpdateSecretOk(), "000a0047"),
        (ConnectionBlocked("low on disk"), "000a003c 0b6c6f77206f6e206469736b"),
    ],
    ids=lambda value: value.name if isinstance(value, Method) else "",
)
def test_known_octets(method: Method, payload: str) -> None:
    assert method.encode() == bytes.fromhex(payload)
    assert decode_method(bytes.fromhex(payload)) == method


def test_methods_are_compared_by_what_they_say() -> None:
    assert BasicAck(1) == BasicAck(1)
    assert BasicAck(1) != BasicAck(2)
    assert BasicAck(1) != BasicReject(1, False)
    assert BasicAck(1) != "basic.ack"


def test_repr_shows_fields() -> None:
    assert repr(BasicAck(5, True)) == "BasicAck(delivery_tag=5, multiple=True)"
    assert repr(TxSelect()) == "TxSelect()"
    assert repr(BasicConsume("q")).startswith("BasicConsume(queue='q', consumer_tag='', no_local=False")


@pytest.mark.parametrize(
    "method",
    [
        ConnectionStartOk({}, "PLAIN", b"\x00guest\x00swordfish", "en_US"),
        ConnectionSecure(b"swordfish"),
        ConnectionSecureOk(b"swordfish"),
        ConnectionUpdateSecret(b"swordfish", "rotation"),
    ],
    ids=lambda method: method.name,
)
def test_secrets_are_never_shown(method: Method) -> None:
    assert "swordfish" not in repr(method)
    assert "***" in repr(method)
    if not isinstance(method, ConnectionSecure):  # it is the server that sends this one
        error = refused(method.encode() + b"\x00")
        assert error.text == "FRAME_ERROR - cannot decode the arguments"
        assert (error.class_id, error.method_id) == (method.class_id, method.method_id)


def test_values_that_the_wire_cannot_hold() -> None:
    with pytest.raises(ValueError):
        BasicAck(2**64).encode()
    with pytest.raises(ValueError):
        QueueDeclare("q" * 256).encode()
