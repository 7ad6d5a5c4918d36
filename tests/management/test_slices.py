"""What takes long lets the broker work; imports are on the disk when they are done, small ones as one transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from leveret.broker.broker import Broker
from leveret.broker.defaults import Defaults
from leveret.management.definitions.importing import TOGETHER, import_in_slices
from leveret.management.definitions.loading import CannotLoad, load_definitions
from leveret.management.definitions.steps import InvalidDefinitions
from leveret.management.http.slices import SLICE, in_slices
from leveret.store.definitions import Definitions
from leveret.store.files import Files
from leveret.store.local import LocalStore
from tests.management.test_import import FILES, document, everything, new_broker

FILE = "definitions.sqlite"


def queues(count: int) -> dict[str, Any]:
    return {"queues": [{"name": f"q{number}", "vhost": "/", "arguments": {}} for number in range(count)]}


class Stored:
    """A broker with a store on the disk, whose ticks the event loop makes."""

    def __init__(self, folder: Path) -> None:
        (folder / "messages").mkdir()
        self.loop = asyncio.get_running_loop()
        self.path = folder / FILE
        self.store = LocalStore(str(self.path), str(folder / "messages"), Files(), "always", self._post, raise_it)
        self.broker = new_broker(store=self.store)
        self.store.restore(self.broker)
        self.ticks = 0
        self._begun = False

    def _post(self, action: Callable[[], None]) -> None:
        self.loop.call_soon_threadsafe(action)

    def begin_tick(self) -> None:
        if not self._begun:
            self._begun = True
            self.loop.call_soon(self._end)

    def _end(self) -> None:
        self._begun = False
        self.ticks += 1
        self.broker.end_tick()

    @property
    def commits(self) -> int:
        return self.store._commit_number

    def kept(self) -> set[str]:
        """The queues that are on the disk; ends the store."""
        self.store.close()
        definitions = Definitions(str(self.path))
        names = {queue.name for queue in definitions.load().queues}
        definitions.close()
        return names


def raise_it(error: BaseException) -> None:
    raise error


def test_a_large_import_lets_the_broker_work(tmp_path: Path) -> None:
    count = 25 * TOGETHER

    async def work() -> None:
        stored = Stored(tmp_path)
        done = await import_in_slices(stored.broker, queues(count), stored.begin_tick)
        assert done.changed == count
        assert stored.ticks >= 3 and stored.commits >= 3
        commits = stored.commits
        assert (await import_in_slices(stored.broker, queues(count), stored.begin_tick)).changed == 0
        await asyncio.sleep(0)
        assert stored.commits == commits
        assert len(stored.kept()) == count

    asyncio.run(work())


def test_a_small_import_is_one_transaction(tmp_path: Path) -> None:
    async def work() -> None:
        stored = Stored(tmp_path)
        await import_in_slices(stored.broker, document("rabbitmq-3.10.json"), stored.begin_tick)
        assert stored.commits == 1
        assert "shop.orders" in stored.kept()

    asyncio.run(work())


def test_what_somebody_deletes_meanwhile_is_an_error_with_a_name() -> None:
    async def work() -> None:
        broker = new_broker()
        broker.add_vhost("other")
        content = queues(25 * TOGETHER)
        content["queues"].append({"name": "late", "vhost": "other"})
        task = asyncio.ensure_future(import_in_slices(broker, content, lambda: None))
        while not broker.vhosts["/"].queues:
            await asyncio.sleep(0)
        broker.delete_vhost("other")
        with pytest.raises(InvalidDefinitions, match="queue 'late' in vhost 'other': the virtual host was deleted"):
            await task

    asyncio.run(work())


def test_all_work_in_slices_shares_the_slice_of_a_round(monkeypatch: pytest.MonkeyPatch) -> None:
    requests, items_in_a_slice = 3, 4

    async def work() -> None:
        loop = asyncio.get_running_loop()
        now = 0.0
        done = 0  # in this round
        rounds: list[int] = []
        monkeypatch.setattr(loop, "time", lambda: now)

        def broker_works() -> None:
            nonlocal done
            rounds.append(done)
            done = 0
            loop.call_soon(broker_works)

        async def request() -> None:
            nonlocal now, done
            for _ in range(10):
                async for _ in in_slices(range(5)):
                    now += SLICE / items_in_a_slice
                    done += 1

        broker_works()
        await asyncio.gather(*[request() for _ in range(requests)])
        assert sum(rounds) + done == requests * 10 * 5
        assert max(rounds) <= items_in_a_slice + requests - 1  # each does one item at least

    asyncio.run(work())


# at the start


def test_a_folder_is_loaded_in_the_order_of_its_names(tmp_path: Path) -> None:
    (tmp_path / "20-queue.json").write_text('{"queues": [{"name": "q", "vhost": "v"}], "users": [{"name": "u"}]}')
    (tmp_path / "30-user.json").write_text('{"users": [{"name": "u", "tags": "management"}]}')
    (tmp_path / "10-vhost.json").write_text('{"vhosts": [{"name": "v"}]}')
    (tmp_path / ".hidden.json").write_text("not JSON")
    (tmp_path / "folder").mkdir()
    broker = new_broker()
    load_definitions(broker, tmp_path)
    assert list(broker.vhosts["v"].queues) == ["q"]
    assert broker.users.user("u").tags == ["management"]


def test_what_was_loaded_last_is_skipped_if_that_is_wanted(tmp_path: Path) -> None:
    file = tmp_path / "definitions.json"
    file.write_bytes((FILES / "rabbitmq-3.10.json").read_bytes())
    broker = new_broker()
    load_definitions(broker, file, skip_if_unchanged=True)
    before = everything(broker)
    broker.vhosts["shop/eu"].delete_queue(broker.vhosts["shop/eu"].queues["shop.orders"])
    load_definitions(broker, file, skip_if_unchanged=True)
    assert "shop.orders" not in broker.vhosts["shop/eu"].queues
    load_definitions(broker, file)
    assert "shop.orders" in broker.vhosts["shop/eu"].queues
    assert everything(broker)[0]["users"] == before[0]["users"]
    file.write_text('{"vhosts": [{"name": "v"}]}')
    load_definitions(broker, file, skip_if_unchanged=True)
    assert "v" in broker.vhosts


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("{", "definitions.json: not JSON"),
        ('{"queues": [{"name": "q"}]}', "definitions.json: queue number 1: vhost is missing"),
        (None, "definitions.json: No such file or directory"),
    ],
)
def test_what_can_not_be_loaded(tmp_path: Path, content: str | None, text: str) -> None:
    file = tmp_path / "definitions.json"
    if content is not None:
        file.write_text(content)
    with pytest.raises(CannotLoad, match=text):
        load_definitions(new_broker(), file)


def test_a_broker_for_definitions_begins_with_nothing() -> None:
    broker = Broker("0", "leveret@test", lambda: 0.0, bytes, defaults=Defaults(made=False))
    assert (broker.vhosts, broker.users.all(), broker.permissions.all()) == ({}, [], [])
    assert "internal_cluster_id" in broker.parameters.all_global()
