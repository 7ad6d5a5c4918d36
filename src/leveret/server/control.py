"""The control socket: how leveretctl asks a running broker, and tells it to stop.

It is a Unix socket in the data folder. Who may open it controls the broker, so it is nobody's but its owner's from the
moment it is there, and where the system tells who is at the other end (Linux), only that user and root are answered.

A request is one line with a JSON object: `{"command": "list_queues", "vhost": "/", "columns": ["name"]}`. The answer is
one line too: `{"columns": [...], "rows": [[...], ...]}`, `{"status": {...}}`, `{"message": [[key, type, value], ...]}`
of a queue that is peeked at, `{"stopping": {...}}`, `{"done": {...}}` of a change
(`control_changes`, `control_parameters`) or of what else was done (`control_operations`, `control_node`),
`{"definitions": {...}}` (`control_definitions`), or
`{"error": {"kind": "...", "text": "..."}}`. A field table stands in a row as RabbitMQ's tools show it in JSON:
`[[key, type, value], ...]`, and the definition of policies as `[[key, value], ...]`.

The broker and this share an event loop. A listing is made and sent in slices of a few milliseconds, and between them
the broker works.

As long as a broker lives it holds a lock on the data folder. The lock goes with the process, however it ends, so a
socket that is found while the lock is free is a dead broker's and may be replaced, and a living broker's never is.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import json
import logging
import os
import socket
import stat
import struct
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from decimal import Decimal
from math import isfinite
from pathlib import Path
from typing import Final

from leveret.amqp.field_table import TYPE_NAMES, FieldValue, Table
from leveret.broker.broker import Broker
from leveret.broker.peeking import Damaged, peek
from leveret.management.columns import DEFAULT_COLUMNS, unsupported
from leveret.management.control_socket import NAME, REQUEST_LIMIT, AddressTooLong, address
from leveret.management.listings import LISTINGS, Value
from leveret.management.peeking import described
from leveret.management.status import node_status
from leveret.server.control_access import authenticate
from leveret.server.control_changes import SLICE, Changes
from leveret.server.control_definitions import export_definitions, import_definitions, octets_behind
from leveret.server.control_operations import Operation, Operations
from leveret.server.control_parameters import ParameterChanges
from leveret.server.control_request import BadRequest, ChangeRefused, no_such_user, no_such_vhost, text_of

log: Final = logging.getLogger("leveret.control")

PATIENCE: Final = 30.0  # seconds for a client to send its next request, or to take a piece of the answer
BACKLOG: Final = 16
MOST_COLUMNS: Final = 256
# The others of RabbitMQ's lists are just empty if there is no such virtual host.
OF_VHOST_THAT_MUST_BE: Final = ("policies", "operator_policies", "parameters", "permissions", "topic_permissions")
OF_USER: Final = ("user_permissions", "user_topic_permissions")
CREDENTIALS: Final = struct.Struct("iii")  # struct ucred: process, user, group


class CannotControl(Exception):
    """There can't be a control socket in the data folder; the text is for the operator."""


class DataFolderInUse(CannotControl):
    """Another broker has this data folder."""


class ControlServer:
    """The control socket of one broker. `on_stop` may be called again.

    For status, `listeners` are URLs, and `files` gives those of the configuration and those of the log.
    """

    def __init__(
        self,
        broker: Broker,
        on_stop: Callable[[], None],
        data_dir: Path,
        listeners: Sequence[str] = (),
        begin_tick: Callable[[], None] = lambda: None,
        files: Callable[[], tuple[Sequence[str], Sequence[str]]] = lambda: ((), ()),
        node_operations: Mapping[str, Operation] | None = None,
    ) -> None:
        self.broker: Final = broker
        self.data_dir: Final = data_dir.absolute()
        self._listeners: Final = listeners
        self._files: Final = files
        self._on_stop: Final = on_stop
        self._changes: Final = Changes(broker, begin_tick, ParameterChanges(broker).commands)
        self._operations: Final = Operations(broker, begin_tick, node_operations or {})
        self._begin_tick: Final = begin_tick
        self._tasks: Final[set[asyncio.Task[None]]] = set()
        self._stoppers: Final[list[socket.socket]] = []  # open to the end of the process, which is what they wait for
        self._folder = -1
        self._socket: socket.socket | None = None

    async def start(self) -> None:
        """Take the data folder for this broker and listen. Raises CannotControl, or its DataFolderInUse."""
        try:
            self._folder = os.open(self.data_dir, os.O_RDONLY | os.O_DIRECTORY)
            self._lock()
            self._remove_stale()
            self._socket = self._listen()
        except CannotControl:
            self._release()
            raise
        except (AddressTooLong, OSError) as error:
            self._release()
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            raise CannotControl(f"cannot make the control socket in {self.data_dir}: {reason}") from None
        self._begin(self._accept(self._socket))

    async def close(self) -> None:
        """Remove the socket, end every conversation, and leave the data folder to others."""
        if self._socket is not None:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(NAME, dir_fd=self._folder)
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._release()

    def _lock(self) -> None:
        try:
            fcntl.flock(self._folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                raise
            raise DataFolderInUse(f"another broker is running with the data folder {self.data_dir}") from None

    def _remove_stale(self) -> None:
        try:
            mode = os.stat(NAME, dir_fd=self._folder, follow_symlinks=False).st_mode
        except FileNotFoundError:
            return
        if not stat.S_ISSOCK(mode):
            raise CannotControl(f"{self.data_dir / NAME} is in the way of the control socket: it is no socket")
        os.unlink(NAME, dir_fd=self._folder)

    def _listen(self) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        mask = os.umask(0o177)  # the socket comes into being with mode 0600
        try:
            sock.bind(address(self.data_dir, self._folder))
            sock.listen(BACKLOG)
        except BaseException:
            sock.close()
            raise
        finally:
            os.umask(mask)
        sock.setblocking(False)
        return sock

    def _release(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        if self._folder >= 0:
            os.close(self._folder)  # and the lock with it
            self._folder = -1

    def _begin(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # conversations

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                sock, _ = await loop.sock_accept(listening)
            except OSError as error:
                log.error("cannot accept control connections: %s", error.strerror)
                await asyncio.sleep(1.0)
                continue
            sock.setblocking(False)
            self._begin(self._converse(sock))

    async def _converse(self, sock: socket.socket) -> None:
        try:
            user = peer_user(sock)
            if user is not None and user not in (0, os.geteuid()):
                log.warning("user %d tried to control the broker", user)
                await send_error(sock, "permission", "only the broker's own user may control it")
                return
            await self._answer_all(sock)
        except (OSError, TimeoutError):
            pass  # the client is gone, or asleep
        except Exception:
            log.exception("internal error on the control socket")
        finally:
            if sock not in self._stoppers:
                sock.close()

    async def _answer_all(self, sock: socket.socket) -> None:
        rest = b""
        while True:
            while b"\n" not in rest:
                if len(rest) > REQUEST_LIMIT:
                    await send_error(sock, "request", f"the request is longer than {REQUEST_LIMIT} octets")
                    return
                async with asyncio.timeout(PATIENCE):
                    data = await asyncio.get_running_loop().sock_recv(sock, 4096)
                if not data:
                    return
                rest += data
            line, _, rest = rest.partition(b"\n")
            try:
                request = parse(line)
                octets, rest = await self._read_behind(sock, octets_behind(request), rest)
                await self._answer(sock, request, octets)
            except BadRequest as error:
                await send_error(sock, "request", str(error))
            except ChangeRefused as refused:
                await send_error(sock, refused.kind, str(refused))

    async def _read_behind(self, sock: socket.socket, size: int, rest: bytes) -> tuple[bytes, bytes]:
        """So many octets that follow a request's line, and what follows them."""
        octets = bytearray(rest)
        while len(octets) < size:
            async with asyncio.timeout(PATIENCE):
                data = await asyncio.get_running_loop().sock_recv(sock, 65536)
            if not data:
                raise ConnectionError
            octets += data
        return bytes(octets[:size]), bytes(octets[size:])

    async def _answer(self, sock: socket.socket, request: dict[str, object], octets: bytes) -> None:
        command = request.get("command")
        if not isinstance(command, str):
            raise BadRequest("a request needs a command")
        if command == "status":
            await send(sock, {"status": node_status(self.broker, self.data_dir, self._listeners, *self._files())})
        elif command == "peek":
            await send(sock, {"message": self._peek(request)})
        elif command == "stop":
            self._stoppers.append(sock)
            log.info("asked to stop by leveretctl")
            try:
                await send(sock, {"stopping": {"node": self.broker.node, "pid": os.getpid()}})
            finally:
                self._on_stop()
        elif command.startswith("list_") and command.removeprefix("list_") in LISTINGS:
            await self._list(sock, command.removeprefix("list_"), request)
        elif command == "export_definitions":
            await send_in_slices(sock, export_definitions(self.broker, request))
        elif command == "import_definitions":
            await send(sock, {"done": await import_definitions(self.broker, self._begin_tick, request, octets)})
        elif command == "authenticate_user":
            await authenticate(self.broker, self._begin_tick, request)
            await send(sock, {"done": {"node": self.broker.node}})
        elif self._changes.has(command):
            await self._changes.make(command, request)
            await send(sock, {"done": {"node": self.broker.node}})
        elif self._operations.has(command):
            done = await self._operations.do(command, request)
            await send(sock, {"done": {"node": self.broker.node, **done}})
        else:
            raise BadRequest(f"unknown command {command[:64]!r}")

    def _peek(self, request: dict[str, object]) -> list[list[object]]:
        """The message at a position of a queue."""
        vhost_name, position = text_of(request, "vhost"), request.get("position")
        if not isinstance(position, int) or isinstance(position, bool) or position < 1:
            raise BadRequest("position is a positive integer")
        vhost = self.broker.vhosts.get(vhost_name)
        queue = None if vhost is None else vhost.queues.get(text_of(request, "queue"))
        if queue is None:
            raise ChangeRefused(f"Target queue was not found in virtual host '{vhost_name}'")
        self._begin_tick()  # what was being read for the queue may have to be waited for
        try:
            peeked = peek(queue, position)
        except Damaged:
            raise ChangeRefused("The message at that position is damaged") from None
        if peeked is None:
            raise ChangeRefused("Target queue does not have a message at that position")
        return typed_table(dict(described(peeked)))

    async def _list(self, sock: socket.socket, kind: str, request: dict[str, object]) -> None:
        vhost = request.get("vhost", "/")
        columns = strings(request.get("columns", list(DEFAULT_COLUMNS[kind])))
        if not isinstance(vhost, str) or columns is None or len(columns) > MOST_COLUMNS:
            raise BadRequest("vhost is a string, columns are a list of strings")
        if wrong := unsupported(kind, columns):
            raise BadRequest(f"unknown columns: {','.join(wrong)[:256]}")
        if kind in OF_VHOST_THAT_MUST_BE and vhost not in self.broker.vhosts:
            raise no_such_vhost(vhost)
        of = vhost
        if kind in OF_USER:
            of = text_of(request, "user")
            if self.broker.users.find(of) is None:
                raise ChangeRefused(no_such_user(of))
        await send_in_slices(sock, listing_in_pieces(columns, LISTINGS[kind].rows(self.broker, of, columns)))


def listing_in_pieces(columns: list[str], rows: Iterator[list[Value]]) -> Iterator[str]:
    """The line of an answer with these rows."""
    yield f'{{"columns":{encoded(columns)},"rows":['
    separator = ""
    for row in rows:
        yield separator + encoded([cell(value) for value in row])
        separator = ","
    yield "]}\n"


def peer_user(sock: socket.socket) -> int | None:
    """The user at the other end, None where the system doesn't tell."""
    if not hasattr(socket, "SO_PEERCRED"):
        return None
    user: int = CREDENTIALS.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS.size))[1]
    return user


def parse(line: bytes) -> dict[str, object]:
    """A request's object, or BadRequest. Half a character can't be kept, but for those that stand for an octet."""
    try:
        request = json.loads(line)
        if b"\\" in line:
            json.dumps(request, ensure_ascii=False).encode("utf-8", "surrogateescape")
    except (ValueError, RecursionError):
        raise BadRequest("a request is one line of JSON") from None
    if not isinstance(request, dict):
        raise BadRequest("a request is a JSON object")
    return request


def strings(value: object) -> list[str] | None:
    """The value if it is a list of strings."""
    if not isinstance(value, list) or not all(isinstance(element, str) for element in value):
        return None
    return value


# answers


def encoded(value: object) -> str:
    """A value as JSON on one line, in ASCII."""
    return json.dumps(value, separators=(",", ":"))


async def send(sock: socket.socket, answer: dict[str, object]) -> None:
    """Send an answer's line."""
    await send_octets(sock, f"{encoded(answer)}\n".encode())


async def send_error(sock: socket.socket, kind: str, text: str) -> None:
    """Say that a request can't be answered."""
    await send(sock, {"error": {"kind": kind, "text": text}})


async def send_in_slices(sock: socket.socket, pieces: Iterator[str]) -> None:
    """Send an answer that is made piece by piece, and let the broker work in between."""
    loop = asyncio.get_running_loop()
    made: list[str] = []
    until = loop.time() + SLICE
    for piece in pieces:
        made.append(piece)
        if loop.time() >= until:
            await send_octets(sock, "".join(made).encode())
            made.clear()
            await asyncio.sleep(0)
            until = loop.time() + SLICE
    await send_octets(sock, "".join(made).encode())


async def send_octets(sock: socket.socket, data: bytes) -> None:
    """Send a piece of an answer; TimeoutError if the client doesn't take it."""
    async with asyncio.timeout(PATIENCE):
        await asyncio.get_running_loop().sock_sendall(sock, data)


def cell(value: Value) -> object:
    """A listing's value as JSON has it."""
    return typed_table(value) if isinstance(value, dict) else value


def typed_table(table: Table) -> list[list[object]]:
    """A field table as `[[key, type, value], ...]`."""
    return [[key, TYPE_NAMES[field.kind], typed_value(field)] for key, field in table.items()]


def typed_value(field: FieldValue) -> object:
    """A value: arrays as `[[type, value], ...]`, decimals as `[scale, unscaled]`, octets as text, void as null."""
    value = field.value
    if isinstance(value, dict):
        return typed_table(value)
    if isinstance(value, list):
        return [[TYPE_NAMES[element.kind], typed_value(element)] for element in value]
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    if isinstance(value, Decimal):
        _, digits, exponent = value.as_tuple()
        return [-int(exponent), int("".join(map(str, digits)))]
    if isinstance(value, float) and not isfinite(value):
        return str(value)
    return value
