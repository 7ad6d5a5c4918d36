"""A queue whose dead messages can be looked at, and what their x-death tells."""

from __future__ import annotations

import time
from datetime import datetime

from pika import BasicProperties
from pika.adapters.blocking_connection import BlockingChannel
from pika.compat import long

from tests.behaviour.conftest import Names
from tests.behaviour.expectations import (
    Message,
    await_errors,
    get,
    get_bodies,
    get_one,
    leveret_only,
    ready_count,
    wait_until,
)

MISORDERED = leveret_only("RabbitMQ 3 puts a third and later entry out of order, RabbitMQ 4 has the newest first")


class Mortal:
    """A queue `name`, made with the arguments of the test, and the queue `dead` that takes in what dies in it."""

    def __init__(self, channel: BlockingChannel, names: Names, **arguments: object) -> None:
        self.channel = channel
        self.dead = names.queue("dead")
        channel.queue_declare(self.dead)
        self.name = declare(channel, names.queue("mortal"), "", self.dead, **arguments)

    def publish(self, *bodies: str | bytes, **properties: object) -> None:
        send(self.channel, "", self.name, *bodies, **properties)

    def reject(self, body: str = "x", **properties: object) -> Message:
        """Publish a message to the empty queue, reject it, and return what it has become."""
        self.publish(body, **properties)
        reject(self.channel, self.name)
        return self.died(1)[0]

    def ready(self) -> list[bytes]:
        """Take out everything that is ready."""
        return get_bodies(self.channel, self.name)

    def died(self, count: int) -> list[Message]:
        """What has died since the last time, once it is `count` messages; it may not be more."""
        return take(self.channel, self.dead, count)

    def died_bodies(self, count: int) -> list[bytes]:
        return [message.body for message in self.died(count)]


def declare(
    channel: BlockingChannel, queue: str, exchange: str | None = None, key: str | None = None, **arguments: object
) -> str:
    """Declare a durable queue with this dead-letter exchange and key; an argument is named without its `x-`."""
    wanted = {"x-" + name.replace("_", "-"): value for name, value in arguments.items()}
    wanted |= {} if exchange is None else {"x-dead-letter-exchange": exchange}
    wanted |= {} if key is None else {"x-dead-letter-routing-key": key}
    channel.queue_declare(queue, durable=True, arguments=wanted)
    return queue


def send(channel: BlockingChannel, exchange: str, key: str, *bodies: str | bytes, **properties: object) -> None:
    """Publish with these properties and wait until the broker has handled it."""
    for body in bodies:
        channel.basic_publish(exchange, key, body, BasicProperties(**properties) if properties else None)
    await_errors(channel)


def take(channel: BlockingChannel, queue: str, count: int) -> list[Message]:
    """Take out everything, once it is `count` messages; it may not be more."""
    wait_until(lambda: ready_count(channel, queue) >= count)
    messages = [get_one(channel, queue) for _ in range(count)]
    assert get(channel, queue) is None
    return messages


def reject(channel: BlockingChannel, queue: str) -> Message:
    """Reject the message at the head, as soon as there is one, and return what it was."""
    wait_until(lambda: ready_count(channel, queue) > 0)
    message = get_one(channel, queue, auto_ack=False)
    channel.basic_reject(message.tag, requeue=False)
    await_errors(channel)
    return message


def death(
    queue: str, reason: str, count: int = 1, exchange: str = "", keys: list[str] | None = None, **more: str
) -> dict[str, object]:
    """An entry of x-death without its time; the routing key is the name of the queue if `keys` are not given."""
    entry: dict[str, object] = {"count": count, "reason": reason, "queue": queue, "exchange": exchange}
    expiration = {name.replace("_", "-"): value for name, value in more.items()}
    return entry | {"routing-keys": [queue] if keys is None else keys} | expiration


def deaths(message: Message) -> list[dict[str, object]]:
    """The entries of x-death without their times, which are looked at here."""
    entries: list[dict[str, object]] = []
    for entry in message.properties.headers["x-death"]:
        assert isinstance(entry["time"], datetime)
        assert abs(entry["time"].timestamp() - time.time()) < 60
        assert isinstance(entry["count"], long)
        entries.append({name: value for name, value in entry.items() if name != "time"})
    return entries


def history(message: Message) -> list[tuple[object, object, object]]:
    """Queue, reason and count of each entry of x-death."""
    return [(entry["queue"], entry["reason"], entry["count"]) for entry in deaths(message)]


def first_death(message: Message) -> tuple[str, str, str]:
    """Reason, queue and exchange of the first death, from headers of their own."""
    return _death_headers(message, "first")


def last_death(message: Message) -> tuple[str, str, str]:
    """Reason, queue and exchange of the newest death, from headers of their own."""
    return _death_headers(message, "last")


def _death_headers(message: Message, which: str) -> tuple[str, str, str]:
    headers = message.properties.headers
    reason, queue, exchange = (headers[f"x-{which}-death-{part}"] for part in ("reason", "queue", "exchange"))
    return reason, queue, exchange
