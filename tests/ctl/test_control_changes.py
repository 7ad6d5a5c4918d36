"""Changes asked for over the control socket: when they are answered, and what makes no sense."""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from leveret.broker.broker import Broker
from leveret.broker.durability import Store
from leveret.server.control import ControlServer
from leveret.server.control_commands import ControlCommands
from leveret.store.definitions import Definitions
from leveret.store.files import Files
from leveret.store.local import LocalStore

Conversation = tuple[asyncio.StreamReader, asyncio.StreamWriter]

FILE = "definitions.sqlite"
POLICY: dict[str, object] = {
    "command": "set_policy",
    "vhost": "/",
    "name": "policy",
    "pattern": "",
    "definition": '{"max-length":5}',
    "apply_to": "all",
    "priority": 0,
}


@asynccontextmanager
async def conversation(broker: Broker, begin_tick: Callable[[], None] = lambda: None) -> AsyncIterator[Conversation]:
    with tempfile.TemporaryDirectory() as folder:
        server = ControlServer(ControlCommands(broker, begin_tick), Path(folder), lambda: None)
        await server.start()
        reader, writer = await asyncio.open_unix_connection(str(Path(folder) / "control.sock"))
        yield reader, writer
        writer.close()
        await server.close()


def new_broker(store: Store | None = None) -> Broker:
    return Broker("0", "leveret@test", lambda: 0.0, os.urandom, store)


def encoded(request: dict[str, object]) -> bytes:
    return json.dumps(request).encode() + b"\n"


def test_a_change_is_answered_when_it_is_on_the_disk(tmp_path: Path) -> None:
    """Not when it is made, not when the tick has ended, but when the thread that commits has said that it has."""
    posted: list[Callable[[], None]] = []
    (tmp_path / "messages").mkdir()
    store = LocalStore(str(tmp_path / FILE), str(tmp_path / "messages"), Files(), "always", posted.append, raise_it)
    broker = new_broker(store)
    store.restore(broker)

    async def work() -> None:
        async with conversation(broker) as (reader, writer), conversation(new_broker()) as other:
            answer = asyncio.ensure_future(reader.readline())

            async def pause() -> None:
                """Whatever is ready by now has been read when another conversation was answered."""
                for _ in range(3):
                    other[1].write(b'{"command": "list_queues"}\n')
                    await other[0].readline()

            writer.write(encoded(POLICY))
            while "policy" not in broker.vhosts["/"].policies.user:
                await asyncio.sleep(0)
            await pause()
            assert not answer.done()
            broker.end_tick()
            while not posted:
                await asyncio.sleep(0)
            await pause()
            assert not answer.done()
            for action in posted:
                action()
            assert json.loads(await answer) == {"done": {"node": "leveret@test"}}

    try:
        asyncio.run(work())
    finally:
        store.close()
    definitions = Definitions(str(tmp_path / FILE))
    assert [each.name for each in definitions.load().policies] == ["policy"]
    definitions.close()


def raise_it(error: BaseException) -> None:
    raise error


def test_a_change_of_many_queues_lets_the_broker_work() -> None:
    broker = new_broker()
    vhost = broker.vhosts["/"]
    for number in range(20_000):
        vhost.add_queue(vhost.new_queue(f"queue-{number}", False, False, None, {}))
    ticks = 0

    def begin_tick() -> None:
        nonlocal ticks
        ticks += 1

    async def work() -> None:
        async with conversation(broker, begin_tick) as (reader, writer):
            writer.write(encoded(POLICY))
            while "policy" not in vhost.policies.user:
                await asyncio.sleep(0)
            # declared and deleted while it is being applied
            vhost.add_queue(vhost.new_queue("late", False, False, None, {}))
            vhost.delete_queue(vhost.queues["queue-19999"])
            assert "done" in json.loads(await reader.readline())

    asyncio.run(work())
    assert ticks > 3
    policy = vhost.policies.user["policy"]
    assert len(vhost.queues) == 20_000
    assert all(queue.policy is policy for queue in vhost.queues.values())


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"name": None}, "name is a string"),
        ({"pattern": 5}, "pattern is a string"),
        ({"definition": {}}, "definition is a string"),
        ({"apply_to": []}, "apply_to is a string"),
        ({"priority": "0"}, "priority is an integer"),
        ({"priority": True}, "priority is an integer"),
        ({"vhost": 1}, "vhost is a string"),
        ({"command": "clear_policy", "vhost": None}, "vhost is a string"),
        ({"command": "set_user_limits"}, "user is a string"),
        ({"command": "clear_user_limits", "limit": "all"}, "user is a string"),
        ({"command": "set_vhost_limits", "definition": "{}", "vhost": 5}, "vhost is a string"),
    ],
)
def test_what_makes_no_sense_is_answered(changed: dict[str, object], text: str) -> None:
    broker = new_broker()

    async def work() -> None:
        async with conversation(broker) as (reader, writer):
            request = {**POLICY, **changed}
            if request["command"] == "set_user_limits":
                request["definition"] = "{}"
            writer.write(encoded(request))
            assert json.loads(await reader.readline()) == {"error": {"kind": "request", "text": text}}
            writer.write(b'{"command": "list_policies"}\n')
            assert json.loads(await reader.readline())["rows"] == []

    asyncio.run(work())
