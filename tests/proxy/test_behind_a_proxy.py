"""A broker behind a load balancer that tells by the PROXY protocol whose connections it passes on."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import struct
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from leveret.broker.broker import Broker
from leveret.server.arrival import STEPS_AT_ONCE, Entrance, TlsEntrance
from leveret.server.certificate import LoginName
from leveret.server.log_output import category_of
from leveret.server.proxy_protocol import ProxyRule
from leveret.server.tick import Tick
from leveret.server.tls import Certificates, TlsOptions
from tests.ctl.conftest import leveretctl_here
from tests.support.broker_process import BrokerProcess
from tests.support.certificates import Authority
from tests.support.encrypted import TlsBroker, TlsClient
from tests.support.raw_client import CONNECTION_START, CONNECTION_TUNE, PROTOCOL_HEADER, RawClient, start_ok

LOCAL = b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00"
TOLD_OF_LOOPBACK = b"PROXY TCP4 127.0.0.9 127.0.0.8 40009 5672\r\n"
TOLD_OF_A_STRANGER = b"PROXY TCP6 2001:db8::7 2001:db8::8 40007 5672\r\n"
BINARY = (
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11" + struct.pack(">H", 12 + 7) + bytes([127, 0, 0, 5, 127, 0, 0, 6])
    + struct.pack(">HH", 40005, 5672) + b"\x02\x00\x04name"
)  # fmt: skip


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def balanced(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[TlsBroker]:
    """A broker on whose listeners every connection has to begin with the header."""
    with TlsBroker(tmp_path_factory.mktemp("balanced"), authority.issue("server"), "--proxy-protocol") as process:
        yield process


def names(broker: TlsBroker) -> list[str]:
    """The names of the broker's connections."""
    return leveretctl_here("-q", "list_connections", "name", data_dir=broker.data_dir).stdout.splitlines()


@pytest.mark.parametrize(
    ("header", "name"),
    [(TOLD_OF_LOOPBACK, "127.0.0.9:40009 -> 127.0.0.8:5672"), (BINARY, "127.0.0.5:40005 -> 127.0.0.6:5672")],
)
def test_the_client_is_the_one_of_the_header(balanced: TlsBroker, header: bytes, name: str) -> None:
    with RawClient(balanced.port) as client:
        client.send(header)
        client.log_in()
        assert name in names(balanced)


def test_a_header_may_have_as_much_in_it_as_there_can_be(balanced: TlsBroker) -> None:
    """Of version 2: 64 KiB of additions, in many pieces, and what the client says right behind them."""
    additions = b"\x04\xff\xf0" + bytes(0xFFF0)
    header = BINARY[:14] + struct.pack(">H", 12 + len(additions)) + BINARY[16:28] + additions
    with RawClient(balanced.port) as client:
        for at in range(0, len(header) - 1000, 1000):
            client.send(header[at : at + 1000])
        client.send(header[at + 1000 :] + PROTOCOL_HEADER)
        client.expect(CONNECTION_START)
        assert "127.0.0.5:40005 -> 127.0.0.6:5672" in names(balanced)


def test_handshakes_behind_headers_take_turns(authority: Authority) -> None:
    """What is not carried on in one round of the event loop is in one of the next, unless it has ended by then."""
    server = authority.issue("server")
    count = 5 * STEPS_AT_ONCE

    async def test() -> None:
        tick = Tick(Broker("test", "leveret@test", time.time, os.urandom), asyncio.get_running_loop())
        certificates = Certificates(TlsOptions(server.certfile, server.keyfile), "test")
        entrance = Entrance(tick, ProxyRule(), TlsEntrance(certificates, LoginName(), 5.0))
        clients = []
        for header in (count // 2) * (TOLD_OF_LOOPBACK, BINARY):
            outgoing = ssl.MemoryBIO()
            client = authority.context().wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="localhost")
            with pytest.raises(ssl.SSLWantReadError):
                client.do_handshake()
            ours, theirs = socket.socketpair()
            entrance.admit(ours, ("127.0.0.1", 1), ("127.0.0.1", 2))
            theirs.sendall(header + outgoing.read())
            theirs.setblocking(False)
            clients.append(theirs)
        answered = [0]
        async with asyncio.timeout(10):
            while answered[-1] == 0:
                await asyncio.sleep(0)
                answered.append(sum(map(has_answer, clients)))
            assert not has_answer(clients[-1])
            clients.pop().close()
            while answered[-1] < len(clients):
                await asyncio.sleep(0)
                answered.append(sum(map(has_answer, clients)))
        assert max(after - before for before, after in pairwise(answered)) <= STEPS_AT_ONCE
        entrance.close()
        for each in clients:
            each.close()

    asyncio.run(test())


def has_answer(sock: socket.socket) -> bool:
    """Whether there is something to be read."""
    try:
        return len(sock.recv(1, socket.MSG_PEEK)) > 0
    except BlockingIOError:
        return False


def test_a_header_may_come_in_pieces_and_with_what_follows(balanced: TlsBroker) -> None:
    for header in (TOLD_OF_LOOPBACK, BINARY):
        with RawClient(balanced.port) as client:
            for octet in header[:-1]:
                client.send(bytes([octet]))
            client.send(header[-1:] + PROTOCOL_HEADER)
            client.expect(CONNECTION_START)
            client.send(start_ok())
            client.expect(CONNECTION_TUNE)


def test_a_local_connection_has_the_addresses_of_its_socket(balanced: TlsBroker) -> None:
    with RawClient(balanced.port) as client:
        client.send(LOCAL)
        client.log_in()
        assert f"127.0.0.1:{client.socket.getsockname()[1]} -> 127.0.0.1:{balanced.port}" in names(balanced)


def test_who_comes_from_afar_is_not_on_loopback(balanced: TlsBroker) -> None:
    """guest may not, although the load balancer is on this machine."""
    with RawClient(balanced.port) as client:
        client.send(TOLD_OF_A_STRANGER)
        client.greet()
        client.send(start_ok(properties={"capabilities": {"authentication_failure_close": True}}))
        client.expect_connection_close(403)
    balanced.expect_logged("user 'guest' can only connect via localhost")
    assert "[2001:db8::7]:40007 -> [2001:db8::8]:5672" in balanced.log_path.read_text()


def test_who_says_to_come_from_loopback_in_ipv6_is_an_ipv4_client_of_it(balanced: TlsBroker) -> None:
    """And one who is no loopback is none either way."""
    for host, there in (("::ffff:127.0.0.7", True), ("::1", True), ("::ffff:192.0.2.1", False), ("::127.0.0.1", False)):
        with RawClient(balanced.port) as client:
            client.send(f"PROXY TCP6 {host} ::1 40010 5672\r\n".encode())
            client.greet()
            client.send(start_ok(properties={"capabilities": {"authentication_failure_close": True}}))
            if there:
                client.expect(CONNECTION_TUNE)
            else:
                client.expect_connection_close(403)


def test_the_header_comes_before_tls(balanced: TlsBroker, authority: Authority) -> None:
    for header in (TOLD_OF_LOOPBACK, BINARY):
        with socket.create_connection(("127.0.0.1", balanced.tls_port), 10) as sock:
            sock.sendall(header)
            with authority.context().wrap_socket(sock, server_hostname="localhost") as encrypted:
                encrypted.sendall(PROTOCOL_HEADER)
                assert encrypted.recv(3) == b"\x01\x00\x00"
                expected = "127.0.0.9:40009" if header is TOLD_OF_LOOPBACK else "127.0.0.5:40005"
                assert any(name.startswith(expected) for name in names(balanced))


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (PROTOCOL_HEADER, "it does not begin with the header of the PROXY protocol"),
        (b"PROXY TCP4 nonsense\r\n", "its PROXY line is not TCP4, TCP6 or UNKNOWN, two addresses and two ports"),
        (LOCAL[:12] + b"\x35\x00\x00\x00", "its PROXY header has version 3 and command 5"),
    ],
)
def test_without_a_good_header_nobody_is_let_in(balanced: TlsBroker, data: bytes, why: str) -> None:
    with RawClient(balanced.port) as client:
        peer = client.socket.getsockname()[1]
        client.send(data)
        client.expect_end()
    balanced.expect_logged(f"refused connection 127.0.0.1:{peer} -> 127.0.0.1:{balanced.port}: {why}")


def test_who_is_refused_is_told_in_the_category_of_connections(caplog: pytest.LogCaptureFixture) -> None:
    """With the parts that every line about a connection has as JSON."""

    async def test() -> None:
        loop = asyncio.get_running_loop()
        entrance = Entrance(Tick(Broker("test", "leveret@test", time.time, os.urandom), loop), ProxyRule(), None)
        ours, theirs = socket.socketpair()
        entrance.admit(ours, ("203.0.113.7", 1), ("127.0.0.1", 2))
        theirs.setblocking(False)
        await loop.sock_sendall(theirs, PROTOCOL_HEADER)
        assert await asyncio.wait_for(loop.sock_recv(theirs, 1), 10) == b""
        theirs.close()

    asyncio.run(test())
    (record,) = caplog.records
    assert (category_of(record.name), record.levelname) == ("connection", "WARNING")
    assert getattr(record, "fields", None) == {"connection": "203.0.113.7:1 -> 127.0.0.1:2", "peer": "203.0.113.7:1"}


def test_a_header_before_tls_is_asked_for(balanced: TlsBroker, authority: Authority) -> None:
    with pytest.raises(OSError):
        TlsClient(balanced.tls_port, authority.context())


def test_only_who_is_trusted_brings_a_header(tmp_path: Path, authority: Authority) -> None:
    trusted = ["--proxy-protocol", "--proxy-protocol-trusted-sources", "192.0.2.0/24"]
    with TlsBroker(tmp_path, authority.issue("server"), *trusted) as broker:
        with RawClient(broker.port) as client:
            client.log_in()
        with TlsClient(broker.tls_port, authority.context()) as encrypted:
            encrypted.log_in()
        with RawClient(broker.port) as client:
            client.send(TOLD_OF_LOOPBACK)
            assert client.receive().startswith(b"AMQP")  # what a stranger to the protocol is told
            client.expect_end()


def test_nobody_else_brings_a_header(fresh_broker: BrokerProcess) -> None:
    with RawClient(fresh_broker.port) as client:
        client.send(TOLD_OF_LOOPBACK)
        assert client.receive().startswith(b"AMQP")
        client.expect_end()


def test_a_header_has_its_time() -> None:
    """Meanwhile its socket counts among those that may be open."""

    async def test() -> bytes:
        loop = asyncio.get_running_loop()
        tick = Tick(Broker("test", "leveret@test", time.time, os.urandom), loop, most_clients=1)
        entrance = Entrance(tick, ProxyRule(), None, header_timeout=0.05)
        ours, theirs = socket.socketpair()
        entrance.admit(ours, ("127.0.0.1", 1), ("127.0.0.1", 2))
        theirs.setblocking(False)
        await loop.sock_sendall(theirs, b"PROXY ")
        assert tick.is_full() and not tick.broker.connections
        said = await asyncio.wait_for(loop.sock_recv(theirs, 100), 10)
        theirs.close()
        assert not tick.is_full() and not entrance.arrivals
        return said

    assert asyncio.run(test()) == b""
