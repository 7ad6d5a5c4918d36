"""A FastStream service that prints the reminders which it gets by an exchange that delays them."""

from __future__ import annotations

import asyncio
import logging
import os

from faststream import FastStream
from faststream.rabbit import ExchangeType, RabbitBroker, RabbitExchange, RabbitMessage, RabbitQueue

broker = RabbitBroker(os.environ["AMQP_URL"], logger=logging.getLogger(__name__))  # not on standard output
app = FastStream(broker)

reminders = RabbitExchange(
    "faststream.reminders",
    type=ExchangeType.X_DELAYED_MESSAGE,
    durable=True,
    arguments={"x-delayed-type": "topic"},
)


@broker.subscriber(RabbitQueue("faststream.reminders", durable=True, routing_key="reminder.*"), reminders)
async def remind(text: str, message: RabbitMessage) -> None:
    print(f"{text} after {-message.headers['x-delay']} ms")


@app.after_startup
async def started() -> None:
    print("ready")


asyncio.run(app.run())
