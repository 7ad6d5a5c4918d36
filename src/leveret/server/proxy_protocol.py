"""The header of the PROXY protocol, by which a load balancer says whose connection it passes on.

Both versions, as HAProxy's specification has them (proxy-protocol.txt, section 2): a line of text, or a binary block.
Bytes in, addresses out; nothing here reads a socket. What follows the header belongs to the client.

Addresses are pairs of host and port. A header may say that there is nobody behind it: LOCAL, by which a load balancer
looks whether the broker lives, UNKNOWN, and families other than TCP's. Then the addresses of the socket hold.
"""

from __future__ import annotations

import ipaddress
import re
import struct
from collections.abc import Sequence
from typing import Final, TypeAlias

Address: TypeAlias = tuple[str, int]
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

SIGNATURE: Final = b"\r\n\r\n\0\r\nQUIT\n"  # of version 2
FIXED_PART: Final = 16  # octets of version 2 before the addresses
LINE: Final = b"PROXY "
LONGEST_LINE: Final = 107  # octets, with its CRLF
LOCAL: Final = 0
PROXY: Final = 1
UNSPECIFIED: Final = 0
ADDRESS_SIZES: Final = {1: 4, 2: 16}  # octets, by the number of the family
UNIX_SIZE: Final = 216  # octets of two Unix addresses
UNIX: Final = 3
STREAM: Final = 1
FAMILIES: Final[dict[str, type[ipaddress.IPv4Address] | type[ipaddress.IPv6Address]]] = {
    "TCP4": ipaddress.IPv4Address,
    "TCP6": ipaddress.IPv6Address,
}
PORT: Final = re.compile(r"0|[1-9][0-9]{0,4}", re.ASCII)


class BadHeader(Exception):
    """What came is no header of the PROXY protocol; the text is for the log."""


class Header:
    """A whole header: `size` octets, and the client's address and the one it called, unless the socket's hold."""

    def __init__(self, size: int, ends: tuple[Address, Address] | None) -> None:
        self.size: Final = size
        self.ends: Final = ends


class ProxyRule:
    """Who has to begin with a header: everybody, or those from the networks that are trusted. Others must not."""

    def __init__(self, trusted: Sequence[Network] = ()) -> None:
        self._trusted: Final = tuple(trusted)

    def expects_header(self, host: str) -> bool:
        """Whether a connection from that host begins with a header."""
        if not self._trusted:
            return True
        address = ipaddress.ip_address(host.partition("%")[0])
        mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
        return any((mapped or address) in network for network in self._trusted)


def parse_network(text: str) -> Network:
    """A network such as 10.0.0.0/8, or one address. ValueError for anything else."""
    try:
        return ipaddress.ip_network(text)
    except ValueError:
        raise ValueError(f"{text!r} is not an address or a network such as 10.0.0.0/8") from None


def parse_header(data: bytes) -> Header | None:
    """The header that data begins with; None if more is to come. Raises BadHeader, as early as that is certain."""
    if data[: len(SIGNATURE)] == SIGNATURE[: len(data)]:
        return binary_header(data)
    if data[: len(LINE)] == LINE[: len(data)]:
        return text_header(data)
    raise BadHeader("it does not begin with the header of the PROXY protocol")


def text_header(data: bytes) -> Header | None:
    """Version 1: `PROXY TCP4 192.0.2.1 192.0.2.2 40000 5672` and CRLF."""
    end = data.find(b"\r\n", 0, LONGEST_LINE)
    if end < 0:
        if len(data) >= LONGEST_LINE:
            raise BadHeader("its PROXY line does not end")
        return None
    words = data[:end].decode("ascii", "replace").split(" ")
    if words[1] == "UNKNOWN":
        return Header(end + 2, None)
    family = FAMILIES.get(words[1])
    if family is None or len(words) != 6:
        raise BadHeader("its PROXY line is not TCP4, TCP6 or UNKNOWN, two addresses and two ports")
    try:
        if "%" in words[2] + words[3]:
            raise ValueError("a zone means something on one machine alone")
        hosts = [str(family(word)) for word in words[2:4]]
    except ValueError:
        raise BadHeader(f"its PROXY line has a wrong {words[1]} address") from None
    ports = [int(word) for word in words[4:6] if PORT.fullmatch(word)]
    if len(ports) != 2 or max(ports) > 65535:
        raise BadHeader("its PROXY line has a wrong port")
    return Header(end + 2, ((hosts[0], ports[0]), (hosts[1], ports[1])))


def binary_header(data: bytes) -> Header | None:
    """Version 2: command, family, addresses; what stands behind the addresses is skipped."""
    if len(data) < FIXED_PART:
        return None
    version, command = data[12] >> 4, data[12] & 0xF
    family, transport = data[13] >> 4, data[13] & 0xF
    (length,) = struct.unpack_from(">H", data, 14)
    if version != 2 or command not in (LOCAL, PROXY):
        raise BadHeader(f"its PROXY header has version {version} and command {command}")
    size = FIXED_PART + length
    if command == LOCAL or family == UNSPECIFIED:
        return Header(size, None) if len(data) >= size else None
    octets = ADDRESS_SIZES.get(family, 0)
    if (not octets and family != UNIX) or transport != STREAM:
        raise BadHeader(f"its PROXY header has family {family} and transport {transport}, which is not a stream")
    if length < (2 * octets + 4 if octets else UNIX_SIZE):
        raise BadHeader(f"its PROXY header has {length} octets for its addresses, which is too few")
    if len(data) < size:
        return None
    if not octets:
        return Header(size, None)
    source, destination = FIXED_PART, FIXED_PART + octets
    ports = struct.unpack_from(">HH", data, destination + octets)
    hosts = [str(ipaddress.ip_address(data[at : at + octets])) for at in (source, destination)]
    return Header(size, ((hosts[0], ports[0]), (hosts[1], ports[1])))
