"""Rows that make no sense, by damage or somebody's hand: the broker starts, says so, and loses no messages by it."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from leveret.broker.binding import Binding
from leveret.broker.exchange.types import make_exchange
from leveret.broker.passwords import SHA256
from leveret.broker.policy import make_policy
from tests.store.rig import DEFINITIONS, Rig
from tests.store.test_settling import numbers

ORPHANED = (
    "INSERT INTO vhost_limits VALUES (x'676f6e65', 'max-queues', 0)",
    "INSERT INTO policies VALUES (x'676f6e65', 0, x'70', x'2e2a', 'queues', '{\"max-length\":1}', 0)",
    "INSERT INTO permissions VALUES (x'6f74686572', x'676f6e65', x'2e2a', x'2e2a', x'2e2a')",
    "INSERT INTO topic_permissions VALUES (x'6f74686572', x'676f6e65', x'78', x'2e2a', x'2e2a')",
    "INSERT INTO parameters VALUES (x'676f6e65', x'63', x'6e', '1')",
    "INSERT INTO bindings VALUES (x'676f6e65', 'queue', x'71', x'616d712e646972656374', x'', x'00000000')",
)


def change(folder: Path, *statements: str) -> None:
    """Change the definitions by hand."""
    database = sqlite3.connect(folder / "definitions.sqlite")
    with database:
        for statement in statements:
            database.execute(statement)
    database.close()


@pytest.mark.parametrize("statement", ORPHANED, ids=lambda statement: statement.split()[2])
def test_what_is_left_of_a_virtual_host_is_forgotten(
    tmp_path: Path, statement: str, caplog: pytest.LogCaptureFixture
) -> None:
    rig = Rig(tmp_path).start()
    rig.broker.users.put("other", "", SHA256, [])
    rig.stop()
    change(tmp_path, statement)
    rig = Rig(tmp_path).start()
    (line,) = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert line.startswith("vhost 'gone' is not defined")
    assert list(rig.broker.vhosts) == ["/"]
    assert rig.broker.permissions.find("other", "gone") is None
    vhost = rig.broker.add_vhost("gone")  # it begins without any of it, now and after a restart
    rig.stop()
    rig = Rig(tmp_path).start()
    again = rig.broker.vhosts["gone"]
    for each in (vhost, again):
        assert (each.usage.limits, list(each.policies.listed(False)), each.queues) == ({}, [], {})
    assert rig.broker.permissions.find("other", "gone") is None
    assert rig.broker.permissions.find_topic("other", "gone", "x") is None
    assert "gone" not in rig.store.loaded.parameters
    assert rig.store.loaded.bindings == []
    rig.stop()


def test_a_virtual_host_with_queues_is_made_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rig = Rig(tmp_path).start()
    exchange = make_exchange("fanout", "x", True, False, False, {})
    rig.vhost.add_exchange(exchange)
    queue = rig.declare("queue")
    rig.vhost.add_binding(Binding(exchange, queue, "", {}))
    rig.vhost.policies.set(make_policy("p", ".*", "queues", {"max-length": 9}, 0, False), False)
    rig.publish(rig.client(), [queue], 7)
    rig.stop()
    change(tmp_path, "DELETE FROM vhosts WHERE name = x'2f'")
    rig = Rig(tmp_path, rig.memory.killed()).start()
    assert "vhost '/' is not defined, but exchanges or queues in it are: it is made again" in caplog.messages
    assert len(rig.vhost.exchanges["x"].bindings) == 1
    assert [policy.name for policy in rig.vhost.policies.listed(False)] == ["p"]
    assert numbers(rig.take_all(rig.queue("queue"))) == [7]
    caplog.clear()
    files = rig.memory.killed()
    rig.stop()
    rig = Rig(tmp_path, files).start()
    assert numbers(rig.take_all(rig.queue("queue"))) == [7]
    assert caplog.messages == []
    rig.stop()


def test_what_is_left_of_a_user_is_forgotten(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rig = Rig(tmp_path).start()
    permissions = rig.broker.permissions
    rig.broker.users.put("gone", "", SHA256, [])
    permissions.set("gone", "/", ".*", ".*", ".*")
    permissions.set_topic("gone", "/", "x", ".*", ".*")
    rig.stop()
    change(
        tmp_path,
        "DELETE FROM users WHERE name = x'676f6e65'",
        "INSERT INTO user_limits VALUES (x'676f6e65', 'max-channels', 0)",
    )
    rig = Rig(tmp_path).start()
    assert caplog.messages == ["user 'gone' is not defined: their permissions and limits are deleted"]
    rig.broker.users.put("gone", "", SHA256, [])
    rig.stop()
    rig = Rig(tmp_path).start()
    assert rig.broker.users.usage("gone").limits == {}
    assert rig.broker.permissions.find("gone", "/") is None
    assert rig.broker.permissions.find_topic("gone", "/", "x") is None
    rig.stop()


def test_an_exchange_that_was_left_out_can_be_declared_and_bound_again(tmp_path: Path) -> None:
    rig = Rig(tmp_path).start()
    exchange = make_exchange("fanout", "x", True, False, False, {})
    rig.vhost.add_exchange(exchange)
    rig.vhost.add_binding(Binding(exchange, rig.declare("queue"), "", {}))
    rig.stop()
    change(tmp_path, "UPDATE exchanges SET type = 'of tomorrow' WHERE name = x'78'")
    rig = Rig(tmp_path).start()
    assert "x" not in rig.vhost.exchanges
    exchange = make_exchange("fanout", "x", True, False, False, {})
    rig.vhost.add_exchange(exchange)
    rig.vhost.add_binding(Binding(exchange, rig.queue("queue"), "", {}))
    rig.tick()
    rig.turn(DEFINITIONS)
    assert rig.failures == []
    rig.stop()
    rig = Rig(tmp_path).start()
    assert len(rig.vhost.exchanges["x"].bindings) == 1
    rig.stop()
