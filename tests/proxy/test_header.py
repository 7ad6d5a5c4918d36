"""The header of the PROXY protocol, octet by octet: what is read from it, and what is refused."""

from __future__ import annotations

import ipaddress
import struct

import pytest

from leveret.server.proxy_protocol import (
    SIGNATURE,
    BadHeader,
    ProxyRule,
    parse_header,
    parse_network,
)

BEHIND = b"AMQP\0\0\x09\x01"


def binary(command: int, family: int, addresses: bytes, more: bytes = b"", version: int = 2) -> bytes:
    """A header of version 2."""
    block = addresses + more
    return SIGNATURE + bytes([version << 4 | command, family]) + struct.pack(">H", len(block)) + block


def four(source: str, destination: str, ports: tuple[int, int]) -> bytes:
    return b"".join(ipaddress.ip_address(each).packed for each in (source, destination)) + struct.pack(">HH", *ports)


VERSION_4 = four("192.0.2.1", "198.51.100.2", (40000, 5672))
VERSION_6 = four("2001:db8::1", "2001:db8::2", (1, 65535))
TLV = b"\x02\x00\x0bexample.org\x04\x00\x00"  # the name that the client called, and one without a value
WHOLE = [
    (b"PROXY TCP4 192.0.2.1 198.51.100.2 40000 5672\r\n", (("192.0.2.1", 40000), ("198.51.100.2", 5672))),
    (b"PROXY TCP6 2001:db8::1 2001:0DB8::0002 1 65535\r\n", (("2001:db8::1", 1), ("2001:db8::2", 65535))),
    (b"PROXY TCP4 192.0.2.1 198.51.100.2 0 0\r\n", (("192.0.2.1", 0), ("198.51.100.2", 0))),
    (b"PROXY UNKNOWN\r\n", None),
    (b"PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n", None),
    (binary(1, 0x11, VERSION_4), (("192.0.2.1", 40000), ("198.51.100.2", 5672))),
    (binary(1, 0x21, VERSION_6), (("2001:db8::1", 1), ("2001:db8::2", 65535))),
    (binary(1, 0x11, VERSION_4, TLV), (("192.0.2.1", 40000), ("198.51.100.2", 5672))),
    (binary(1, 0x21, VERSION_6, b"\x04\xff\xd8" + bytes(65496)), (("2001:db8::1", 1), ("2001:db8::2", 65535))),
    (binary(0, 0x00, b""), None),
    (binary(0, 0x11, VERSION_4, TLV), None),
    (binary(1, 0x00, b"", TLV), None),
    (binary(1, 0x31, b"/run/client".ljust(108, b"\0") + b"/run/broker".ljust(108, b"\0"), TLV), None),
]


@pytest.mark.parametrize(("header", "ends"), WHOLE)
def test_a_header_is_read_and_what_is_behind_it_left(header: bytes, ends: object) -> None:
    for behind in (b"", BEHIND):
        found = parse_header(header + behind)
        assert found is not None
        assert (found.size, found.ends) == (len(header), ends)


@pytest.mark.parametrize(("header", "ends"), WHOLE)
def test_a_header_that_is_not_whole_is_awaited(header: bytes, ends: object) -> None:
    for length in range(min(len(header), 300)):
        assert parse_header(header[:length]) is None, header[:length]
    assert parse_header(header[:-1]) is None


@pytest.mark.parametrize(
    "data",
    [
        BEHIND,
        b"A",
        b"PROXY\r",
        b"PROXY\r\n",
        b"PROXY \r\n",
        b"proxy TCP4 192.0.2.1 198.51.100.2 40000 5672\r\n",
        b"PROXY TCP5 192.0.2.1 198.51.100.2 40000 5672\r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.2 40000\r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.2 40000 5672 1\r\n",
        b"PROXY TCP4  192.0.2.1 198.51.100.2 40000 5672\r\n",
        b"PROXY TCP4 192.0.2.256 198.51.100.2 40000 5672\r\n",
        b"PROXY TCP4 2001:db8::1 2001:db8::2 40000 5672\r\n",
        b"PROXY TCP6 192.0.2.1 198.51.100.2 40000 5672\r\n",
        b"PROXY TCP6 fe80::1%eth0\xff fe80::2 40000 5672\r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.2 65536 5672\r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.2 040000 5672\r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.2 -1 5672\r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.2 \xb2 5672\r\n",
        b"PROXY TCP4 localhost localhost 40000 5672\r\n",
        b"PROXY UNKNOWN" + b" " * 94,
        b"PROXY TCP4 192.0.2.1 198.51.100.2 40000 5672\n" + b"x" * 100,
        SIGNATURE[:8] + b"x",
        binary(2, 0x11, VERSION_4),
        binary(1, 0x11, VERSION_4, version=1),
        binary(1, 0x12, VERSION_4),
        binary(1, 0x10, VERSION_4),
        binary(1, 0x41, VERSION_4),
        binary(1, 0x11, VERSION_4[:-1]),
        binary(1, 0x21, VERSION_4),
        binary(1, 0x31, VERSION_4),
    ],
)
def test_anything_else_is_refused(data: bytes) -> None:
    with pytest.raises(BadHeader):
        parse_header(data)


def test_all_are_trusted_unless_told() -> None:
    assert ProxyRule().expects_header("192.0.2.1")


@pytest.mark.parametrize(
    ("host", "trusted"),
    [
        ("10.1.2.3", True),
        ("::ffff:10.1.2.3", True),
        ("192.0.2.1", True),
        ("192.0.2.2", False),
        ("fe80::1%eth0", True),
        ("2001:db8::1", False),
    ],
)
def test_only_some_are_trusted(host: str, trusted: bool) -> None:
    rule = ProxyRule([parse_network(each) for each in ("10.0.0.0/8", "192.0.2.1", "fe80::/10")])
    assert rule.expects_header(host) is trusted


def test_what_is_no_network_is_refused() -> None:
    for wrong in ("", "example.org", "10.0.0.1/8", "10.0.0.0/33"):
        with pytest.raises(ValueError, match=r"is not an address or a network such as 10\.0\.0\.0/8"):
            parse_network(wrong)
