"""`leveret check`: verify a data folder while no broker has it, and say what it holds.

It changes nothing, not even the pid in the lock, so that it works on a folder that may only be read: a backup, a
snapshot. Its exit status is 0 if all is whole, 1 if something is damaged, 2 if the folder can't be checked. What a
crash leaves unfinished, and the next start sees to, is told but is no damage.
"""

from __future__ import annotations

import fcntl
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from leveret.cli.formatters import Row, json_text, lines
from leveret.cli.standard_streams import write
from leveret.server.data_dir import FORMAT, CannotUse, check_format
from leveret.server.limits import shown
from leveret.store.check import DefinitionsCheck, Finding, LogCheck, QueueContent, check_definitions
from leveret.store.definitions import CannotUseDefinitions, DamagedDefinitions
from leveret.store.segment import NewerFormat

WHOLE: Final = 0
DAMAGED: Final = 1
UNUSABLE: Final = 2
DEFINITIONS: Final = "definitions.sqlite"
MESSAGES: Final = "messages"
SET_ASIDE: Final = "damaged"


class CannotCheck(Exception):
    """The folder can't be checked; the text is one line for the operator."""


class FolderCheck:
    """What was found in a data folder. Findings name files by their path in it."""

    def __init__(self, folder: Path) -> None:
        self.folder: Final = folder
        self.definitions: DefinitionsCheck | None = None  # None if there are none, or they are damaged
        self.log: LogCheck | None = None  # None if there is none
        self.set_aside = 0  # files with what earlier starts could not read
        self.damages: Final[list[Finding]] = []
        self.leftovers: Final[list[Finding]] = []

    def run(self) -> None:
        """Check everything. Raises CannotCheck."""
        lock = lock_folder(self.folder)
        try:
            self._check_definitions()
            self._check_messages()
            if (self.folder / SET_ASIDE).is_dir():
                self.set_aside = len(os.listdir(self.folder / SET_ASIDE))
        except (NewerFormat, CannotUseDefinitions) as error:
            raise CannotCheck(str(error)) from None
        except OSError as error:
            raise CannotCheck(f"cannot read {error.filename or self.folder}: {error.strerror}") from None
        finally:
            if lock is not None:
                os.close(lock)

    def _check_definitions(self) -> None:
        try:
            self.definitions = check_definitions(str(self.folder / DEFINITIONS))
        except FileNotFoundError:
            if any((self.folder / MESSAGES).glob("*.log")):
                self.damages.append(Finding(DEFINITIONS, -1, "is missing: a start would drop every message"))
        except DamagedDefinitions as error:
            self.damages.append(Finding(DEFINITIONS, -1, str(error).removeprefix(f"{self.folder / DEFINITIONS} ")))

    def _check_messages(self) -> None:
        if not (self.folder / MESSAGES).is_dir():
            return
        self.log = LogCheck(str(self.folder / MESSAGES))
        self.log.run()
        for found, here in ((self.log.damages, self.damages), (self.log.leftovers, self.leftovers)):
            here += [Finding(f"{MESSAGES}/{each.file}", each.offset, each.text) for each in found]
            here.sort(key=lambda each: (each.file, each.offset))

    def contents(self) -> list[tuple[int, str | None, str | None, QueueContent]]:
        """Id, virtual host, name and content of each queue; no names where there is content but no definition."""
        contents = {} if self.log is None else self.log.queues
        known = [] if self.definitions is None else self.definitions.loaded.queues
        ids = {queue.id for queue in known}
        rows: list[tuple[int, str | None, str | None, QueueContent]] = [
            (queue.id, queue.vhost, queue.name, contents.get(queue.id, QueueContent())) for queue in known
        ]
        return rows + [(id, None, None, contents[id]) for id in sorted(contents) if id not in ids]


def lock_folder(folder: Path) -> int | None:
    """Keep brokers out of the folder, and check that it is one that can be read. Raises CannotCheck."""
    lock: int | None = None
    try:
        if not folder.is_dir():
            raise CannotCheck(f"there is no data folder {folder}")
        if not (folder / "FORMAT").exists():
            raise CannotCheck(f"{folder} is no data folder of Leveret: it has no FORMAT")
        if (folder / "lock").exists():  # else no broker ever had this copy
            lock = os.open(folder / "lock", os.O_RDONLY | os.O_CLOEXEC)
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        check_format(folder)
    except BlockingIOError:
        raise CannotCheck(f"the data folder {folder} is in use by a broker: stop it first, or check a copy") from None
    except CannotUse as error:
        raise CannotCheck(str(error)) from None
    except OSError as error:
        raise CannotCheck(f"cannot read the data folder {folder}: {error.strerror}") from None
    return lock


def report(check: FolderCheck) -> Iterator[str]:
    """The lines that tell people what was found."""
    yield f"Data folder {check.folder}: format {FORMAT}"
    yield f"Definitions: {definitions_line(check)}"
    yield f"Message log: {log_line(check.log)}"
    if check.set_aside:
        yield f"Set aside by earlier starts: {counted(check.set_aside, 'file')} in {SET_ASIDE}/"
    rows: list[Row] = [
        [vhost or "", name if name is not None else f"(id {id})", int(content.messages), int(content.octets)]
        for id, vhost, name, content in check.contents()
        if content.messages and (name is not None or check.definitions is None)
    ]
    if rows:
        yield ""
        yield from lines("pretty_table", ["vhost", "queue", "messages", "message_bytes"], rows, True)
    yield from findings("Left unfinished, which is no damage:", check.leftovers)
    yield from findings("DAMAGED:", check.damages)
    yield ""
    yield f"Damaged: {counted(len(check.damages), 'finding')}." if check.damages else "All is whole."


def definitions_line(check: FolderCheck) -> str:
    """What is defined."""
    if check.definitions is None:
        return "damaged" if any(each.file == DEFINITIONS for each in check.damages) else "none"
    loaded = check.definitions.loaded
    held = sum(1 for _, _, name, content in check.contents() if name is not None and content.messages)
    return (
        f"format {check.definitions.version}, {counted(len(loaded.vhosts), 'virtual host')}, "
        f"{counted(len(loaded.exchanges), 'exchange')}, {counted(len(loaded.bindings), 'binding')}, "
        f"{counted(len(loaded.policies), 'policy', 'policies')}, {counted(len(loaded.users), 'user')}, "
        f"{counted(len(loaded.permissions) + len(loaded.topic_permissions), 'permission')}, "
        f"{counted(len(loaded.queues), 'queue')}, {held} of them with messages"
    )


def log_line(log: LogCheck | None) -> str:
    """What the message log has."""
    if log is None:
        return "none"
    line = f"{counted(log.segments, 'segment')}, {size(log.octets)}, {counted(int(log.records), 'record')}"
    if log.transient:
        line += f"; {counted(int(log.transient), 'transient message')} of {size(log.transient_octets)} left over"
    if log.superseded:
        line += f"; {counted(int(log.superseded), 'message')} copied forward out of segments that are still there"
    return line


def size(octets: int) -> str:
    """A size, exactly as long as that can be read."""
    return f"{octets} octets" if octets < 2**20 else shown(int(octets))


def counted(number: int, name: str, several: str | None = None) -> str:
    """A number of things."""
    return f"{number} {name}" if number == 1 else f"{number} {several or name + 's'}"


def findings(heading: str, found: list[Finding]) -> Iterator[str]:
    """A paragraph with a line for each finding, if there are any."""
    if found:
        yield ""
        yield heading
        yield from (f"  {place(each)}: {each.text}" for each in found)


def place(finding: Finding) -> str:
    """Where something was found."""
    return finding.file if finding.offset < 0 else f"{finding.file} at octet {finding.offset}"


def json_report(check: FolderCheck) -> dict[str, object]:
    """What was found, for programs."""
    log = check.log or LogCheck("")
    definitions = check.definitions
    loaded = None if definitions is None else definitions.loaded
    return {
        "data_directory": str(check.folder),
        "format": FORMAT,
        "definitions": None
        if definitions is None or loaded is None
        else {
            "format": definitions.version,
            "vhosts": len(loaded.vhosts),
            "exchanges": len(loaded.exchanges),
            "queues": len(loaded.queues),
            "bindings": len(loaded.bindings),
            "policies": len(loaded.policies),
            "users": len(loaded.users),
            "permissions": len(loaded.permissions),
            "topic_permissions": len(loaded.topic_permissions),
        },
        "message_log": {
            "segments": log.segments,
            "octets": int(log.octets),
            "records": int(log.records),
            "transient": int(log.transient),
            "transient_octets": int(log.transient_octets),
            "superseded": int(log.superseded),
        },
        "set_aside": check.set_aside,
        "queues": [
            {
                "id": id,
                "vhost": vhost,
                "name": name,
                "messages": int(content.messages),
                "message_bytes": int(content.octets),
                "lost": int(content.lost),
            }
            for id, vhost, name, content in check.contents()
        ],
        "unfinished": [json_finding(each) for each in check.leftovers],
        "damaged": [json_finding(each) for each in check.damages],
        "whole": not check.damages,
    }


def json_finding(finding: Finding) -> dict[str, object]:
    """A finding; its offset is null if it is about the whole file."""
    return {"file": finding.file, "offset": None if finding.offset < 0 else finding.offset, "text": finding.text}


def run_check(folder: Path, as_json: bool) -> int:
    """Check a data folder and print what was found; gives the exit status."""
    check = FolderCheck(folder)
    try:
        check.run()
    except CannotCheck as error:
        print(f"leveret: {error}", file=sys.stderr)
        return UNUSABLE
    write([json_text(json_report(check))] if as_json else report(check))
    return DAMAGED if check.damages else WHOLE
