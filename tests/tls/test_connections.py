"""AMQP over TLS: what works over a plain socket works over an encrypted one."""

from __future__ import annotations

import asyncio
import hashlib
import ssl

import aio_pika
import pika
import pytest

from tests.ctl.conftest import leveretctl_here
from tests.support.certificates import Authority
from tests.support.encrypted import TlsBroker, TlsClient
from tests.support.raw_client import (
    BASIC_CONSUME_OK,
    CONNECTION_CLOSE,
    CONNECTION_CLOSE_OK,
    close_arguments,
    consume,
    method,
    publish,
)


def parameters(broker: TlsBroker, context: ssl.SSLContext) -> pika.ConnectionParameters:
    return pika.ConnectionParameters("localhost", broker.tls_port, ssl_options=pika.SSLOptions(context, "localhost"))


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_pika_publishes_and_consumes(broker: TlsBroker, authority: Authority, version: ssl.TLSVersion) -> None:
    context = authority.context()
    context.minimum_version = context.maximum_version = version
    with pika.BlockingConnection(parameters(broker, context)) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        queue = channel.queue_declare("", exclusive=True).method.queue
        bodies = [b"", b"x", b"a record" * 2048, b"many records" * 100_000]
        for body in bodies:
            channel.basic_publish("", queue, body)
        got = [channel.basic_get(queue, auto_ack=True)[2] for _ in bodies]
    assert got == bodies


def test_aio_pika_publishes_and_consumes(broker: TlsBroker, authority: Authority) -> None:
    bodies = [str(number).encode() for number in range(100)]

    async def test() -> list[bytes]:
        url = f"amqps://guest:guest@localhost:{broker.tls_port}/"
        async with await aio_pika.connect(url, ssl_context=authority.context()) as connection:
            channel = await connection.channel()
            queue = await channel.declare_queue("", exclusive=True)
            for body in bodies:
                await channel.default_exchange.publish(aio_pika.Message(body), queue.name)
            async with queue.iterator(no_ack=True) as messages:
                return [(await anext(messages)).body for _ in bodies]

    assert asyncio.run(test()) == bodies


def test_a_listing_tells_of_the_encryption(broker: TlsBroker, authority: Authority) -> None:
    context = authority.context()
    context.set_ciphers("ECDHE-ECDSA-AES256-GCM-SHA384")
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    client = TlsClient(broker.tls_port, context).log_in()
    peer = client.socket.getsockname()[1]
    columns = ["peer_port", "ssl", "ssl_protocol", "ssl_key_exchange", "ssl_cipher", "ssl_hash", "peer_cert_subject"]
    listed = leveretctl_here("-q", "list_connections", *columns, data_dir=broker.data_dir).stdout.splitlines()
    assert f"{peer}\ttrue\ttlsv1.2\tecdhe_ecdsa\taes_256_gcm\taead\t" in listed
    client.close()


def test_what_is_newer_names_no_key_exchange(broker: TlsBroker, authority: Authority) -> None:
    client = TlsClient(broker.tls_port, authority.context()).log_in()
    peer = client.socket.getsockname()[1]
    cipher = client.socket.cipher()
    assert cipher is not None and cipher[0] == "TLS_AES_256_GCM_SHA384"
    columns = ["peer_port", "ssl_protocol", "ssl_key_exchange", "ssl_cipher", "ssl_hash"]
    listed = leveretctl_here("-q", "list_connections", *columns, data_dir=broker.data_dir).stdout.splitlines()
    assert f"{peer}\ttlsv1.3\tany\taes_256_gcm\taead" in listed
    client.close()


def test_status_tells_of_the_listener(broker: TlsBroker) -> None:
    listed = leveretctl_here("status", data_dir=broker.data_dir).stdout
    assert f"port: {broker.tls_port}, protocol: amqp/ssl, purpose: AMQP 0-9-1 over TLS" in listed


def test_a_slow_reader_gets_everything(broker: TlsBroker, authority: Authority) -> None:
    """More waits for it than sockets hold: what is encrypted is kept in order, and consumers wait for room."""
    publisher = TlsClient(broker.tls_port, authority.context()).log_in(channels=[1])
    reader = TlsClient(broker.tls_port, authority.context()).log_in(channels=[1])
    queue = reader.declare("", 4)[0]
    reader.send(consume(1, queue, "reader", 2))
    reader.expect(BASIC_CONSUME_OK)
    bodies = [hashlib.sha256(bytes([number])).digest() * 20_000 for number in range(24)]
    for body in bodies:
        publisher.send(publish(1, queue, body))
    publisher.declare("", 4)  # all of it is published when this is answered
    for body in bodies:
        assert reader.expect_message().body == body
    reader.close()
    publisher.log_out()


def test_small_messages_in_one_piece(broker: TlsBroker, authority: Authority) -> None:
    """Thousands of frames in few records, and records that end within frames."""
    client = TlsClient(broker.tls_port, authority.context()).log_in(channels=[1])
    queue = client.declare("", 4)[0]
    client.send(consume(1, queue, "all", 2))
    client.expect(BASIC_CONSUME_OK)
    client.send(b"".join(publish(1, queue, str(number).encode()) for number in range(5000)))
    for number in range(5000):
        assert client.expect_message().body == str(number).encode()
    client.log_out()


def test_both_sides_say_goodbye(broker: TlsBroker, authority: Authority) -> None:
    """The broker ends TLS properly: a client that looks whether its last words were cut off finds that they weren't."""
    client = TlsClient(broker.tls_port, authority.context(), cut_off=False).log_in()
    client.send(method(0, CONNECTION_CLOSE, close_arguments()))
    client.expect(CONNECTION_CLOSE_OK, channel=0)
    assert client.socket.recv(1) == b""
    client.close()


def test_ending_tls_ends_the_connection(broker: TlsBroker, authority: Authority) -> None:
    """What was sent before is handled, as with a socket that is closed."""
    other = TlsClient(broker.tls_port, authority.context()).log_in(channels=[1])
    queue = other.declare("", 4)[0]
    other.send(consume(1, queue, "other", 2))
    other.expect(BASIC_CONSUME_OK)
    client = TlsClient(broker.tls_port, authority.context()).log_in(channels=[1])
    client.send(publish(1, queue, b"last words"))
    client.socket.unwrap().close()  # waits for the broker to end it, too
    assert other.expect_message().body == b"last words"
    other.log_out()
