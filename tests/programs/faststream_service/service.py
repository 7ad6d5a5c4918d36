"""A FastStream service: answers requests and prints the news and logs that it hears; its name is its argument."""

from __future__ import annotations

import asyncio
import logging
import os
import sys

from faststream import FastStream
from faststream.rabbit import ExchangeType, RabbitBroker, RabbitExchange, RabbitQueue

name = sys.argv[1]
broker = RabbitBroker(os.environ["AMQP_URL"], logger=logging.getLogger(__name__))  # not on standard output
app = FastStream(broker)

news = RabbitExchange("faststream.news", type=ExchangeType.FANOUT)
logs = RabbitExchange("faststream.logs", type=ExchangeType.TOPIC)


@broker.subscriber("faststream.square")
async def square(number: int) -> int:
    return number * number


@broker.subscriber(RabbitQueue(f"faststream.news.{name}", exclusive=True), news)
async def hear(text: str) -> None:
    print(f"heard {text}")


@broker.subscriber(RabbitQueue(f"faststream.logs.{name}", auto_delete=True, routing_key=f"*.{name}"), logs)
async def log(text: str) -> None:
    print(f"logged {text}")


@app.after_startup
async def started() -> None:
    print("ready")


asyncio.run(app.run())
