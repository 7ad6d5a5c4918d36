"""The definitions come back as they were committed, from a file that is whole, and from no other."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings

from leveret.amqp.field_table import Table, encode_table, table_from_python
from leveret.broker.permissions import Permission, TopicPermission
from leveret.broker.users import User
from leveret.store.definition_changes import Changes
from leveret.store.definitions import CannotUseDefinitions, DamagedDefinitions, Definitions
from leveret.store.loaded_definitions import LoadedDefinitions
from tests.amqp.strategies import any_short_strings, tables

FILE = "definitions.sqlite"

Access = tuple[dict[str, tuple], dict[tuple[str, str], tuple], dict[tuple[str, str, str], tuple]]
Contents = tuple[
    dict[str, tuple],
    dict[tuple[str, str], tuple],
    dict[int, tuple],
    set[tuple],
    dict[tuple[str, bool, str], tuple],
    tuple[dict[str, dict[str, int]], dict[str, dict[str, int]]],
    Access,
]
PLAIN_VHOST: tuple[str, list[str], str, bool] = (
    "",
    [],
    "",
    False,
)  # how new ones are described


def contents(loaded: LoadedDefinitions) -> Contents:
    """What was loaded, comparable; arguments as their encoding."""
    exchanges = {
        (each.vhost, each.name): (each.type_name, each.auto_delete, each.internal, encode_table(each.arguments))
        for each in loaded.exchanges
    }
    queues = {
        each.id: (each.vhost, each.name, each.auto_delete, encode_table(each.arguments)) for each in loaded.queues
    }
    bindings = {
        (
            each.vhost,
            each.source,
            each.destination_kind,
            each.destination,
            each.routing_key,
            encode_table(each.arguments),
        )
        for each in loaded.bindings
    }
    assert len(exchanges) == len(loaded.exchanges)
    assert len(queues) == len(loaded.queues)
    assert len(bindings) == len(loaded.bindings)
    policies = {
        (each.vhost, each.operator, each.name): (each.pattern, each.apply_to, each.definition, each.priority)
        for each in loaded.policies
    }
    assert len(policies) == len(loaded.policies)
    limits = (loaded.vhost_limits, loaded.user_limits)
    vhosts = {
        each.name: (each.description, each.tags, each.default_queue_type, each.protected) for each in loaded.vhosts
    }
    return vhosts, exchanges, queues, bindings, policies, limits, access_of(loaded)


def access_of(loaded: LoadedDefinitions) -> Access:
    """The users and permissions of what was loaded."""
    users = {each.name: (each.password_hash, each.hashing_algorithm, each.tags) for each in loaded.users}
    permissions = {(each.user, each.vhost): (each.configure, each.write, each.read) for each in loaded.permissions}
    topics = {(each.user, each.vhost, each.exchange): (each.write, each.read) for each in loaded.topic_permissions}
    return users, permissions, topics


def load(folder: Path) -> LoadedDefinitions:
    """What a broker that starts in the folder finds."""
    definitions = Definitions(str(folder / FILE))
    try:
        return definitions.load()
    finally:
        definitions.close()


def commit(folder: Path, changes: Changes) -> None:
    definitions = Definitions(str(folder / FILE))
    try:
        definitions.commit(changes)
    finally:
        definitions.close()


def some_changes(first: int = 1, count: int = 3) -> Changes:
    changes = Changes()
    for id in range(first, first + count):
        changes.add_queue(id, "/", f"queue-{id}", False, {})
        changes.add_binding("/", "amq.direct", "queue", f"queue-{id}", "key", {})
    return changes


def test_a_new_file_holds_nothing(tmp_path: Path) -> None:
    loaded = load(tmp_path)
    assert contents(loaded) == ({}, {}, {}, set(), {}, ({}, {}), ({}, {}, {}))
    assert loaded.next_queue_id == 1


def test_changes_are_counted() -> None:
    assert Changes().empty
    assert len(Changes()) == 0
    changes = some_changes(count=3)
    assert not changes.empty
    assert len(changes) == 6


@settings(max_examples=50, deadline=None)
@given(vhost=any_short_strings, name=any_short_strings, key=any_short_strings, arguments=tables)
def test_any_octets_and_arguments_come_back(vhost: str, name: str, key: str, arguments: Table) -> None:
    with tempfile.TemporaryDirectory() as folder:
        changes = Changes()
        changes.set_vhost(vhost, name, [key, name], "quorum", True)
        changes.set_user(User(name, "hash", "algorithm", [key]))
        changes.set_permission(Permission(name, vhost, key, name, vhost))
        changes.set_topic_permission(TopicPermission(name, vhost, key, name, vhost))
        changes.add_exchange(vhost, name, "headers", True, False, arguments)
        changes.add_queue(7, vhost, name, True, arguments)
        changes.add_binding(vhost, name, "queue", name, key, arguments)
        changes.add_binding(vhost, name, "exchange", name, key, arguments)
        changes.set_policy(vhost, True, name, key, "all", {name: key, "": 1 << 100}, -(1 << 62))
        changes.set_vhost_limits(vhost, {"max-queues": -1})
        changes.set_user_limits(name, {"max-channels": 1 << 62})
        commit(Path(folder), changes)
        loaded = load(Path(folder))
    encoded = encode_table(arguments)
    assert contents(loaded) == (
        {vhost: (name, [key, name], "quorum", True)},
        {(vhost, name): ("headers", True, False, encoded)},
        {7: (vhost, name, True, encoded)},
        {(vhost, name, "queue", name, key, encoded), (vhost, name, "exchange", name, key, encoded)},
        {(vhost, True, name): (key, "all", {name: key, "": 1 << 100}, -(1 << 62))},
        ({vhost: {"max-queues": -1}}, {name: {"max-channels": 1 << 62}}),
        (
            {name: ("hash", "algorithm", [key])},
            {(name, vhost): (key, name, vhost)},
            {(name, vhost, key): (name, vhost)},
        ),
    )
    assert [each.arguments for each in loaded.queues] == [arguments]


def test_arguments_keep_their_types(tmp_path: Path) -> None:
    arguments = table_from_python(
        {"x-max-length": 10, "x-queue-type": "classic", "nested": {"list": [1, None, b"\xff"]}}
    )
    changes = Changes()
    changes.add_queue(1, "/", "queue", False, arguments)
    commit(tmp_path, changes)
    assert load(tmp_path).queues[0].arguments == arguments


class Model:
    """What the definitions should be, changed along with them."""

    def __init__(self) -> None:
        self.contents: Contents = ({}, {}, {}, set(), {}, ({}, {}), ({}, {}, {}))
        self.next_queue_id = 1

    def remove_bindings(self, kept: list[bool]) -> None:
        bindings = self.contents[3]
        for binding, keep in zip(list(bindings), kept, strict=True):
            if not keep:
                bindings.discard(binding)

    def change(self, changes: Changes, chance: random.Random) -> None:
        """Make one change at random, here and in `changes`: of few names, so that it often meets earlier ones."""
        vhosts, exchanges, queues, bindings, policies, (vhost_limits, user_limits), _ = self.contents
        vhost, name, other = chance.choice(("/", "v")), chance.choice("abc"), chance.choice("abc")
        empty = encode_table({})
        match chance.randrange(16):
            case 0:
                if vhost in vhosts:
                    changes.delete_vhost(vhost)
                    del vhosts[vhost]
                    for key in [key for key in exchanges if key[0] == vhost]:
                        del exchanges[key]
                    for id in [id for id, queue in queues.items() if queue[0] == vhost]:
                        del queues[id]
                    self.remove_bindings([binding[0] != vhost for binding in bindings])
                    for policy_key in [key for key in policies if key[0] == vhost]:
                        del policies[policy_key]
                    vhost_limits.pop(vhost, None)
                    self.forget_access(1, vhost)
                else:
                    described = (chance.choice("de"), [name], chance.choice(("", "quorum")), chance.random() < 0.5)
                    changes.set_vhost(vhost, *described)
                    vhosts[vhost] = described
            case 1 | 2:
                if (vhost, name) not in exchanges:
                    changes.add_exchange(vhost, name, "topic", False, True, {})
                    exchanges[vhost, name] = ("topic", False, True, empty)
            case 3 | 4:
                changes.add_queue(self.next_queue_id, vhost, name, True, {})
                queues[self.next_queue_id] = (vhost, name, True, empty)
                self.next_queue_id += 1
            case 5 | 6:
                kind = chance.choice(("queue", "exchange"))
                binding = (vhost, name, kind, other, chance.choice("kl"), empty)
                if binding in bindings:
                    changes.delete_binding(*binding[:5], {})
                    bindings.remove(binding)
                else:
                    changes.add_binding(*binding[:5], {})
                    bindings.add(binding)
            case 8:
                policy = ("^a", chance.choice(("all", "queues")), {"max-length": chance.randrange(3)}, 0)
                operator = chance.random() < 0.5
                changes.set_policy(vhost, operator, name, *policy)
                policies[vhost, operator, name] = policy
            case 9:
                operator = chance.random() < 0.5
                changes.clear_policy(vhost, operator, name)
                policies.pop((vhost, operator, name), None)
            case 10:
                limits = {
                    key: chance.randrange(9) for key in ("max-queues", "max-connections") if chance.random() < 0.5
                }
                changes.set_vhost_limits(vhost, limits)
                changes.set_user_limits(name, limits)
                for found, owner in ((vhost_limits, vhost), (user_limits, name)):
                    found[owner] = limits
                    if not limits:
                        del found[owner]
            case 12 | 13 | 14 | 15:
                self.change_access(changes, chance, name, vhost)
            case _:
                self.delete(changes, chance)

    def change_access(self, changes: Changes, chance: random.Random, user: str, vhost: str) -> None:
        users, permissions, topics = self.contents[6]
        some, other, exchange = chance.choice("xy"), chance.choice("xy"), chance.choice("ef")
        match chance.randrange(6):
            case 0 | 1:
                changes.set_user(User(user, some, other, [some, other]))
                users[user] = (some, other, [some, other])
            case 2:
                changes.delete_user(user)
                users.pop(user, None)
                self.contents[5][1].pop(user, None)
                self.forget_access(0, user)
            case 3:
                changes.set_permission(Permission(user, vhost, some, other, some))
                permissions[user, vhost] = (some, other, some)
            case 4:
                changes.set_topic_permission(TopicPermission(user, vhost, exchange, some, other))
                topics[user, vhost, exchange] = (some, other)
            case _:
                changes.clear_permission(user, vhost)
                permissions.pop((user, vhost), None)
                changes.clear_topic_permission(user, vhost, exchange)
                topics.pop((user, vhost, exchange), None)

    def forget_access(self, place: int, name: str) -> None:
        """Drop the permissions of a user (0) or for a virtual host (1)."""
        _, permissions, topics = self.contents[6]
        for key in [key for key in permissions if key[place] == name]:
            del permissions[key]
        for topic_key in [key for key in topics if key[place] == name]:
            del topics[topic_key]

    def delete(self, changes: Changes, chance: random.Random) -> None:
        _, exchanges, queues, bindings, *_ = self.contents
        if queues and chance.random() < 0.5:
            id = chance.choice(sorted(queues))
            changes.delete_queue(id)
            vhost, name = queues.pop(id)[:2]
            self.remove_bindings([binding[:1] + binding[2:4] != (vhost, "queue", name) for binding in bindings])
        elif exchanges:
            vhost, name = chance.choice(sorted(exchanges))
            changes.delete_exchange(vhost, name)
            del exchanges[vhost, name]
            self.remove_bindings(
                [
                    binding[:2] != (vhost, name) and binding[:1] + binding[2:4] != (vhost, "exchange", name)
                    for binding in bindings
                ]
            )


@pytest.mark.parametrize("seed", range(10))
def test_changes_act_in_their_order(tmp_path: Path, seed: int) -> None:
    """Also a name deleted and taken again in one commit; bindings go with either of their ends, and no others do."""
    chance = random.Random(seed)
    model = Model()
    for _ in range(10):
        definitions = Definitions(str(tmp_path / FILE))
        loaded = definitions.load()
        assert contents(loaded) == model.contents
        assert loaded.next_queue_id == model.next_queue_id
        for _ in range(5):
            changes = Changes()
            for _ in range(chance.randrange(8)):
                model.change(changes, chance)
            definitions.commit(changes)
        assert contents(definitions.load()) == model.contents
        definitions.close()


def test_queue_ids_are_never_used_again(tmp_path: Path) -> None:
    commit(tmp_path, some_changes(count=5))
    changes = Changes()
    for id in range(1, 6):
        changes.delete_queue(id)
    changes.add_queue(6, "/", "short-lived", False, {})
    changes.delete_queue(6)
    commit(tmp_path, changes)
    loaded = load(tmp_path)
    assert contents(loaded)[2] == {}
    assert loaded.next_queue_id == 7


def test_a_commit_that_fails_changes_nothing(tmp_path: Path) -> None:
    definitions = Definitions(str(tmp_path / FILE))
    definitions.commit(some_changes())
    before = contents(definitions.load())
    changes = some_changes(4)
    changes.add_queue(1, "/", "of an id that is taken", False, {})
    with pytest.raises(sqlite3.IntegrityError):
        definitions.commit(changes)
    assert contents(definitions.load()) == before
    definitions.commit(some_changes(4))
    assert len(definitions.load().queues) == 6
    definitions.close()


def test_commits_may_come_from_another_thread(tmp_path: Path) -> None:
    definitions = Definitions(str(tmp_path / FILE))
    definitions.load()
    thread = threading.Thread(target=definitions.commit, args=(some_changes(),))
    thread.start()
    thread.join()
    definitions.close()
    definitions.close()
    assert len(load(tmp_path).queues) == 3


COMMITS_WITHOUT_END = """
import sys
from leveret.store.definition_changes import Changes
from leveret.store.definitions import Definitions
definitions = Definitions(sys.argv[1])
id = definitions.load().next_queue_id
while True:
    changes = Changes()
    changes.add_queue(id, "/", f"queue-{id}", False, {})
    changes.add_binding("/", "amq.direct", "queue", f"queue-{id}", "key", {})
    definitions.commit(changes)
    print(id, flush=True)
    id += 1
"""


def killed_while_committing(file: Path, after: int) -> int:
    """Run a process that commits queue after queue, kill it at some time after so many; give the last id it told of."""
    with subprocess.Popen([sys.executable, "-c", COMMITS_WITHOUT_END, str(file)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(after)]
        process.kill()
        lines += process.stdout.readlines()
    assert process.returncode == -signal.SIGKILL
    return int([line for line in lines if line.endswith(b"\n")][-1])


def committed_through(folder: Path) -> int:
    """Check that exactly the first commits of COMMITS_WITHOUT_END are there, each wholly; give how many."""
    loaded = load(folder)
    count = len(loaded.queues)
    assert [queue.id for queue in loaded.queues] == list(range(1, count + 1))
    assert {binding.destination for binding in loaded.bindings} == {f"queue-{id}" for id in range(1, count + 1)}
    assert loaded.next_queue_id == count + 1
    return count


def test_a_killed_process_leaves_what_it_committed(tmp_path: Path) -> None:
    """Killed at five places, each time going on from the last. It may have been killed before it could tell."""
    for after in (1, 20, 3, 57, 7):
        told = killed_while_committing(tmp_path / FILE, after)
        assert committed_through(tmp_path) in (told, told + 1)


DIES_IN_A_COMMIT = """
import os, signal, sys
from leveret.store.definition_changes import Changes
from leveret.store.definitions import Definitions

class Death:
    def __conform__(self, protocol):
        os.kill(os.getpid(), signal.SIGKILL)

definitions = Definitions(sys.argv[1])
changes = Changes()
for id in range(4, 20_000):
    changes.add_queue(id, "/", f"queue-{id}" * 10, False, {})
changes.statements.append(("SELECT ?", (Death(),)))
definitions.commit(changes)
"""


def test_a_process_killed_in_a_commit_leaves_nothing_of_it(tmp_path: Path) -> None:
    """The commit is so large that much of it is in the file's log when the process dies."""
    commit(tmp_path, some_changes())
    before = contents(load(tmp_path))
    died = subprocess.run([sys.executable, "-c", DIES_IN_A_COMMIT, str(tmp_path / FILE)])
    assert died.returncode == -signal.SIGKILL
    assert (tmp_path / f"{FILE}-wal").stat().st_size > 100_000
    assert contents(load(tmp_path)) == before


def test_a_log_cut_off_anywhere_leaves_the_first_commits(tmp_path: Path) -> None:
    """As after a loss of power in the midst of writing: cut short, or with zeros at the end."""
    crashed, restarted = tmp_path / "crashed", tmp_path / "restarted"
    crashed.mkdir()
    told = killed_while_committing(crashed / FILE, 20)
    log = (crashed / f"{FILE}-wal").read_bytes()
    chance = random.Random(1)
    counts = set()
    for cut in [0, len(log), *(chance.randrange(len(log)) for _ in range(30))]:
        for tail in (b"", bytes(len(log) - cut)):
            shutil.copytree(crashed, restarted)
            (restarted / f"{FILE}-wal").write_bytes(log[:cut] + tail)
            definitions = Definitions(str(restarted / FILE))
            found = contents(definitions.load())
            definitions.close()
            assert set(found[2]) == set(range(1, len(found[2]) + 1))
            assert {binding[3] for binding in found[3]} == {f"queue-{id}" for id in found[2]}
            counts.add(len(found[2]))
            shutil.rmtree(restarted)
    assert len(counts) > 5
    assert max(counts) >= told


def test_what_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("These are not the definitions. " * 100)
    with pytest.raises(DamagedDefinitions, match=rf"{FILE} is damaged: file is not a database$"):
        load(tmp_path)


def test_another_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    database = sqlite3.connect(tmp_path / FILE)
    database.execute("CREATE TABLE songs (name TEXT)")
    database.close()
    before = (tmp_path / FILE).read_bytes()
    with pytest.raises(DamagedDefinitions, match="not one of Leveret's definitions"):
        load(tmp_path)
    assert (tmp_path / FILE).read_bytes() == before


def test_a_file_made_by_nobody_who_finished_is_made_anew(tmp_path: Path) -> None:
    """A process that dies between making the file and its first commit leaves it empty."""
    (tmp_path / FILE).touch()
    commit(tmp_path, some_changes())
    assert committed_through(tmp_path) == 3


@pytest.mark.parametrize("page", range(1, 12))
def test_a_damaged_page_is_noticed(tmp_path: Path, page: int) -> None:
    commit(tmp_path, some_changes(count=200))
    with (tmp_path / FILE).open("r+b") as file:
        file.seek(page * 4096)
        file.write(b"\xa5" * 4096)
    with pytest.raises(DamagedDefinitions, match=rf"{FILE} is damaged: ") as raised:
        load(tmp_path)
    assert "\n" not in str(raised.value)


def test_a_truncated_file_is_noticed(tmp_path: Path) -> None:
    commit(tmp_path, some_changes(count=200))
    os.truncate(tmp_path / FILE, 5 * 4096)
    with pytest.raises(DamagedDefinitions, match=rf"{FILE} is damaged: "):
        load(tmp_path)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE queues SET arguments = x'00000005016149'",
        "UPDATE queues SET arguments = x''",
        "UPDATE queues SET name = 5",
        "UPDATE exchanges SET type = CAST(x'ff' AS TEXT)",
        "UPDATE policies SET definition = '{'",
        "UPDATE policies SET definition = '[]'",
        "UPDATE policies SET name = 5",
        "UPDATE vhost_limits SET vhost = 'text'",
    ],
)
def test_a_damaged_row_is_noticed(tmp_path: Path, statement: str) -> None:
    changes = some_changes()
    changes.add_exchange("/", "exchange", "direct", False, False, {})
    changes.set_policy("/", False, "policy", "", "all", {"max-length": 5}, 0)
    changes.set_vhost_limits("/", {"max-queues": 5})
    commit(tmp_path, changes)
    database = sqlite3.connect(tmp_path / FILE)
    with database:
        database.execute(statement)
    database.close()
    with pytest.raises(DamagedDefinitions, match=rf"{FILE} is damaged: "):
        load(tmp_path)


def test_a_file_that_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(CannotUseDefinitions, match=r"cannot use .*: unable to open database file$"):
        load(tmp_path / "missing")


def test_nobody_else_can_open_the_file(tmp_path: Path) -> None:
    """Else a reader could make a commit fail, and with it the broker."""
    definitions = Definitions(str(tmp_path / FILE))
    with pytest.raises(CannotUseDefinitions, match=r"cannot use .*: database is locked$"):
        load(tmp_path)
    definitions.commit(some_changes())
    definitions.close()
    assert committed_through(tmp_path) == 3


def test_who_declared_a_queue_and_whether_it_is_paused(tmp_path: Path) -> None:
    changes = Changes()
    changes.set_vhost("/")
    for id in (1, 2):
        changes.add_queue(id, "/", f"queue-{id}", False, {}, "j\udcff")
        changes.pause_queue(id, True)
    changes.pause_queue(2, False)
    commit(tmp_path, changes)
    assert [(queue.id, queue.user, queue.paused) for queue in load(tmp_path).queues] == [
        (1, "j\udcff", True),
        (2, "j\udcff", False),
    ]
