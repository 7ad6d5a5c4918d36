"""Clients that don't keep to TLS, or take their time."""

from __future__ import annotations

import os
import socket
import ssl
import time

import pytest

from tests.support.certificates import Authority
from tests.support.encrypted import TlsBroker, TlsClient
from tests.support.raw_client import PROTOCOL_HEADER, RawClient, consume, publish

HELLO_LENGTH = 300  # octets, at least, of what a client says first


def first_words(authority: Authority) -> tuple[ssl.SSLObject, ssl.MemoryBIO, ssl.MemoryBIO, bytes]:
    """A client of TLS without a socket, and what it would say first."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = authority.context().wrap_bio(incoming, outgoing, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    hello = outgoing.read()
    assert len(hello) > HELLO_LENGTH
    return client, incoming, outgoing, hello


def read_to_the_end(sock: socket.socket) -> bytes:
    """All that the broker says before it closes."""
    sock.settimeout(10)
    data = b""
    try:
        while piece := sock.recv(65536):
            data += piece
    except ConnectionResetError:
        pass
    return data


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (PROTOCOL_HEADER, "it speaks AMQP without TLS"),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "TLS's handshake failed: http request"),
        (b"\x16\x03\x01\x00\x05hello", "TLS's handshake failed: "),
        (os.urandom(1).replace(b"\x16", b"\x17") + b"\xff" * 2000, "TLS's handshake failed: "),
    ],
)
def test_who_speaks_no_tls_is_refused(broker: TlsBroker, words: bytes, why: str) -> None:
    with socket.create_connection(("127.0.0.1", broker.tls_port)) as sock:
        peer = sock.getsockname()[1]
        sock.sendall(words)
        said = read_to_the_end(sock)
        assert said[:1] in (b"", b"\x15"), said  # nothing, or an alert
    broker.expect_logged(f"refused connection 127.0.0.1:{peer} -> 127.0.0.1:{broker.tls_port}: {why}")


def test_tls_on_a_plain_port_is_refused(broker: TlsBroker, authority: Authority) -> None:
    with pytest.raises(ssl.SSLError):
        TlsClient(broker.port, authority.context())


@pytest.mark.parametrize("octets", [0, 1, 200])
def test_a_handshake_has_its_time(broker: TlsBroker, authority: Authority, octets: int) -> None:
    hello = first_words(authority)[3]
    with socket.create_connection(("127.0.0.1", broker.tls_port)) as sock:
        begin = time.monotonic()
        sock.sendall(hello[:octets])
        assert read_to_the_end(sock) == b""
        assert 0.3 < time.monotonic() - begin < 5
        peer = sock.getsockname()[1]
    if octets:
        broker.expect_logged(f":{peer} -> 127.0.0.1:{broker.tls_port}: TLS's handshake took too long")


def test_a_handshake_may_come_octet_by_octet(broker: TlsBroker, authority: Authority) -> None:
    client, incoming, outgoing, hello = first_words(authority)
    with socket.create_connection(("127.0.0.1", broker.tls_port)) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.settimeout(10)
        for at in range(HELLO_LENGTH):
            sock.sendall(hello[at : at + 1])
        sock.sendall(hello[HELLO_LENGTH:])
        while client.version() is None or outgoing.pending == 0:
            incoming.write(sock.recv(65536))
            try:
                client.do_handshake()
                break
            except ssl.SSLWantReadError:
                pass
        client.write(PROTOCOL_HEADER)
        for octet in outgoing.read():  # the end of the handshake, and AMQP
            sock.sendall(bytes([octet]))
        while True:
            incoming.write(sock.recv(65536))
            try:
                assert client.read(3) == b"\x01\x00\x00"
                break
            except ssl.SSLWantReadError:
                pass


def test_who_leaves_within_the_handshake_is_forgotten(broker: TlsBroker, authority: Authority) -> None:
    hello = first_words(authority)[3]
    for octets in (1, 100, len(hello)):
        with socket.create_connection(("127.0.0.1", broker.tls_port)) as sock:
            peer = sock.getsockname()[1]
            sock.sendall(hello[:octets])
            sock.shutdown(socket.SHUT_WR)
            read_to_the_end(sock)
        broker.expect_logged(f":{peer} -> 127.0.0.1:{broker.tls_port}: it ended the connection")


def test_a_broken_record_ends_the_connection(broker: TlsBroker, authority: Authority) -> None:
    client = TlsClient(broker.tls_port, authority.context()).log_in(channels=[1])
    peer = client.socket.getsockname()[1]
    plain = socket.socket(fileno=os.dup(client.socket.fileno()))
    plain.sendall(b"\x17\x03\x03\x00\x20" + b"x" * 32)
    with pytest.raises(ssl.SSLError, match="BAD_RECORD_MAC"):
        client.receive()
    plain.close()
    client.close()
    broker.expect_logged(
        f"closing connection 127.0.0.1:{peer} -> 127.0.0.1:{broker.tls_port}: TLS failed: "
        "DECRYPTION_FAILED_OR_BAD_RECORD_MAC"
    )


def test_who_stops_reading_harms_nobody(broker: TlsBroker, authority: Authority) -> None:
    """Megabytes wait for it; another client on the same queue goes on, and nothing is lost when it is gone."""
    stuck = TlsClient(broker.tls_port, authority.context()).log_in(channels=[1])
    other = TlsClient(broker.tls_port, authority.context()).log_in(channels=[1])
    queue = other.declare("stuck")[0]
    stuck.send(consume(1, queue, "stuck"))
    for _ in range(40):
        other.send(publish(1, queue, b"x" * 500_000))
    assert other.count(queue) > 0  # it was not given all
    stuck.reset()
    other.send(consume(1, queue, "other", 2))
    other.next_frame()
    for _ in range(40):
        other.expect_message()
    other.log_out()


def test_handshakes_at_once(broker: TlsBroker, authority: Authority) -> None:
    """Many that begin together all come to their end, and strangers in between stop nobody."""
    strangers = [socket.create_connection(("127.0.0.1", broker.tls_port)) for _ in range(30)]
    waiting = []
    for _ in range(30):
        client, incoming, outgoing, hello = first_words(authority)
        sock = socket.create_connection(("127.0.0.1", broker.tls_port))
        sock.settimeout(10)
        sock.sendall(hello)
        waiting.append((client, incoming, outgoing, sock))
    with RawClient(broker.port) as bystander:
        bystander.log_in()
    for client, incoming, _, sock in waiting:
        while True:
            incoming.write(sock.recv(65536))
            try:
                client.do_handshake()
                break
            except ssl.SSLWantReadError:
                pass
    for sock in [*strangers, *(each[3] for each in waiting)]:
        sock.close()
