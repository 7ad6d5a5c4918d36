"""The durable definitions: virtual hosts, exchanges, queues, bindings, policies and limits, in one SQLite file.

A commit is one transaction, and on the disk when it returns; a process that dies leaves exactly the commits that
returned, and perhaps the one it was in. Nothing is read after `load`: the broker holds the definitions in memory,
notes every change in a `Changes`, and another thread commits them.

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
from collections.abc import Mapping
from typing import Final, TypeAlias

from leveret.amqp.field_table import Table, decode_table, encode_table
from leveret.amqp.reply_codes import HardError
from leveret.store.files import Files

FORMAT: Final = 2
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
SCHEMAS: Final = (FIRST_FORMAT, SECOND_FORMAT)

_ADD_VHOST: Final = "INSERT INTO vhosts VALUES (?)"
_DELETE_VHOST: Final = (
    "DELETE FROM policies WHERE vhost = ?",
    "DELETE FROM vhost_limits WHERE vhost = ?",
    "DELETE FROM bindings WHERE vhost = ?",
    "DELETE FROM queues WHERE vhost = ?",
    "DELETE FROM exchanges WHERE vhost = ?",
    "DELETE FROM vhosts WHERE name = ?",
)
_ADD_EXCHANGE: Final = "INSERT INTO exchanges VALUES (?, ?, ?, ?, ?, ?)"
_DELETE_EXCHANGE: Final = (
    "DELETE FROM bindings WHERE vhost = ? AND source = ?",
    "DELETE FROM bindings WHERE vhost = ? AND destination_kind = 'exchange' AND destination = ?",
    "DELETE FROM exchanges WHERE vhost = ? AND name = ?",
)
_ADD_QUEUE: Final = "INSERT INTO queues VALUES (?, ?, ?, ?, ?)"
_DELETE_BINDINGS_TO_QUEUE: Final = (
    "DELETE FROM bindings WHERE vhost = (SELECT vhost FROM queues WHERE id = ?) AND destination_kind = 'queue'"
    " AND destination = (SELECT name FROM queues WHERE id = ?)"
)
_DELETE_QUEUE: Final = "DELETE FROM queues WHERE id = ?"
_ADD_BINDING: Final = "INSERT INTO bindings VALUES (?, ?, ?, ?, ?, ?)"
_DELETE_BINDING: Final = (
    "DELETE FROM bindings WHERE vhost = ? AND destination_kind = ? AND destination = ? AND source = ?"
    " AND routing_key = ? AND arguments = ?"
)
_SET_POLICY: Final = "INSERT OR REPLACE INTO policies VALUES (?, ?, ?, ?, ?, ?, ?)"
_CLEAR_POLICY: Final = "DELETE FROM policies WHERE vhost = ? AND operator = ? AND name = ?"
_CLEAR_VHOST_LIMITS: Final = "DELETE FROM vhost_limits WHERE vhost = ?"
_SET_VHOST_LIMIT: Final = "INSERT INTO vhost_limits VALUES (?, ?, ?)"
_CLEAR_USER_LIMITS: Final = "DELETE FROM user_limits WHERE user = ?"
_SET_USER_LIMIT: Final = "INSERT INTO user_limits VALUES (?, ?, ?)"
_LAST_QUEUE_ID: Final = "SELECT seq FROM sqlite_sequence WHERE name = 'queues'"

Parameters: TypeAlias = tuple[object, ...]


class CannotUseDefinitions(Exception):
    """The definitions can't be opened or read; the text is one line for the operator."""


class NewerFormat(CannotUseDefinitions):
    """A later version of Leveret made the file."""


class DamagedDefinitions(CannotUseDefinitions):
    """The file is not a database of definitions, or no longer a whole one."""


class ExchangeDefinition:
    """A durable exchange."""

    def __init__(
        self, vhost: str, name: str, type_name: str, auto_delete: bool, internal: bool, arguments: Table
    ) -> None:
        self.vhost: Final = vhost
        self.name: Final = name
        self.type_name: Final = type_name
        self.auto_delete: Final = auto_delete
        self.internal: Final = internal
        self.arguments: Final = arguments


class QueueDefinition:
    """A durable queue. Its id is above 0."""

    def __init__(self, id: int, vhost: str, name: str, auto_delete: bool, arguments: Table) -> None:
        self.id: Final = id
        self.vhost: Final = vhost
        self.name: Final = name
        self.auto_delete: Final = auto_delete
        self.arguments: Final = arguments


class BindingDefinition:
    """A binding between durable ends. `destination_kind` is "queue" or "exchange"."""

    def __init__(
        self,
        vhost: str,
        source: str,
        destination_kind: str,
        destination: str,
        routing_key: str,
        arguments: Table,
    ) -> None:
        self.vhost: Final = vhost
        self.source: Final = source
        self.destination_kind: Final = destination_kind
        self.destination: Final = destination
        self.routing_key: Final = routing_key
        self.arguments: Final = arguments


class PolicyDefinition:
    """A policy, or an operator policy."""

    def __init__(
        self,
        vhost: str,
        operator: bool,
        name: str,
        pattern: str,
        apply_to: str,
        definition: dict[str, object],
        priority: int,
    ) -> None:
        self.vhost: Final = vhost
        self.operator: Final = operator
        self.name: Final = name
        self.pattern: Final = pattern
        self.apply_to: Final = apply_to
        self.definition: Final = definition
        self.priority: Final = priority


class LoadedDefinitions:
    """All that was committed; a new file has nothing, not even a virtual host. `next_queue_id` was never used."""

    def __init__(
        self,
        vhosts: list[str],
        exchanges: list[ExchangeDefinition],
        queues: list[QueueDefinition],
        bindings: list[BindingDefinition],
        policies: list[PolicyDefinition],
        vhost_limits: dict[str, dict[str, int]],
        user_limits: dict[str, dict[str, int]],
        next_queue_id: int,
    ) -> None:
        self.vhosts: Final = vhosts
        self.exchanges: Final = exchanges
        self.queues: Final = queues
        self.bindings: Final = bindings
        self.policies: Final = policies
        self.vhost_limits: Final = vhost_limits
        self.user_limits: Final = user_limits
        self.next_queue_id: Final = next_queue_id


class Changes:
    """Changes in the order they were made, to be committed together.

    Adding what is there makes the commit fail; setting it replaces it; deleting what is not there changes nothing.
    """

    def __init__(self) -> None:
        self.statements: Final[list[tuple[str, Parameters]]] = []

    def __len__(self) -> int:
        return len(self.statements)

    @property
    def empty(self) -> bool:
        """Whether there is nothing to commit."""
        return not self.statements

    def add_vhost(self, name: str) -> None:
        """A virtual host is made."""
        self.statements.append((_ADD_VHOST, (_octets(name),)))

    def delete_vhost(self, name: str) -> None:
        """A virtual host is deleted with everything in it."""
        for statement in _DELETE_VHOST:
            self.statements.append((statement, (_octets(name),)))

    def add_exchange(
        self, vhost: str, name: str, type_name: str, auto_delete: bool, internal: bool, arguments: Table
    ) -> None:
        """A durable exchange is declared."""
        row = (_octets(vhost), _octets(name), type_name, auto_delete, internal, encode_table(arguments))
        self.statements.append((_ADD_EXCHANGE, row))

    def delete_exchange(self, vhost: str, name: str) -> None:
        """An exchange is deleted with the bindings from it and to it."""
        key = (_octets(vhost), _octets(name))
        for statement in _DELETE_EXCHANGE:
            self.statements.append((statement, key))

    def add_queue(self, id: int, vhost: str, name: str, auto_delete: bool, arguments: Table) -> None:
        """A durable queue is declared. Its id counts up from LoadedDefinitions.next_queue_id."""
        row = (id, _octets(vhost), _octets(name), auto_delete, encode_table(arguments))
        self.statements.append((_ADD_QUEUE, row))

    def delete_queue(self, id: int) -> None:
        """A queue is deleted with the bindings to it."""
        self.statements.append((_DELETE_BINDINGS_TO_QUEUE, (id, id)))
        self.statements.append((_DELETE_QUEUE, (id,)))

    def add_binding(
        self, vhost: str, source: str, destination_kind: str, destination: str, routing_key: str, arguments: Table
    ) -> None:
        """A binding is made between durable ends, where there was none equal to it."""
        row = _binding_row(vhost, source, destination_kind, destination, routing_key, arguments)
        self.statements.append((_ADD_BINDING, row))

    def delete_binding(
        self, vhost: str, source: str, destination_kind: str, destination: str, routing_key: str, arguments: Table
    ) -> None:
        """A binding is removed."""
        row = _binding_row(vhost, source, destination_kind, destination, routing_key, arguments)
        self.statements.append((_DELETE_BINDING, row))

    def set_policy(
        self,
        vhost: str,
        operator: bool,
        name: str,
        pattern: str,
        apply_to: str,
        definition: Mapping[str, object],
        priority: int,
    ) -> None:
        """A policy, or an operator policy, is set. The priority has to fit into 64 bits."""
        encoded = json.dumps(definition, separators=(",", ":"))
        row = (_octets(vhost), operator, _octets(name), _octets(pattern), apply_to, encoded, priority)
        self.statements.append((_SET_POLICY, row))

    def clear_policy(self, vhost: str, operator: bool, name: str) -> None:
        """A policy, or an operator policy, is removed."""
        self.statements.append((_CLEAR_POLICY, (_octets(vhost), operator, _octets(name))))

    def set_vhost_limits(self, vhost: str, limits: Mapping[str, int]) -> None:
        """These are the limits of a virtual host now. They have to fit into 64 bits."""
        self.statements.append((_CLEAR_VHOST_LIMITS, (_octets(vhost),)))
        self.statements.extend([(_SET_VHOST_LIMIT, (_octets(vhost), *limit)) for limit in limits.items()])

    def set_user_limits(self, user: str, limits: Mapping[str, int]) -> None:
        """These are the limits of a user now. They have to fit into 64 bits."""
        self.statements.append((_CLEAR_USER_LIMITS, (_octets(user),)))
        self.statements.extend([(_SET_USER_LIMIT, (_octets(user), *limit)) for limit in limits.items()])


class Definitions:
    """The open file. Calls may come from any thread, but from one at a time."""

    def __init__(self, path: str) -> None:
        """Open the file, or make it. Raises CannotUseDefinitions."""
        self.path: Final = path
        self.found_format = FORMAT  # before the file was opened
        try:
            self._database: Final = sqlite3.connect(path, timeout=1, isolation_level=None, check_same_thread=False)
        except sqlite3.Error as error:
            raise _cannot_use(path, error) from None
        try:
            self._prepare()
        except sqlite3.Error as error:
            self._database.close()
            raise _cannot_use(path, error) from None
        except CannotUseDefinitions:
            self._database.close()
            raise

    def _prepare(self) -> None:
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
                self._number(_LAST_QUEUE_ID) + 1,
            )
        except sqlite3.Error as error:
            raise _cannot_use(self.path, error) from None
        except (HardError, AttributeError, TypeError, ValueError):
            raise DamagedDefinitions(f"{self.path} is damaged: a row holds what Leveret never writes") from None

    def _vhosts(self) -> list[str]:
        return [_text(row[0]) for row in self._database.execute("SELECT name FROM vhosts")]

    def _exchanges(self) -> list[ExchangeDefinition]:
        rows = self._database.execute("SELECT vhost, name, type, auto_delete, internal, arguments FROM exchanges")
        return [
            ExchangeDefinition(_text(row[0]), _text(row[1]), row[2], row[3] != 0, row[4] != 0, _table(row[5]))
            for row in rows
        ]

    def _queues(self) -> list[QueueDefinition]:
        rows = self._database.execute("SELECT id, vhost, name, auto_delete, arguments FROM queues ORDER BY id")
        return [QueueDefinition(row[0], _text(row[1]), _text(row[2]), row[3] != 0, _table(row[4])) for row in rows]

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


def _binding_row(
    vhost: str, source: str, destination_kind: str, destination: str, routing_key: str, arguments: Table
) -> Parameters:
    return (
        _octets(vhost),
        destination_kind,
        _octets(destination),
        _octets(source),
        _octets(routing_key),
        encode_table(arguments),
    )


def _octets(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")


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
