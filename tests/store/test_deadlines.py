"""Deadlines survive a restart: what expired meanwhile goes at once, though nobody asks for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from leveret.amqp.field_table import table_from_python
from leveret.amqp.frame import content_frames
from leveret.amqp.methods import BasicPublish
from leveret.amqp.properties import BasicProperties, encode_content_header
from leveret.broker.publishing import publish
from leveret.broker.routing import find_route
from tests.store.rig import Client, Rig, restarted


def publish_expiring(rig: Rig, client: Client, queue: str, expiration: str | None) -> None:
    header = encode_content_header(1, BasicProperties(delivery_mode=2, expiration=expiration))
    route = find_route(client.connection, BasicPublish("", queue))
    publish(client.channel, route, content_frames(1, header, b"x", 131072))


@pytest.mark.parametrize(("ttl", "expiration"), [(10_000, None), (None, "10000")])
def test_what_expires_while_the_broker_is_down_is_dead_lettered_at_the_start(
    tmp_path: Path, ttl: int | None, expiration: str | None
) -> None:
    rig = Rig(tmp_path).start()
    rig.declare("letters")
    arguments: dict[str, object] = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "letters"}
    if ttl is not None:
        arguments["x-message-ttl"] = ttl
    rig.vhost.add_queue(rig.vhost.new_queue("queue", True, False, None, table_from_python(arguments)))
    rig.pass_time(0.0)
    publish_expiring(rig, rig.client(), "queue", expiration)
    rig.finish()
    rig = restarted(rig)
    rig.time_of_day += 9.999
    rig.pass_time(0.0)
    assert rig.queue("queue").ready_count() == 1
    rig = restarted(rig)
    rig.time_of_day += 10.001
    rig.pass_time(0.0)
    assert rig.queue("queue").ready_count() == 0
    assert rig.queue("letters").ready_count() == 1
    rig = restarted(rig)
    rig.finish()
    assert (rig.queue("queue").ready_count(), rig.queue("letters").ready_count()) == (0, 1)
    rig.end()


PAGES = 8  # of places; each that is read would be a read of its own


@pytest.mark.parametrize(("ttl", "expiration"), [(10_000, None), (60_000, 10_000), (None, 10_000)])
@pytest.mark.parametrize("persistent", [True, False])
def test_little_of_what_expires_on_disk_is_read(
    tmp_path: Path, ttl: int | None, expiration: int | None, persistent: bool
) -> None:
    rig = Rig(tmp_path).start()
    queue = rig.declare("queue", arguments={} if ttl is None else {"message-ttl": ttl})
    client = rig.client()
    rig.store.residency.queue_limit = 0
    for number in range(PAGES * 1024):
        rig.publish(client, [queue], number, 100, persistent, expiration=expiration)
    rig.finish()
    reads: list[int] = []
    read = rig.memory.read

    def count_and_read(descriptor: int, size: int, offset: int) -> bytes:
        reads.append(offset)
        return read(descriptor, size, offset)

    rig.memory.read = count_and_read  # type: ignore[method-assign]
    rig.pass_time(9.9)
    rig.publish(client, [queue], PAGES * 1024, 100, persistent)
    rig.finish()
    assert queue.ready_count() == PAGES * 1024 + 1
    rig.pass_time(0.2)
    rig.finish()
    assert len(reads) <= 4, "the head, to know when it expires, and the page with the last message"
    assert (queue.ready_count(), queue.ready_octets()) == (1, 100)
    assert sum(segment.live for segment in rig.log.segments.values()) == 1
    rig.pass_time(9.9)
    rig.finish()
    assert queue.ready_count() == (0 if ttl == 10_000 else 1)
    rig.stop()
