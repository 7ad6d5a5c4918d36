"""The few things the log asks of the file system, in one place so that a test can make them fail.

Every error is an OSError and is never retried: after a failed write or sync nobody knows what is on the disk.
"""

from __future__ import annotations

import contextlib
import os

from mypy_extensions import mypyc_attr


@mypyc_attr(allow_interpreted_subclasses=True)
class Files:
    """The real file system."""

    def open_new(self, path: str) -> int:
        """Make a file that must not exist yet, for appending and reading."""
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def open_append(self, path: str) -> int:
        """Open a file for appending, and make it if there is none."""
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def open_read(self, path: str) -> int:
        """Open a file for reading."""
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def write(self, descriptor: int, data: bytes) -> None:
        """Write all of data at the end."""
        written = os.write(descriptor, data)
        while written < len(data):
            written += os.write(descriptor, memoryview(data)[written:])

    def sync(self, descriptor: int) -> None:
        """Have the file's data on the disk when this returns."""
        os.fdatasync(descriptor)

    def sync_directory(self, path: str) -> None:
        """Have the directory's entries on the disk when this returns."""
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def read(self, descriptor: int, size: int, offset: int) -> bytes:
        """Read up to size octets at an offset."""
        return os.pread(descriptor, size, offset)

    def read_whole(self, path: str) -> bytes:
        """Everything in a file."""
        with open(path, "rb") as file:
            return file.read()

    def close(self, descriptor: int) -> None:
        """Close a file."""
        os.close(descriptor)

    def truncate(self, path: str, size: int) -> None:
        """Cut a file, on the disk when this returns."""
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            os.ftruncate(descriptor, size)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def remove(self, path: str) -> None:
        """Remove a file; one that is not there is fine."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)

    def names(self, path: str) -> list[str]:
        """What is in a directory."""
        return os.listdir(path)

    def size(self, path: str) -> int:
        """How long a file is, 0 if it is not there any more."""
        try:
            return os.stat(path).st_size
        except FileNotFoundError:
            return 0
