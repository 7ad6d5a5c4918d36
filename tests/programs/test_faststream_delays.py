"""FastStream with an exchange of its type X_DELAYED_MESSAGE, which asks for a plugin of RabbitMQ."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pika
import pytest
from faststream.rabbit import RabbitBroker

from tests.behaviour.expectations import leveret_only
from tests.programs.conftest import Broker, Start

pytestmark = [pytest.mark.any_broker, leveret_only("RabbitMQ has the exchange type in a plugin")]

PROGRAM = Path(__file__).parent / "faststream_service" / "later.py"


def test_reminders_come_in_the_order_in_which_they_are_due(broker: Broker, start: Start) -> None:
    service = start(sys.executable, str(PROGRAM))
    service.expect("ready")

    async def publish() -> None:
        async with RabbitBroker(broker.url) as client:
            for text, delay in (("late", 400), ("soon", 100)):
                await client.publish(
                    text,
                    exchange="faststream.reminders",
                    routing_key=f"reminder.{text}",
                    headers={"x-delay": delay},
                    persist=True,
                    mandatory=True,
                )

    asyncio.run(publish())
    service.expect("soon after 100 ms", "late after 400 ms")
    service.kill()
    with pika.BlockingConnection(pika.URLParameters(broker.url)) as connection:
        connection.channel().queue_delete("faststream.reminders")
        connection.channel().exchange_delete("faststream.reminders")
