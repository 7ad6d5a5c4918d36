"""Definitions that a broker loads when it starts: a file, or a folder whose files are taken in the order of names.

They are taken in together: if something in one of them is wrong, nothing is taken in and the broker does not start.

Loading may be skipped if the definitions are those that were loaded last. What tells is kept as a global parameter, as
in RabbitMQ.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Final

from leveret.broker.broker import Broker
from leveret.management.definitions.importing import HASH, Import, complete, decoded, hash_of
from leveret.management.definitions.steps import InvalidDefinitions

log: Final = logging.getLogger("leveret.definitions")


class CannotLoad(Exception):
    """Definitions that can't be loaded; the text is for the operator and names the file."""


def load_definitions(broker: Broker, path: Path, skip_if_unchanged: bool = False) -> None:
    """Load definitions into a broker that serves nobody yet: all of them are one transaction. Raises CannotLoad."""
    files = files_in(path)
    contents = [read(file) for file in files]
    digest = hash_of(contents)
    if skip_if_unchanged and broker.parameters.all_global().get(HASH) == digest:
        log.info("the definitions in %s are those that were loaded last", path)
        return
    log.info("loading definitions from %s", ", ".join(map(str, files)) or path)
    work = Import(broker, [document_of(file, octets) for file, octets in zip(files, contents, strict=True)])
    try:
        complete(work)
    except InvalidDefinitions as error:
        raise CannotLoad(f"cannot load definitions from {files[work.current]}: {error}") from None
    broker.parameters.set_global(HASH, digest)


def document_of(file: Path, octets: bytes) -> object:
    """The document in a file. Raises CannotLoad."""
    try:
        return decoded(octets)
    except InvalidDefinitions as error:
        raise CannotLoad(f"cannot load definitions from {file}: {error}") from None


def files_in(path: Path) -> list[Path]:
    """The files to load: one, or those in a folder that are not hidden. Raises CannotLoad."""
    if not path.is_dir():
        return [path]
    try:
        return [file for file in sorted(path.iterdir()) if file.is_file() and not file.name.startswith(".")]
    except OSError as error:
        raise CannotLoad(f"cannot load definitions from {path}: {error.strerror}") from None


def read(file: Path) -> bytes:
    """What is in a file. Raises CannotLoad."""
    try:
        return file.read_bytes()
    except OSError as error:
        raise CannotLoad(f"cannot load definitions from {file}: {error.strerror}") from None
