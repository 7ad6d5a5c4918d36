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
    route = find_route(rig.vhost, BasicPublish("", queue))
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
