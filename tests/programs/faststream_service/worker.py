"""A FastStream worker that tries again what went wrong, at once or later, and prints what it does.

What it rejects waits in the queue faststream.retry until it expires there, and so comes back to faststream.work.
"""

from __future__ import annotations

import asyncio
import logging
import os

from faststream import FastStream
from faststream.exceptions import NackMessage
from faststream.rabbit import RabbitBroker, RabbitMessage, RabbitQueue

broker = RabbitBroker(os.environ["AMQP_URL"], logger=logging.getLogger(__name__))  # not on standard output
app = FastStream(broker)

work = RabbitQueue(
    "faststream.work",
    durable=True,
    arguments={"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "faststream.retry"},
)
retry = RabbitQueue(
    "faststream.retry",
    durable=True,
    arguments={"x-message-ttl": 50, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "faststream.work"},
)


@broker.subscriber("faststream.unsure")
async def unsure(text: str, message: RabbitMessage) -> None:
    redelivered = message.raw_message.redelivered
    print(f"{text}, {'again' if redelivered else 'the first time'}")
    if not redelivered:
        raise NackMessage


@broker.subscriber(work)
@broker.publisher("faststream.done")
async def try_three_times(text: str, message: RabbitMessage) -> str:
    deaths = message.headers.get("x-death", [])
    print(f"tries {text} after", *(f"{death['count']} {death['reason']}" for death in deaths))
    if not deaths or deaths[0]["count"] < 2:
        raise RuntimeError("not yet")
    return text


@broker.subscriber("faststream.done")
async def done(text: str) -> None:
    print(f"did {text}")


@app.after_startup
async def started() -> None:
    await broker.declare_queue(retry)
    print("ready")


asyncio.run(app.run())
