"""The command's side of the control socket: ask a running broker, and wait for its end.

Light, because every leveretctl starts with it; the protocol is told in `leveret.server.control`.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import struct
import time
from pathlib import Path
from types import TracebackType
from typing import Final, Protocol

from leveret.management.control_socket import AddressTooLong, address

# the exit statuses of sysexits.h, as rabbitmqctl uses them
USAGE: Final = 64
DATA_ERROR: Final = 65
UNAVAILABLE: Final = 69
NO_USER: Final = 67
SOFTWARE: Final = 70
TEMPORARY: Final = 75
NO_PERMISSION: Final = 77

# by the kind of error that the broker answers with: what to end with, and what goes before the text
ERRORS: Final = {
    "permission": (NO_PERMISSION, "Error: "),
    "refused": (UNAVAILABLE, "Error:\n"),
    "vhost": (DATA_ERROR, ""),
    "definitions": (DATA_ERROR, "Error:\n"),
    "user": (NO_USER, "Error:\n"),
    "exists": (SOFTWARE, "Error:\n"),
    "data": (DATA_ERROR, "Error:\n"),
    "usage": (USAGE, "Error:\n"),
}
CREDENTIALS: Final = struct.Struct("iii")  # struct ucred: process, user, group


class ControlFailure(Exception):
    """The broker could not be asked, or did not answer, or refused; with the exit status to end with.

    `before` is what goes before the text when it is printed.
    """

    def __init__(self, status: int, text: str, before: str = "Error: ") -> None:
        super().__init__(text)
        self.status: Final = status
        self.before: Final = before
        self.is_refusal: Final = before != "Error: "  # as RabbitMQ would refuse it


class Client(Protocol):
    """Whoever answers the requests of the control socket, for as long as a `with` lasts."""

    def ask(self, request: dict[str, object], octets: bytes = b"") -> dict[str, object]:
        """The answer to a request. Raises ControlFailure, TimeoutError."""

    def stop(self) -> dict[str, object]:
        """Tell the broker to stop, and give its answer."""

    def wait_for_end(self) -> None:
        """Return when the broker has ended."""

    def __enter__(self) -> Client: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class ControlClient:
    """A conversation with the broker of a data folder. All of it has `timeout` seconds, then comes TimeoutError."""

    def __init__(self, data_dir: Path, timeout: float) -> None:
        self.data_dir: Final = data_dir.absolute()
        self._deadline: Final = time.monotonic() + timeout
        self._process: int | None = None  # the broker's, once it has been told to stop
        self._socket: Final = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._connect()
        except BaseException:
            self._socket.close()
            raise

    def _connect(self) -> None:
        try:
            folder = os.open(self.data_dir, os.O_RDONLY | os.O_DIRECTORY)
            try:
                self._socket.settimeout(self._left())
                self._socket.connect(address(self.data_dir, folder))
            finally:
                os.close(folder)
        except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError):
            raise ControlFailure(
                UNAVAILABLE,
                f"no broker is running with the data folder {self.data_dir} "
                "(--data-dir or LEVERET_DATA_DIR name another)",
            ) from None
        except PermissionError:
            raise ControlFailure(
                NO_PERMISSION, f"the broker with the data folder {self.data_dir} is another user's"
            ) from None
        except TimeoutError:
            raise
        except (OSError, AddressTooLong) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            raise ControlFailure(UNAVAILABLE, f"cannot reach the broker in {self.data_dir}: {reason}") from None

    def _left(self) -> float:
        """Seconds until the deadline, or TimeoutError."""
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left

    def ask(self, request: dict[str, object], octets: bytes = b"") -> dict[str, object]:
        """Send a request, with the octets that belong to it, and give the answer.

        Raises ControlFailure if it is an error, TimeoutError if it is late.
        """
        try:
            self._socket.settimeout(self._left())
            with contextlib.suppress(BrokenPipeError):  # refused before it was asked: the answer says why
                self._socket.sendall(json.dumps(request).encode() + b"\n" + octets)
            answer = self._line()
        except TimeoutError:
            raise
        except OSError as error:
            raise ControlFailure(UNAVAILABLE, f"the broker broke off: {error.strerror}") from None
        try:
            decoded = json.loads(answer)
        except ValueError:
            decoded = None
        if not isinstance(decoded, dict):
            raise ControlFailure(SOFTWARE, "the broker's answer is not understood")
        failure = decoded.get("error")
        if isinstance(failure, dict):
            status, before = ERRORS.get(str(failure.get("kind")), (SOFTWARE, "Error: "))
            raise ControlFailure(status, str(failure.get("text")), before)
        return decoded

    def _line(self) -> bytes:
        pieces: list[bytes] = []
        while not (pieces and pieces[-1].endswith(b"\n")):
            self._socket.settimeout(self._left())
            piece = self._socket.recv(65536)
            if not piece:
                raise ControlFailure(UNAVAILABLE, "the broker ended before it had answered")
            pieces.append(piece)
        return b"".join(pieces)

    def stop(self) -> dict[str, object]:
        """Tell the broker to stop and give its answer; `wait_for_end` waits until it has done so."""
        self._process = process_descriptor(self._socket)
        return self.ask({"command": "stop"})

    def wait_for_end(self) -> None:
        """Return when the broker's process has ended. TimeoutError if it doesn't.

        Where the system can't watch a process, return when it has closed the socket, which it does by ending.
        """
        if self._process is not None:
            if not select.select([self._process], [], [], self._left())[0]:
                raise TimeoutError
            return
        with contextlib.suppress(ConnectionError):
            self._socket.settimeout(self._left())
            while self._socket.recv(4096):
                self._socket.settimeout(self._left())

    def __enter__(self) -> ControlClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()
        if self._process is not None:
            os.close(self._process)


def process_descriptor(sock: socket.socket) -> int | None:
    """A descriptor that becomes readable when the process at the other end ends, None where the system has no such."""
    if not (hasattr(os, "pidfd_open") and hasattr(socket, "SO_PEERCRED")):
        return None
    process = CREDENTIALS.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS.size))[0]
    try:
        return os.pidfd_open(process) if process else None  # 0 is a process that can't be seen from here
    except OSError:
        return None
