"""The control socket: how leveretctl asks a running broker, and tells it to stop.

It is a Unix socket in the data folder. Who may open it controls the broker, so it is nobody's but its owner's from the
moment it is there, and where the system tells who is at the other end (Linux), only that user and root are answered.

A request is one line with a JSON object: `{"command": "list_queues", "vhost": "/", "columns": ["name"]}`. The answer is
one line too: `{"columns": [...], "rows": [[...], ...]}`, `{"status": {...}}`, `{"definitions": {...}}`,
`{"message": [[key, type, value], ...]}` of a queue that is peeked at, `{"stopping": {...}}`, `{"done": {...}}` of all
that was done, or `{"error": {"kind": "...", "text": "..."}}`. `control_commands` has the commands, and what answers
each; here is how they come and go.

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
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Final

from leveret.management.control_socket import NAME, REQUEST_LIMIT, AddressTooLong, address
from leveret.server.control_answers import PATIENCE, send_error, send_in_slices, whole
from leveret.server.control_commands import ControlCommands
from leveret.server.control_definitions import octets_behind
from leveret.server.control_request import BadRequest, ChangeRefused

log: Final = logging.getLogger("leveret.control")

BACKLOG: Final = 16
CREDENTIALS: Final = struct.Struct("iii")  # struct ucred: process, user, group


class CannotControl(Exception):
    """There can't be a control socket in the data folder; the text is for the operator."""


class DataFolderInUse(CannotControl):
    """Another broker has this data folder."""


class ControlServer:
    """The control socket in a data folder. `on_stop` may be called again."""

    def __init__(self, commands: ControlCommands, data_dir: Path, on_stop: Callable[[], None]) -> None:
        self.data_dir: Final = data_dir.absolute()
        self._commands: Final = commands
        self._on_stop: Final = on_stop
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
        if command == "stop":
            await self._stop(sock)
        else:
            await send_in_slices(sock, await self._commands.answer(command, request, octets))

    async def _stop(self, sock: socket.socket) -> None:
        self._stoppers.append(sock)
        log.info("asked to stop by leveretctl")
        try:
            await send_in_slices(sock, whole({"stopping": {"node": self._commands.node, "pid": os.getpid()}}))
        finally:
            self._on_stop()


def peer_user(sock: socket.socket) -> int | None:
    """The user at the other end, None where the system doesn't tell."""
    if not hasattr(socket, "SO_PEERCRED"):
        return None
    user: int = CREDENTIALS.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS.size))[1]
    return user


def parse(line: bytes) -> dict[str, object]:
    """A request's object, or BadRequest. Half a character can't be kept, but for those that stand for an octet.

    Such octets may be those of a whole character, where a client took its arguments for ASCII.
    """
    try:
        request = json.loads(line)
        if b"\\" in line:
            octets = json.dumps(request, ensure_ascii=False).encode("utf-8", "surrogateescape")
            request = json.loads(octets.decode("utf-8", "surrogateescape"))
    except (ValueError, RecursionError):
        raise BadRequest("a request is one line of JSON") from None
    if not isinstance(request, dict):
        raise BadRequest("a request is a JSON object")
    return request
