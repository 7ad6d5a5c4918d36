"""The rooms of the package keep their order, and the inner ones do no input or output.

Read from the sources alone, so that an import inside a function, or one that only the type checker sees, counts too.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import leveret

PACKAGE = Path(leveret.__file__).parent

# For each inner room the others that it may import. server, management, cli and testing may import any inner room.
INNER_ROOMS: dict[str, frozenset[str]] = {
    "amqp": frozenset(),
    "broker": frozenset({"amqp"}),
    "store": frozenset({"amqp", "broker"}),
}
# The outer rooms know each other: the server starts the HTTP API, the commands ask the server. But not these:
LAST_ROOMS = {"management": {"cli", "testing"}, "server": {"cli", "testing"}, "cli": {"testing"}}

SANS_IO_ROOMS = ("amqp", "broker")
INPUT_AND_OUTPUT = frozenset(
    """
    _socket _thread asyncio concurrent fcntl fileinput glob http mmap multiprocessing pathlib queue select selectors
    shutil signal socket socketserver sqlite3 ssl subprocess tempfile threading urllib uvloop
    """.split()  # noqa: SIM905
)
# What the sans-I/O rooms may take from os: no file, no process.
HARMLESS_IN_OS = frozenset({"os.urandom"})


def imported_names(module: str, tree: ast.Module, *, is_package: bool) -> Iterator[tuple[int, str]]:
    """Each name that a module imports, dotted and absolute, with its line: `from a import b` gives `a.b`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            origin = node.module or ""
            if node.level:
                parents = module.split(".")[: -node.level + is_package or None]
                origin = ".".join([*parents, origin]).rstrip(".")
            for alias in node.names:
                yield node.lineno, f"{origin}.{alias.name}"


def room_errors(module: str, tree: ast.Module, *, is_package: bool) -> Iterator[str]:
    """What breaks the order of the rooms in a module, a line each."""
    room = module.split(".")[1]
    for line, name in imported_names(module, tree, is_package=is_package):
        parts = name.split(".")
        if parts[0] != "leveret" or parts[1:2] == [room]:
            continue
        other = ".".join(parts[1:2])
        allowed = other in INNER_ROOMS[room] if room in INNER_ROOMS else other not in LAST_ROOMS.get(room, ())
        if not allowed:
            yield f"{module}:{line} imports {name}"


def input_and_output_errors(module: str, tree: ast.Module, *, is_package: bool) -> Iterator[str]:
    """What reaches for a socket, a file, a thread or another process in a module, a line each."""
    for line, name in imported_names(module, tree, is_package=is_package):
        if name.split(".")[0] in INPUT_AND_OUTPUT or (name.startswith("os.") and name not in HARMLESS_IN_OS):
            yield f"{module}:{line} imports {name}"
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "open":
            yield f"{module}:{node.lineno} opens a file"
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "os":
            name = f"os.{node.attr}"
            if name not in HARMLESS_IN_OS:
                yield f"{module}:{node.lineno} uses {name}"


def sources(*rooms: str) -> Iterator[tuple[str, ast.Module, bool]]:
    for room in rooms:
        for path in sorted((PACKAGE / room).rglob("*.py")):
            parts = list(path.relative_to(PACKAGE.parent).with_suffix("").parts)
            is_package = parts[-1] == "__init__"
            name = ".".join(parts[:-1] if is_package else parts)
            yield name, ast.parse(path.read_text(), filename=str(path)), is_package


def rooms() -> list[str]:
    return sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py"))


def test_the_inner_rooms_are_there() -> None:
    assert set(INNER_ROOMS) - {"store"} <= set(rooms())


@pytest.mark.parametrize("room", rooms())
def test_a_room_imports_only_rooms_before_it(room: str) -> None:
    modules = list(sources(room))
    assert modules
    assert [
        error for name, tree, is_package in modules for error in room_errors(name, tree, is_package=is_package)
    ] == []


@pytest.mark.parametrize("room", SANS_IO_ROOMS)
def test_the_protocol_and_the_rules_do_no_input_or_output(room: str) -> None:
    assert [
        error
        for name, tree, is_package in sources(room)
        for error in input_and_output_errors(name, tree, is_package=is_package)
    ] == []


@pytest.mark.parametrize(
    ("module", "source", "error"),
    [
        ("leveret.amqp.frame", "import leveret.broker", "leveret.amqp.frame:1 imports leveret.broker"),
        ("leveret.amqp.frame", "from leveret import broker", "leveret.amqp.frame:1 imports leveret.broker"),
        ("leveret.amqp.frame", "from leveret import __version__", "leveret.amqp.frame:1 imports leveret.__version__"),
        ("leveret.amqp.frame", "from ..broker import queue", "leveret.amqp.frame:1 imports leveret.broker.queue"),
        ("leveret.broker", "from ..store import log", "leveret.broker:1 imports leveret.store.log"),
        ("leveret.broker.queue", "def f():\n from leveret.server import tick", "leveret.broker.queue:2 imports "
         "leveret.server.tick"),
        ("leveret.server.tick", "from leveret.cli import leveret", "leveret.server.tick:1 imports leveret.cli.leveret"),
    ],
)  # fmt: skip
def test_a_wrong_import_is_found(module: str, source: str, error: str) -> None:
    assert list(room_errors(module, ast.parse(source), is_package=module.count(".") == 1)) == [error]


@pytest.mark.parametrize(
    "source", ["from . import frame", "from .frame import Frame", "import struct", "from leveret.amqp import frame"]
)
def test_a_room_may_import_itself_and_the_standard_library(source: str) -> None:
    assert list(room_errors("leveret.amqp.methods", ast.parse(source), is_package=False)) == []


@pytest.mark.parametrize(
    "source",
    ["import socket", "from asyncio import sleep", "import os\nos.open('f', 0)", "from os import open", "open('f')"],
)
def test_input_or_output_is_found(source: str) -> None:
    assert len(list(input_and_output_errors("leveret.broker.queue", ast.parse(source), is_package=False))) == 1


def test_random_bytes_are_no_input() -> None:
    tree = ast.parse("import os\nfrom os import urandom\nname = os.urandom(16)")
    assert list(input_and_output_errors("leveret.broker.queue", tree, is_package=False)) == []
