"""Definitions of another version: those of an earlier one are brought up to date, those of a later one refused."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from leveret.amqp.field_table import encode_table
from leveret.broker.defaults import Defaults, DefaultUser
from leveret.store.definition_changes import Changes
from leveret.store.definitions import FORMAT, CannotUseDefinitions, Definitions, NewerFormat
from leveret.store.restoration import first_definitions
from tests.store.test_definitions import FILE, PLAIN_VHOST, Contents, access_of, commit, contents, load, some_changes


def test_a_newer_format_is_refused_and_left_alone(tmp_path: Path) -> None:
    commit(tmp_path, some_changes())
    database = sqlite3.connect(tmp_path / FILE)
    database.execute(f"PRAGMA user_version = {FORMAT + 1}")
    database.close()
    before = (tmp_path / FILE).read_bytes()
    with pytest.raises(
        NewerFormat, match=rf"{FILE} has format 5, made by a later version of Leveret; this one knows 4$"
    ):
        load(tmp_path)
    assert (tmp_path / FILE).read_bytes() == before


FIRST_FORMAT = """
CREATE TABLE vhosts (name BLOB PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE exchanges (vhost BLOB NOT NULL, name BLOB NOT NULL, type TEXT NOT NULL, auto_delete INTEGER NOT NULL,
    internal INTEGER NOT NULL, arguments BLOB NOT NULL, PRIMARY KEY (vhost, name)) WITHOUT ROWID;
CREATE TABLE queues (id INTEGER PRIMARY KEY AUTOINCREMENT, vhost BLOB NOT NULL, name BLOB NOT NULL,
    auto_delete INTEGER NOT NULL, arguments BLOB NOT NULL);
CREATE TABLE bindings (vhost BLOB NOT NULL, destination_kind TEXT NOT NULL, destination BLOB NOT NULL,
    source BLOB NOT NULL, routing_key BLOB NOT NULL, arguments BLOB NOT NULL,
    PRIMARY KEY (vhost, destination_kind, destination, source, routing_key, arguments)) WITHOUT ROWID;
CREATE INDEX bindings_by_source ON bindings (vhost, source);
INSERT INTO vhosts VALUES (x'2f');
INSERT INTO exchanges VALUES (x'2f', x'65', 'topic', 0, 1, x'00000000');
INSERT INTO queues VALUES (7, x'2f', x'71', 1, x'00000000');
INSERT INTO bindings VALUES (x'2f', 'queue', x'71', x'65', x'6b', x'00000000');
DELETE FROM queues WHERE id = 8;
PRAGMA user_version = 1;
"""


def test_a_file_of_the_first_format_is_given_what_it_lacks(tmp_path: Path) -> None:
    """As a version made it that knew neither policies nor limits; afterwards it is of this version's format."""
    database = sqlite3.connect(tmp_path / FILE)
    database.executescript(FIRST_FORMAT)
    database.close()
    empty = encode_table({})
    expected: Contents = (
        {"/": PLAIN_VHOST},
        {("/", "e"): ("topic", False, True, empty)},
        {7: ("/", "q", True, empty)},
        {("/", "e", "queue", "q", "k", empty)},
        {},
        ({}, {}),
        ({}, {}, {}),
    )
    loaded = load(tmp_path)
    assert contents(loaded) == expected
    assert loaded.next_queue_id == 8
    assert [(queue.user, queue.paused) for queue in loaded.queues] == [("", False)]
    changes = Changes()
    changes.set_policy("/", False, "p", "^q", "queues", {"max-length": 5}, 3)
    changes.set_vhost_limits("/", {"max-queues": 9})
    commit(tmp_path, changes)
    expected[4]["/", False, "p"] = ("^q", "queues", {"max-length": 5}, 3)
    expected[5][0]["/"] = {"max-queues": 9}
    assert contents(load(tmp_path)) == expected
    database = sqlite3.connect(tmp_path / FILE)
    assert database.execute("PRAGMA user_version").fetchone()[0] == FORMAT
    database.close()


def test_an_upgrade_that_fails_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    database = sqlite3.connect(tmp_path / FILE)
    database.executescript(FIRST_FORMAT)
    database.execute("CREATE TABLE user_limits (in_the_way INTEGER)")
    database.close()
    with pytest.raises(CannotUseDefinitions, match=r"user_limits already exists"):
        load(tmp_path)
    database = sqlite3.connect(tmp_path / FILE)
    assert database.execute("PRAGMA user_version").fetchone()[0] == 1
    assert database.execute("SELECT count(*) FROM sqlite_master WHERE name = 'policies'").fetchone()[0] == 0
    database.close()


SECOND_FORMAT = """
CREATE TABLE policies (vhost BLOB NOT NULL, operator INTEGER NOT NULL, name BLOB NOT NULL, pattern BLOB NOT NULL,
    apply_to TEXT NOT NULL, definition TEXT NOT NULL, priority INTEGER NOT NULL, PRIMARY KEY (vhost, operator, name))
    WITHOUT ROWID;
CREATE TABLE vhost_limits (vhost BLOB NOT NULL, name TEXT NOT NULL, value INTEGER NOT NULL,
    PRIMARY KEY (vhost, name)) WITHOUT ROWID;
CREATE TABLE user_limits (user BLOB NOT NULL, name TEXT NOT NULL, value INTEGER NOT NULL,
    PRIMARY KEY (user, name)) WITHOUT ROWID;
INSERT INTO vhosts VALUES (x'6f74686572');
INSERT INTO vhost_limits VALUES (x'2f', 'max-queues', 5);
INSERT INTO user_limits VALUES (x'6775657374', 'max-channels', 7);
PRAGMA user_version = 2;
"""


@pytest.mark.parametrize("schema", ["", FIRST_FORMAT, FIRST_FORMAT + SECOND_FORMAT], ids=["new", "first", "second"])
def test_a_file_without_users_is_given_the_default_one_once(tmp_path: Path, schema: str) -> None:
    """And the default virtual host, which there is already in a file of an earlier format, with what is in it."""
    database = sqlite3.connect(tmp_path / FILE)
    database.executescript(schema)
    database.close()
    first = first_definitions(Defaults("/", DefaultUser("admin", "secret", ("a",))), bytes)
    definitions = Definitions(str(tmp_path / FILE), first)
    loaded = definitions.load()
    vhosts = {each.name: (each.description, each.tags, each.default_queue_type) for each in loaded.vhosts}
    assert vhosts["/"] == ("Default virtual host", [], "")
    assert ("other" in vhosts) == ("6f74686572" in schema)
    users, permissions, topics = access_of(loaded)
    assert {name: (algorithm, tags) for name, (_, algorithm, tags) in users.items()} == {
        "admin": ("rabbit_password_hashing_sha256", ["a"])
    }
    assert permissions == {("admin", "/"): (".*", ".*", ".*")}
    assert topics == {}
    assert len(loaded.queues) == (1 if schema else 0)
    if "user_limits" in schema:
        assert loaded.user_limits == {"guest": {"max-channels": 7}}
        assert loaded.vhost_limits == {"/": {"max-queues": 5}}
    changes = Changes()
    changes.delete_user("admin")
    changes.delete_vhost("/")
    definitions.commit(changes)
    definitions.close()
    again = Definitions(str(tmp_path / FILE), first)
    loaded = again.load()
    assert access_of(loaded) == ({}, {}, {})
    assert "/" not in [each.name for each in loaded.vhosts]
    again.close()
