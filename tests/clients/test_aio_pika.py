"""aio-pika: robust connections, confirmed publishing, returned messages, the RPC pattern, transactions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

import aio_pika
import pytest
from aio_pika.abc import AbstractIncomingMessage, AbstractRobustConnection
from aio_pika.exceptions import ChannelClosed, DeliveryError, PublishError
from aio_pika.patterns import RPC
from pamqp.commands import Basic

from tests.clients.conftest import Broker, NewName
from tests.support.broker_process import BrokerProcess

DEADLINE = 30
Result = TypeVar("Result")


def run(test: Callable[[], Awaitable[Result]]) -> Result:
    async def with_deadline() -> Result:
        async with asyncio.timeout(DEADLINE):
            return await test()

    return asyncio.run(with_deadline())


@asynccontextmanager
async def connected(broker: Broker) -> AsyncIterator[AbstractRobustConnection]:
    connection = await aio_pika.connect_robust(broker.url, reconnect_interval=0.1)
    async with connection:
        yield connection


@pytest.mark.any_broker
def test_messages_are_confirmed_and_consumed(broker: Broker, new_name: NewName) -> None:
    async def test() -> None:
        async with connected(broker) as connection:
            channel = await connection.channel()
            await channel.set_qos(prefetch_count=2)
            queue = await channel.declare_queue(new_name(), durable=True)
            bodies = [f"message {number}".encode() for number in range(20)]
            confirms = await asyncio.gather(
                *(channel.default_exchange.publish(aio_pika.Message(body), queue.name) for body in bodies)
            )
            assert {type(confirm).__name__ for confirm in confirms} == {"Ack"}
            received: list[bytes] = []
            async with queue.iterator(timeout=DEADLINE) as messages:
                async for message in messages:
                    async with message.process():
                        received.append(message.body)
                    if len(received) == len(bodies):
                        break
            assert received == bodies
            assert (await channel.declare_queue(queue.name, passive=True)).declaration_result.message_count == 0

    run(test)


@pytest.mark.any_broker
def test_properties_and_headers_come_as_they_were_sent(broker: Broker, new_name: NewName) -> None:
    async def test() -> None:
        async with connected(broker) as connection:
            channel = await connection.channel()
            queue = await channel.declare_queue(new_name(), auto_delete=True)
            headers = {"text": "ü", "number": -(2**40), "real": 1.5, "yes": True, "none": None, "list": [1, {"a": "b"}]}
            sent = aio_pika.Message(
                b"x" * 300_000,  # more than two frames
                headers=headers,  # type: ignore[arg-type]
                content_type="text/plain",
                priority=7,
                correlation_id="c",
                message_id="m",
                type="t",
                app_id="a",
                delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
            )
            await channel.default_exchange.publish(sent, queue.name)
            message = await queue.get(timeout=DEADLINE)
            await message.ack()
            assert message.body == sent.body
            assert message.headers == headers
            for name in ("content_type", "priority", "correlation_id", "message_id", "type", "app_id", "delivery_mode"):
                assert getattr(message, name) == getattr(sent, name)

    run(test)


@pytest.mark.any_broker
def test_a_message_for_no_queue_is_returned(broker: Broker, new_name: NewName) -> None:
    async def test() -> None:
        async with connected(broker) as connection:
            channel = await connection.channel(on_return_raises=True)
            exchange = await channel.declare_exchange(new_name(), aio_pika.ExchangeType.FANOUT)
            with pytest.raises(DeliveryError) as returned:
                await exchange.publish(aio_pika.Message(b"nobody"), "key")
            assert isinstance(returned.value, PublishError)
            message = returned.value.message
            assert message is not None
            assert message.body == b"nobody"
            assert isinstance(message.delivery, Basic.Return)
            assert (message.delivery.reply_code, message.delivery.reply_text) == (312, "NO_ROUTE")
            # The channel goes on, and its numbers with it.
            queue = await channel.declare_queue(new_name())
            await queue.bind(exchange)
            await exchange.publish(aio_pika.Message(b"somebody"), "key")
            assert (await queue.get(no_ack=True)).body == b"somebody"

    run(test)


@pytest.mark.any_broker
def test_an_exchange_bound_to_an_exchange(broker: Broker, new_name: NewName) -> None:
    async def test() -> None:
        async with connected(broker) as connection:
            channel = await connection.channel()
            source = await channel.declare_exchange(new_name(), aio_pika.ExchangeType.TOPIC)
            destination = await channel.declare_exchange(new_name(), aio_pika.ExchangeType.FANOUT)
            await destination.bind(source, "kern.*")
            queue = await channel.declare_queue(new_name())
            await queue.bind(destination)
            await source.publish(aio_pika.Message(b"1"), "kern.info")
            await source.publish(aio_pika.Message(b"2"), "cron.info", mandatory=False)
            await destination.unbind(source, "kern.*")
            await source.publish(aio_pika.Message(b"3"), "kern.info", mandatory=False)
            assert (await queue.get(no_ack=True)).body == b"1"
            assert await queue.get(no_ack=True, fail=False) is None

    run(test)


@pytest.mark.any_broker
def test_a_transaction_is_committed_or_rolled_back(broker: Broker, new_name: NewName) -> None:
    async def test() -> None:
        async with connected(broker) as connection:
            channel = await connection.channel(publisher_confirms=False)
            queue = await channel.declare_queue(new_name())
            transaction = channel.transaction()
            await transaction.select()
            await channel.default_exchange.publish(aio_pika.Message(b"rolled back"), queue.name)
            await transaction.rollback()
            await channel.default_exchange.publish(aio_pika.Message(b"committed"), queue.name)
            other = await (await connection.channel()).get_queue(queue.name)
            assert await other.get(no_ack=True, fail=False) is None
            await transaction.commit()
            assert (await other.get(no_ack=True)).body == b"committed"
            assert await other.get(no_ack=True, fail=False) is None

    run(test)


@pytest.mark.any_broker
def test_rpc_pattern(broker: Broker, new_name: NewName) -> None:
    async def multiply(*, x: int, y: int) -> int:
        return x * y

    async def test() -> None:
        async with connected(broker) as serving, connected(broker) as calling:
            method = new_name()
            server = await RPC.create(await serving.channel())
            await server.register(method, multiply, auto_delete=True)
            client = await RPC.create(await calling.channel())
            results = await asyncio.gather(*(client.call(method, {"x": 6, "y": y}) for y in range(10)))
            assert results == [6 * y for y in range(10)]
            await client.close()
            await server.close()

    run(test)


@pytest.mark.any_broker
def test_a_closed_channel_says_why(broker: Broker, new_name: NewName) -> None:
    async def test() -> None:
        async with connected(broker) as connection:
            name = new_name()
            channel = await connection.channel()
            with pytest.raises(ChannelClosed, match=f"NOT_FOUND - no queue '{name}' in vhost '/'"):
                await channel.declare_queue(name, passive=True)

    run(test)


@pytest.mark.any_broker
def test_rejected_messages_come_again(broker: Broker, new_name: NewName) -> None:
    async def test() -> None:
        async with connected(broker) as connection:
            channel = await connection.channel()
            queue = await channel.declare_queue(new_name())
            await channel.default_exchange.publish(aio_pika.Message(b"again"), queue.name)
            first = await queue.get()
            await first.reject(requeue=True)
            second = await queue.get()
            assert (first.redelivered, second.redelivered, second.body) == (False, True, b"again")
            await second.nack(requeue=False)
            assert await queue.get(fail=False) is None

    run(test)


def test_a_robust_connection_returns_with_its_queues_and_consumers(fresh_broker: BrokerProcess) -> None:
    """The broker is stopped and started again: the client declares, binds and consumes anew by itself."""

    async def test() -> None:
        async with connected(fresh_broker) as connection:
            channel = await connection.channel()
            exchange = await channel.declare_exchange("logs", aio_pika.ExchangeType.FANOUT)
            queue = await channel.declare_queue("listener", auto_delete=True)
            await queue.bind(exchange)
            received: asyncio.Queue[bytes] = asyncio.Queue()

            async def on_message(message: AbstractIncomingMessage) -> None:
                received.put_nowait(message.body)

            await queue.consume(on_message, no_ack=True)
            await exchange.publish(aio_pika.Message(b"before"), "")
            assert await received.get() == b"before"
            reconnected = asyncio.Event()
            connection.reconnect_callbacks.add(lambda *arguments: reconnected.set())
            assert await asyncio.to_thread(fresh_broker.stop) == 0
            await asyncio.to_thread(fresh_broker.start)
            await reconnected.wait()
            await exchange.publish(aio_pika.Message(b"after"), "")
            assert await received.get() == b"after"

    run(test)
