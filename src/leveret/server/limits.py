"""How much memory, disk and open files the broker may have: sizes as operators write them, what the machine allows.

In a container the machine's memory says little: what counts is the smallest limit among the control groups that the
process is in and the groups around them (cgroup v1 and v2). They are found by way of the mounts, since a container may
see its own group mounted where others see the root.
"""

from __future__ import annotations

import contextlib
import os
import re
import resource
import sys
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Final

FILES_OF_OUR_OWN: Final = 256
UNITS: Final = ("k", "m", "g", "t", "p", "e")
SIZE: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(?:([kmgtpe])(i?b)?|b)?", re.ASCII | re.IGNORECASE)
SHARE: Final = re.compile(r"[01](?:\.\d+)?|\.\d+", re.ASCII)
V1_FILES: Final = ("memory.limit_in_bytes",)
V2_FILES: Final = ("memory.max", "memory.high")


def parse_size(text: str) -> int:
    """Octets: a number alone, or with a unit. kB, MB, GB are powers of 1000; k, KiB, M, MiB and so on of 1024.

    ValueError for anything else.
    """
    found = SIZE.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text!r} is not a size such as 2GiB, 500MB or 1073741824")
    number, unit, suffix = found.groups()
    whole, _, fraction = number.partition(".")
    base = 1000 if suffix is not None and suffix.lower() == "b" else 1024
    factor = int(base ** (UNITS.index(unit.lower()) + 1)) if unit else 1
    return int(whole + fraction) * factor // int(10 ** len(fraction))


def parse_memory_limit(text: str) -> int | float:
    """A size in octets as an int; a share of what the machine allows, from above 0 to 1, as a float.

    ValueError for anything else.
    """
    share = SHARE.fullmatch(text.strip())
    limit: int | float = parse_size(text) if share is None else float(share[0])
    if share is not None and limit > 1:
        raise ValueError(f"{text!r} is more than all memory")
    if limit == 0:
        raise ValueError(f"{text!r} leaves no memory")
    return limit


def octets_of(limit: int | float, memory: int | None = None) -> int:
    """What a limit comes to, at least one octet: a float is a share of `memory`, else of what the machine allows."""
    if isinstance(limit, float):
        return max(int(limit * (allowed_memory() if memory is None else memory)), 1)
    return limit


def most_clients() -> int:
    """How many clients may be connected at once, after asking for as many open files as the system grants.

    Some are left for the store, which would have to end the broker if it could not open a file.
    """
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, allowed))
    granted = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if granted == resource.RLIM_INFINITY:
        return sys.maxsize
    return max(granted - FILES_OF_OUR_OWN, granted // 2)


def shown(octets: int) -> str:
    """A size for people to read."""
    return f"{octets / 2**30:.2f} GiB" if octets >= 2**30 else f"{octets / 2**20:.1f} MiB"


def allowed_memory(root: Path = Path("/")) -> int:
    """Octets of memory that this process may use at most. `root` is where proc and sys are, for tests."""
    physical = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return min([physical, *group_limits(root)])


def group_limits(root: Path) -> Iterator[int]:
    """The memory limits of the control groups that this process is in; none where there are no such groups."""
    groups: dict[str, str] = {}
    for line in lines_of(root / "proc/self/cgroup"):
        _, controllers, path = line.split(":", 2)
        groups.update(dict.fromkeys(controllers.split(","), path))
    for line in lines_of(root / "proc/self/mountinfo"):
        place, _, source = line.partition(" - ")
        top, mount = place.split(" ")[3:5]
        kind, _, options = source.split(" ", 2)
        if kind == "cgroup2" and "" in groups:
            yield from limits_up(root, mount, groups[""], top, V2_FILES)
        elif kind == "cgroup" and "memory" in options.split(",") and "memory" in groups:
            yield from limits_up(root, mount, groups["memory"], top, V1_FILES)


def limits_up(root: Path, mount: str, group: str, top: str, files: tuple[str, ...]) -> Iterator[int]:
    """The limits of a group and of those around it, up to `top`, the group that is mounted on `mount`."""
    try:
        inner = PurePosixPath(group).relative_to(top)
    except ValueError:
        inner = PurePosixPath()
    if ".." in inner.parts:  # it is outside of what this process may see
        inner = PurePosixPath()
    folder = root / mount.lstrip("/")
    for step in (inner, *inner.parents):
        for name in files:
            for line in lines_of(folder / step / name):
                if line.isdecimal():  # else it is "max"
                    yield int(line)


def lines_of(path: Path) -> list[str]:
    """The lines of a file that need not be there."""
    try:
        return path.read_text().splitlines()
    except OSError:
        return []
