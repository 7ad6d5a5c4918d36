"""Every change of users, permissions and virtual hosts is on the disk when it is answered."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from leveret.broker.broker import Broker
from leveret.broker.passwords import MD5
from leveret.store.definitions import Definitions
from tests.store.rig import Rig, restarted
from tests.store.test_definitions import Contents, contents

Change = Callable[[Broker], object]
CHANGES: list[Change] = [
    lambda broker: broker.users.add("bob", b"secret", ["a"]),
    lambda broker: broker.users.set_password("alice", b"another"),
    lambda broker: broker.users.clear_password("alice"),
    lambda broker: broker.users.set_tags("alice", ["b", "c"]),
    lambda broker: broker.users.put("alice", "", MD5, []),
    lambda broker: broker.users.set_limits("alice", {"max-channels": 3}),
    lambda broker: broker.users.delete("alice"),
    lambda broker: broker.users.delete("guest"),
    lambda broker: broker.permissions.set("alice", "/", "c", "w", "r"),
    lambda broker: broker.permissions.set("alice", "other", "c", "w", "r"),
    lambda broker: broker.permissions.clear("alice", "other"),
    lambda broker: broker.permissions.set_topic("alice", "other", "y", "w", "r"),
    lambda broker: broker.permissions.set_topic("alice", "other", "x", "w", "r"),
    lambda broker: broker.permissions.clear_topic("alice", "other", "x"),
    lambda broker: broker.permissions.clear_topic("alice", "other"),
    lambda broker: broker.add_vhost("third", "about", ["a"], "quorum"),
    lambda broker: broker.describe_vhost("other", "about", ["a"], "classic", True),
    lambda broker: broker.delete_vhost("other"),
    lambda broker: broker.delete_vhost("/"),
]


def on_disk(rig: Rig) -> Contents:
    return contents(rig.store.definitions.load())


def in_memory(broker: Broker) -> tuple[object, ...]:
    """What a broker has, comparable."""
    return (
        {
            vhost.name: (vhost.description, vhost.tags, vhost.default_queue_type, vhost.protected)
            for vhost in broker.vhosts.values()
        },
        {user.name: (user.password_hash, user.hashing_algorithm, user.tags) for user in broker.users.all()},
        {(each.user, each.vhost): (each.configure, each.write, each.read) for each in broker.permissions.all()},
        {(each.user, each.vhost, each.exchange): (each.write, each.read) for each in broker.permissions.all_topics()},
    )


@pytest.mark.parametrize("number", range(len(CHANGES)))
def test_a_change_is_on_the_disk_when_that_is_said(tmp_path: Path, number: int) -> None:
    rig = Rig(tmp_path).start()
    broker = rig.broker
    broker.users.add("alice", b"secret")
    broker.add_vhost("other")
    broker.permissions.set("alice", "other", "", "", "")
    broker.permissions.set_topic("alice", "other", "x", "", "")
    rig.finish()
    before = on_disk(rig)
    CHANGES[number](broker)
    said: list[Contents] = []
    broker.store.when_committed(lambda: said.append(on_disk(rig)))
    assert said == []
    rig.finish()
    assert said == [on_disk(rig)]
    assert said != [before]
    now = in_memory(broker)
    assert (said[0][0], *said[0][6]) == now
    rig = restarted(rig)
    assert in_memory(rig.broker) == now
    rig.stop()


def test_what_is_deleted_with_a_virtual_host_is_gone_from_the_disk(tmp_path: Path) -> None:
    rig = Rig(tmp_path).start()
    client = rig.client()
    queue = rig.declare("queue")
    rig.publish(client, [queue], 1)
    rig.finish()
    assert client.confirmed() == [1]
    rig.broker.delete_vhost("/")
    rig.finish()
    assert on_disk(rig)[:4] == ({}, {}, {}, set())
    assert sum(segment.live for segment in rig.log.segments.values()) == 0
    rig = restarted(rig)
    assert not rig.broker.vhosts
    assert rig.recovery is not None
    assert rig.recovery.messages == 0
    rig.stop()
    definitions = Definitions(str(tmp_path / "definitions.sqlite"))
    assert definitions.load().next_queue_id == 2
    definitions.close()
