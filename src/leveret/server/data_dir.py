"""The data folder: made, checked and locked before anything in it is opened.

Two brokers in one folder would destroy each other's messages, so the first holds a lock on `lock` for as long as it
lives. The system releases it when the process dies, however that comes about; the file itself stays, because to
remove it would let a third broker lock a file that is no longer there. The pid in it is only for people.

`FORMAT` numbers the layout of the folder as a whole. What is in its files has numbers of its own.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Final

from leveret.store.files import Files

FORMAT: Final = 1


class CannotUse(Exception):
    """The data folder can't be used; the text is one line for the operator."""


class DataDirectory:
    """A data folder that belongs to this process until `close`."""

    def __init__(self, path: Path) -> None:
        """Make the folder if there is none, for its owner alone, and lock it. Raises CannotUse."""
        self.path: Final = path
        make_folder(path)
        self._lock: int | None = lock_folder(path)
        try:
            check_format(path)
        except CannotUse:
            self.close()
            raise

    @property
    def definitions(self) -> Path:
        """The database of virtual hosts, exchanges, queues and bindings."""
        return self.path / "definitions.sqlite"

    @property
    def messages(self) -> Path:
        """The folder of the message log."""
        return self.path / "messages"

    @property
    def damaged(self) -> Path:
        """The folder for what could not be read, kept for people to look at."""
        return self.path / "damaged"

    @property
    def control_socket(self) -> Path:
        """The socket that `leveretctl` speaks to."""
        return self.path / "control.sock"

    def close(self) -> None:
        """Let another broker have the folder. It can be closed again."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def make_folder(path: Path) -> None:
    """Make the folder, durably, unless it is there."""
    try:
        missing = [folder for folder in (path, *path.parents) if not folder.exists()]
        for folder in reversed(missing):
            folder.mkdir(mode=0o700 if folder == path else 0o777, exist_ok=True)
            Files().sync_directory(str(folder.parent))
        if not path.is_dir():
            raise CannotUse(f"the data folder {path} is not a folder")
    except OSError as error:
        raise CannotUse(f"cannot make the data folder {path}: {error.strerror}") from None
    if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        raise CannotUse(f"cannot write to the data folder {path}")


def lock_folder(path: Path) -> int:
    """Lock the folder and give the open file that holds the lock."""
    try:
        lock = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise CannotUse(f"cannot write to the data folder {path}: lock: {error.strerror}") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(lock, 0)
        os.write(lock, f"{os.getpid()}\n".encode())
    except BlockingIOError:
        pid = os.read(lock, 20).decode(errors="replace").strip()
        os.close(lock)
        # There is none yet in the moment between locking and writing.
        holder = f" (pid {pid})" if pid.isdecimal() else ""
        raise CannotUse(f"the data folder {path} is in use by another broker{holder}") from None
    except OSError as error:
        os.close(lock)
        raise CannotUse(f"cannot lock the data folder {path}: {error.strerror}") from None
    return lock


def check_format(path: Path) -> None:
    """Check that this version knows the folder's layout; a folder without FORMAT gets it."""
    file = path / "FORMAT"
    try:
        if not file.exists():
            write_format(path, file)
        text = file.read_text("ascii", errors="replace").strip()
    except OSError as error:
        raise CannotUse(f"cannot write to the data folder {path}: FORMAT: {error.strerror}") from None
    if not text.isdecimal() or len(text) > 9 or int(text) == 0:
        raise CannotUse(f"the data folder {path} is damaged: FORMAT holds no number")
    if int(text) > FORMAT:
        raise CannotUse(
            f"the data folder {path} has format {text}, made by a later version of Leveret; this one knows {FORMAT}"
        )


def write_format(path: Path, file: Path) -> None:
    """Write FORMAT, whole or not at all."""
    new = path / "FORMAT.new"
    with new.open("w", encoding="ascii") as stream:
        stream.write(f"{FORMAT}\n")
        stream.flush()
        os.fsync(stream.fileno())
    new.rename(file)
    Files().sync_directory(str(path))
