"""The durable definitions: virtual hosts with all in them, users and permissions, in one SQLite file.

A commit is one transaction, and on the disk when it returns; a process that dies leaves exactly the commits that
returned, and perhaps the one it was in. Nothing is read after `load`: the broker holds the definitions in memory,
notes every change in a `Changes` (`store.definition_changes`), and another thread commits them.

Names and routing keys are octets in the file, since clients may send what is not UTF-8. Arguments are encoded field
tables, so that every value keeps its type. Bindings name their ends and refer to no rows, because the predeclared
exchanges are not stored; therefore a deletion takes its bindings along by statement. A queue's id is never used
again (AUTOINCREMENT): messages on the disk tell a queue from a later one of the same name by it.

The file is locked for the time it is open, so that nobody with a shell in it can make a commit fail.

`user_version` is the format. A later format may add tables, and a file of an earlier one is given them when it is
opened; an older Leveret refuses it.
"""

from __future__ import annotations

import json
import os
import sqlite3
from typing import Final

from leveret.amqp.field_table import Table, decode_table
from leveret.amqp.reply_codes import HardError
from leveret.broker.permissions import Permission, TopicPermission
from leveret.broker.users import User
from leveret.store.definition_changes import Changes
from leveret.store.files import Files
from leveret.store.loaded_definitions import (
    BindingDefinition,
    ExchangeDefinition,
    LoadedDefinitions,
    PolicyDefinition,
    QueueDefinition,
    VirtualHostDefinition,
)

FORMAT: Final = 4
FORMAT_WITH_USERS: Final = 3
CHECKPOINT_PAGES: Final = 4000  # 16 MB of log: a checkpoint, which some commit has to wait for, is rare

# What each format has beyond the one before it.
FIRST_FORMAT: Final = (
    "CREATE TABLE vhosts (name BLOB PRIMARY KEY) WITHOUT ROWID",
    "CREATE TABLE exchanges (vhost BLOB NOT NULL, name BLOB NOT NULL, type TEXT NOT NULL, auto_delete INTEGER NOT NULL,"
    " internal INTEGER NOT NULL, arguments BLOB NOT NULL, PRIMARY KEY (vhost, name)) WITHOUT ROWID",
    "CREATE TABLE queues (id INTEGER PRIMARY KEY AUTOINCREMENT, vhost BLOB NOT NULL, name BLOB NOT NULL,"
    " auto_delete INTEGER NOT NULL, arguments BLOB NOT NULL)",
    "CREATE TABLE bindings (vhost BLOB NOT NULL, destination_kind TEXT NOT NULL, destination BLOB NOT NULL,"
    " source BLOB NOT NULL, routing_key BLOB NOT NULL, arguments BLOB NOT NULL,"
    " PRIMARY KEY (vhost, destination_kind, destination, source, routing_key, arguments)) WITHOUT ROWID",
    "CREATE INDEX bindings_by_source ON bindings (vhost, source)",
)
SECOND_FORMAT: Final = (
    "CREATE TABLE policies (vhost BLOB NOT NULL, operator INTEGER NOT NULL, name BLOB NOT NULL, pattern BLOB NOT NULL,"
    " apply_to TEXT NOT NULL, definition TEXT NOT NULL, priority INTEGER NOT NULL,"
    " PRIMARY KEY (vhost, operator, name)) WITHOUT ROWID",
    "CREATE TABLE vhost_limits (vhost BLOB NOT NULL, name TEXT NOT NULL, value INTEGER NOT NULL,"
    " PRIMARY KEY (vhost, name)) WITHOUT ROWID",
    "CREATE TABLE user_limits (user BLOB NOT NULL, name TEXT NOT NULL, value INTEGER NOT NULL,"
    " PRIMARY KEY (user, name)) WITHOUT ROWID",
)
THIRD_FORMAT: Final = (
    "ALTER TABLE vhosts ADD COLUMN description BLOB NOT NULL DEFAULT x''",
    "ALTER TABLE vhosts ADD COLUMN tags TEXT NOT NULL DEFAULT '[]'",
    "ALTER TABLE vhosts ADD COLUMN default_queue_type TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE vhosts ADD COLUMN protected INTEGER NOT NULL DEFAULT 0",
    "CREATE TABLE users (name BLOB PRIMARY KEY, password_hash TEXT NOT NULL, hashing_algorithm TEXT NOT NULL,"
    " tags TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE permissions (user BLOB NOT NULL, vhost BLOB NOT NULL, configure BLOB NOT NULL, write BLOB NOT NULL,"
    " read BLOB NOT NULL, PRIMARY KEY (user, vhost)) WITHOUT ROWID",
    "CREATE TABLE topic_permissions (user BLOB NOT NULL, vhost BLOB NOT NULL, exchange BLOB NOT NULL,"
    " write BLOB NOT NULL, read BLOB NOT NULL, PRIMARY KEY (user, vhost, exchange)) WITHOUT ROWID",
    "CREATE TABLE parameters (vhost BLOB NOT NULL, component BLOB NOT NULL, name BLOB NOT NULL, value TEXT NOT NULL,"
    " PRIMARY KEY (vhost, component, name)) WITHOUT ROWID",
    "CREATE TABLE global_parameters (name BLOB PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
)
FOURTH_FORMAT: Final = (
    "ALTER TABLE queues ADD COLUMN user BLOB NOT NULL DEFAULT x''",
    "ALTER TABLE queues ADD COLUMN paused INTEGER NOT NULL DEFAULT 0",
)
SCHEMAS: Final = (FIRST_FORMAT, SECOND_FORMAT, THIRD_FORMAT, FOURTH_FORMAT)

_LAST_QUEUE_ID: Final = "SELECT seq FROM sqlite_sequence WHERE name = 'queues'"


class CannotUseDefinitions(Exception):
    """The definitions can't be opened or read; the text is one line for the operator."""


class NewerFormat(CannotUseDefinitions):
    """A later version of Leveret made the file."""


class DamagedDefinitions(CannotUseDefinitions):
    """The file is not a database of definitions, or no longer a whole one."""


class Definitions:
    """The open file. Calls may come from any thread, but from one at a time."""

    def __init__(self, path: str, first: Changes | None = None) -> None:
        """Open the file, or make it. Raises CannotUseDefinitions.

        `first` is what a file begins with that is new, or of a format that knew no users: the default virtual host
        and user. They are never made again, so that whoever is deleted stays deleted.
        """
        self.path: Final = path
        self.found_format = FORMAT  # before the file was opened
        try:
            self._database: Final = sqlite3.connect(path, timeout=1, isolation_level=None, check_same_thread=False)
        except sqlite3.Error as error:
            raise _cannot_use(path, error) from None
        try:
            self._prepare(first)
        except sqlite3.Error as error:
            self._database.close()
            raise _cannot_use(path, error) from None
        except CannotUseDefinitions:
            self._database.close()
            raise

    def _prepare(self, first: Changes | None) -> None:
        # Before the first access: then the log's index is in memory, and no commit takes locks.
        self._database.execute("PRAGMA locking_mode = EXCLUSIVE")
        version = self._number("PRAGMA user_version")
        self.found_format = version or FORMAT
        if version > FORMAT:
            raise NewerFormat(
                f"{self.path} has format {version}, made by a later version of Leveret; this one knows {FORMAT}"
            )
        is_new = version == 0
        if is_new and self._number("SELECT count(*) FROM sqlite_master"):
            raise DamagedDefinitions(f"{self.path} is a database, but not one of Leveret's definitions")
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = FULL")
        self._database.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
        if version < FORMAT:
            with self._database:
                self._database.execute("BEGIN IMMEDIATE")
                for schema in SCHEMAS[version:]:
                    for statement in schema:
                        self._database.execute(statement)
                if version < FORMAT_WITH_USERS and first is not None:
                    for statement, parameters in first.statements:
                        self._database.execute(statement, parameters)
                self._database.execute(f"PRAGMA user_version = {FORMAT}")
        if is_new:
            Files().sync_directory(os.path.dirname(self.path) or ".")

    def _number(self, query: str) -> int:
        row = self._database.execute(query).fetchone()
        return 0 if row is None else int(row[0])

    def load(self) -> LoadedDefinitions:
        """Check the file and read everything. Raises DamagedDefinitions."""
        try:
            found = self._database.execute("PRAGMA quick_check(1)").fetchone()[0]
            if found != "ok":
                raise DamagedDefinitions(f"{self.path} is damaged: {' '.join(found.split())}")
            return LoadedDefinitions(
                self._vhosts(),
                self._exchanges(),
                self._queues(),
                self._bindings(),
                self._policies(),
                self._limits("SELECT vhost, name, value FROM vhost_limits"),
                self._limits("SELECT user, name, value FROM user_limits"),
                self._users(),
                self._permissions(),
                self._topic_permissions(),
                self._parameters(),
                self._global_parameters(),
                self._number(_LAST_QUEUE_ID) + 1,
            )
        except sqlite3.Error as error:
            raise _cannot_use(self.path, error) from None
        except (HardError, AttributeError, TypeError, ValueError):
            raise DamagedDefinitions(f"{self.path} is damaged: a row holds what Leveret never writes") from None

    def _vhosts(self) -> list[VirtualHostDefinition]:
        rows = self._database.execute("SELECT name, description, tags, default_queue_type, protected FROM vhosts")
        return [
            VirtualHostDefinition(_text(row[0]), _text(row[1]), _strings(row[2]), row[3], row[4] != 0) for row in rows
        ]

    def _users(self) -> list[User]:
        rows = self._database.execute("SELECT name, password_hash, hashing_algorithm, tags FROM users")
        return [User(_text(row[0]), row[1], row[2], _strings(row[3])) for row in rows]

    def _permissions(self) -> list[Permission]:
        rows = self._database.execute("SELECT user, vhost, configure, write, read FROM permissions")
        return [Permission(_text(row[0]), _text(row[1]), _text(row[2]), _text(row[3]), _text(row[4])) for row in rows]

    def _topic_permissions(self) -> list[TopicPermission]:
        rows = self._database.execute("SELECT user, vhost, exchange, write, read FROM topic_permissions")
        return [
            TopicPermission(_text(row[0]), _text(row[1]), _text(row[2]), _text(row[3]), _text(row[4])) for row in rows
        ]

    def _exchanges(self) -> list[ExchangeDefinition]:
        rows = self._database.execute("SELECT vhost, name, type, auto_delete, internal, arguments FROM exchanges")
        return [
            ExchangeDefinition(_text(row[0]), _text(row[1]), row[2], row[3] != 0, row[4] != 0, _table(row[5]))
            for row in rows
        ]

    def _queues(self) -> list[QueueDefinition]:
        rows = self._database.execute(
            "SELECT id, vhost, name, auto_delete, arguments, user, paused FROM queues ORDER BY id"
        )
        return [
            QueueDefinition(
                row[0], _text(row[1]), _text(row[2]), row[3] != 0, _table(row[4]), _text(row[5]), row[6] != 0
            )
            for row in rows
        ]

    def _bindings(self) -> list[BindingDefinition]:
        rows = self._database.execute(
            "SELECT vhost, source, destination_kind, destination, routing_key, arguments FROM bindings"
        )
        return [
            BindingDefinition(_text(row[0]), _text(row[1]), row[2], _text(row[3]), _text(row[4]), _table(row[5]))
            for row in rows
        ]

    def _policies(self) -> list[PolicyDefinition]:
        rows = self._database.execute(
            "SELECT vhost, operator, name, pattern, apply_to, definition, priority FROM policies"
        )
        return [
            PolicyDefinition(_text(row[0]), row[1] != 0, _text(row[2]), _text(row[3]), row[4], _object(row[5]), row[6])
            for row in rows
        ]

    def _limits(self, query: str) -> dict[str, dict[str, int]]:
        found: dict[str, dict[str, int]] = {}
        for owner, name, value in self._database.execute(query):
            found.setdefault(_text(owner), {})[name] = value
        return found

    def _parameters(self) -> dict[str, dict[tuple[str, str], object]]:
        found: dict[str, dict[tuple[str, str], object]] = {}
        for vhost, component, name, value in self._database.execute("SELECT * FROM parameters"):
            found.setdefault(_text(vhost), {})[_text(component), _text(name)] = json.loads(value)
        return found

    def _global_parameters(self) -> dict[str, object]:
        rows = self._database.execute("SELECT name, value FROM global_parameters")
        return {_text(name): json.loads(value) for name, value in rows}

    def commit(self, changes: Changes) -> None:
        """Make the changes, all or none; they are on the disk when this returns.

        Raises sqlite3.Error; then none of them is made, and what is in memory is no longer what is on the disk.
        """
        database = self._database
        with database:  # commits or rolls back
            database.execute("BEGIN IMMEDIATE")
            for statement, parameters in changes.statements:
                database.execute(statement, parameters)

    def close(self) -> None:
        """Close the file; its log is merged into it. It can be closed again."""
        self._database.close()


def _cannot_use(path: str, error: sqlite3.Error) -> CannotUseDefinitions:
    # Python's own errors, of text that is not UTF-8, have no code. The bits above are the details of one.
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return DamagedDefinitions(f"{path} is damaged: {error}")
    return CannotUseDefinitions(f"cannot use {path}: {error}")


def _text(octets: bytes) -> str:
    return octets.decode("utf-8", "surrogateescape")


def _table(octets: bytes) -> Table:
    """The field table in `octets`, which begin with its 4-byte length."""
    return decode_table(octets, 4, len(octets))


def _object(text: str) -> dict[str, object]:
    """The JSON object in `text`. Raises ValueError."""
    value = json.loads(text)
    if not isinstance(value, dict):
        raise ValueError(text)
    return value


def _strings(text: str) -> list[str]:
    """The JSON list of strings in `text`. Raises ValueError."""
    value = json.loads(text)
    if not isinstance(value, list) or not all(isinstance(element, str) for element in value):
        raise ValueError(text)
    return value
