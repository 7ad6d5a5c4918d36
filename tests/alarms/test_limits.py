"""Sizes as operators write them, and how much memory the machine or the container allows."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from leveret.server.limits import allowed_memory, octets_of, parse_memory_limit, parse_size, shown

MACHINE = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
LIMIT = 64 * 1024 * 1024


@pytest.mark.parametrize(
    ("text", "octets"),
    [
        ("0", 0),
        ("1073741824", 1 << 30),
        ("17B", 17),
        ("1k", 1024),
        ("1kB", 1000),
        ("3 KiB", 3072),
        ("500MB", 500_000_000),
        ("500mb", 500_000_000),
        ("500M", 500 << 20),
        ("2GiB", 2 << 30),
        ("2GB", 2_000_000_000),
        ("1.5GiB", 3 << 29),
        ("0.3kB", 300),
        ("1T", 1 << 40),
        ("100EiB", 100 << 60),
    ],
)
def test_sizes(text: str, octets: int) -> None:
    assert parse_size(text) == octets


@pytest.mark.parametrize(
    "text", ["", "GiB", "-1", "1e9", "2 G iB", "2XB", "2GiBs", ".5GiB", "1.GiB", "0x10", "nan", "inf", "٣"]
)
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(ValueError, match="is not a size such as 2GiB"):
        parse_size(text)
    with pytest.raises(ValueError):
        parse_memory_limit(text)


def test_sizes_are_shown_to_people() -> None:
    assert shown(3 << 29) == "1.50 GiB"
    assert shown(5 << 19) == "2.5 MiB"


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def mount(kind: str, place: str, top: str = "/", options: str = "rw") -> str:
    return f"35 31 0:32 {top} {place} rw,relatime shared:9 - {kind} {kind} {options}\n"


def test_a_machine_without_control_groups_has_its_memory(tmp_path: Path) -> None:
    assert allowed_memory(tmp_path) == MACHINE


def test_this_process_may_use_no_more_than_the_machine_has() -> None:
    assert 0 < allowed_memory() <= MACHINE


@pytest.mark.parametrize("level", ["", "system.slice", "system.slice/leveret.service"])
@pytest.mark.parametrize("file", ["memory.max", "memory.high"])
def test_the_smallest_limit_of_the_group_and_those_around_it_counts(tmp_path: Path, level: str, file: str) -> None:
    write(tmp_path / "proc/self/cgroup", "0::/system.slice/leveret.service\n")
    write(tmp_path / "proc/self/mountinfo", mount("proc", "/proc") + mount("cgroup2", "/sys/fs/cgroup"))
    tree = tmp_path / "sys/fs/cgroup"
    write(tree / "system.slice/leveret.service/memory.max", "max\n")
    write(tree / "system.slice/memory.max", f"{MACHINE // 2}\n")
    assert allowed_memory(tmp_path) == MACHINE // 2
    write(tree / level / file, f"{LIMIT}\n")
    assert allowed_memory(tmp_path) == LIMIT


def test_a_container_with_its_own_group_namespace(tmp_path: Path) -> None:
    write(tmp_path / "proc/self/cgroup", "0::/\n")
    write(tmp_path / "proc/self/mountinfo", mount("cgroup2", "/sys/fs/cgroup", options="rw,nsdelegate"))
    write(tmp_path / "sys/fs/cgroup/memory.max", f"{LIMIT}\n")
    assert allowed_memory(tmp_path) == LIMIT


def test_a_group_outside_of_the_namespace(tmp_path: Path) -> None:
    write(tmp_path / "proc/self/cgroup", "0::/../../other\n")
    write(tmp_path / "proc/self/mountinfo", mount("cgroup2", "/sys/fs/cgroup"))
    write(tmp_path / "sys/fs/cgroup/memory.max", f"{LIMIT}\n")
    write(tmp_path / "sys/other/memory.max", "1\n")
    assert allowed_memory(tmp_path) == LIMIT


def test_version_1_on_the_host(tmp_path: Path) -> None:
    write(tmp_path / "proc/self/cgroup", "9:cpu,cpuacct:/\n4:memory:/services/leveret\n1:name=systemd:/x\n0::/\n")
    write(
        tmp_path / "proc/self/mountinfo",
        mount("cgroup", "/sys/fs/cgroup/cpu", options="rw,cpu,cpuacct")
        + mount("cgroup", "/sys/fs/cgroup/memory", options="rw,memory")
        + mount("cgroup2", "/sys/fs/cgroup/unified"),
    )
    tree = tmp_path / "sys/fs/cgroup/memory"
    write(tree / "memory.limit_in_bytes", "9223372036854771712\n")
    assert allowed_memory(tmp_path) == MACHINE
    write(tree / "services/leveret/memory.limit_in_bytes", f"{LIMIT}\n")
    assert allowed_memory(tmp_path) == LIMIT


def test_version_1_in_a_container_that_sees_its_group_mounted_as_the_root(tmp_path: Path) -> None:
    write(tmp_path / "proc/self/cgroup", "4:memory:/docker/0123abc\n")
    write(
        tmp_path / "proc/self/mountinfo",
        mount("cgroup", "/sys/fs/cgroup/memory", top="/docker/0123abc", options="rw,memory"),
    )
    write(tmp_path / "sys/fs/cgroup/memory/memory.limit_in_bytes", f"{LIMIT}\n")
    assert allowed_memory(tmp_path) == LIMIT


@pytest.mark.parametrize(
    ("text", "octets"),
    [("0.5", LIMIT // 2), (".25", LIMIT // 4), ("1", LIMIT), ("1.0", LIMIT), ("1MiB", 1 << 20), ("2", 2)],
)
def test_a_memory_limit_is_a_share_or_a_size(tmp_path: Path, text: str, octets: int) -> None:
    write(tmp_path / "proc/self/cgroup", "0::/\n")
    write(tmp_path / "proc/self/mountinfo", mount("cgroup2", "/sys/fs/cgroup"))
    write(tmp_path / "sys/fs/cgroup/memory.max", f"{LIMIT}\n")
    assert octets_of(parse_memory_limit(text), allowed_memory(tmp_path)) == octets


@pytest.mark.parametrize("text", ["0", "0.0", "1.1", "0MiB"])
def test_no_memory_and_more_than_all_is_no_limit(text: str) -> None:
    with pytest.raises(ValueError, match=r"leaves no memory|more than all memory"):
        parse_memory_limit(text)
