"""FastStream: a service in two processes that answers requests and hears news, and a worker that tries again."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pika
import pytest
from faststream.rabbit import ExchangeType, RabbitBroker, RabbitExchange

from tests.programs.conftest import Broker, Start
from tests.programs.program import DEADLINE, Program

pytestmark = pytest.mark.any_broker

PROGRAMS = Path(__file__).parent / "faststream_service"
NEWS = RabbitExchange("faststream.news", type=ExchangeType.FANOUT)
LOGS = RabbitExchange("faststream.logs", type=ExchangeType.TOPIC)
QUEUES = [f"faststream.{name}" for name in ("square", "unsure", "work", "retry", "done")]

Talk = Callable[[Callable[[RabbitBroker], Awaitable[None]]], None]


def delete_what_the_programs_use(broker: Broker) -> None:
    with pika.BlockingConnection(pika.URLParameters(broker.url)) as connection:
        channel = connection.channel()
        for queue in QUEUES:
            channel.queue_delete(queue)
        for exchange in (NEWS, LOGS):
            channel.exchange_delete(exchange.name)


@pytest.fixture(scope="module", autouse=True)
def programs(broker: Broker, start: Start) -> Iterator[dict[str, Program]]:
    """The processes `a` and `b` of the service, and the `worker`."""
    delete_what_the_programs_use(broker)
    started = {name: start(sys.executable, str(PROGRAMS / "service.py"), name) for name in "ab"}
    started["worker"] = start(sys.executable, str(PROGRAMS / "worker.py"))
    for program in started.values():
        program.expect("ready")
    yield started
    for program in started.values():
        program.kill()
    delete_what_the_programs_use(broker)


@pytest.fixture
def talk(broker: Broker) -> Talk:
    """`talk(function)` runs a function with a client that is connected to the broker."""

    def run(function: Callable[[RabbitBroker], Awaitable[None]]) -> None:
        async def connected() -> None:
            async with RabbitBroker(broker.url) as client:
                await function(client)

        asyncio.run(connected())

    return run


def test_requests_are_answered(talk: Talk) -> None:
    async def ask(client: RabbitBroker) -> None:
        async def square(number: int) -> object:
            answer = await client.request(number, "faststream.square", timeout=DEADLINE)
            return await answer.decode()

        assert await square(12) == 144
        assert await asyncio.gather(*map(square, range(50))) == [number * number for number in range(50)]

    talk(ask)


def test_news_reach_every_process(talk: Talk, programs: dict[str, Program]) -> None:
    async def publish(client: RabbitBroker) -> None:
        for text in ("one", "two"):
            await client.publish(text, exchange=NEWS)

    talk(publish)
    for name in "ab":
        programs[name].expect("heard one", "heard two")


def test_logs_are_routed_by_topic(talk: Talk, programs: dict[str, Program]) -> None:
    async def publish(client: RabbitBroker) -> None:
        for key in ("info.a", "info.b", "info.c", "more.info.a", "error.b", "error.a"):
            await client.publish(key, exchange=LOGS, routing_key=key)

    talk(publish)
    for name in "ab":
        programs[name].expect(f"logged info.{name}", f"logged error.{name}")


def test_what_is_not_acknowledged_is_redelivered(talk: Talk, programs: dict[str, Program]) -> None:
    async def publish(client: RabbitBroker) -> None:
        await client.publish("this", "faststream.unsure")

    talk(publish)
    programs["worker"].expect("this, the first time", "this, again")


def test_what_fails_is_tried_again_later(talk: Talk, programs: dict[str, Program]) -> None:
    async def publish(client: RabbitBroker) -> None:
        await client.publish("that", "faststream.work", persist=True)

    talk(publish)
    programs["worker"].expect(
        "tries that after",
        "tries that after 1 expired 1 rejected",
        "tries that after 2 expired 2 rejected",
        "did that",
    )
