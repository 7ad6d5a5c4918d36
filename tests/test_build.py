"""Compiled and interpreted: what is said is what runs, and a build ends in one of the two, whole."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest

import leveret

PROJECT = Path(__file__).parent.parent
SOURCES = Path(leveret.__file__).parent.parent
HOT_ROOMS = ("amqp", "broker", "store")

# Says where the hot modules came from, and what leveret.build says of it.
PROBE = """
import importlib, pathlib, sys, leveret, leveret.build
folder = pathlib.Path(leveret.__file__).parent
before = leveret.build.description()
for path in folder.rglob("*.py"):
    parts = path.relative_to(folder).with_suffix("").parts
    if parts[0] in ("amqp", "broker", "store"):
        module = importlib.import_module(".".join(["leveret", *parts]).removesuffix(".__init__"))
        print(pathlib.Path(module.__file__).suffix)
print(before, leveret.build.description())
"""


def run(*command: str | Path, folder: Path = PROJECT, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command with these changes to the environment, and return what it printed."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("LEVERET_")}
    return subprocess.run(
        command, cwd=folder, env=inherited | environment, capture_output=True, text=True, check=False, timeout=50
    )


def probe(folder: Path = SOURCES, **environment: str) -> tuple[set[str], str]:
    """The suffixes of the hot modules' files, and the description."""
    result = run(sys.executable, "-c", PROBE, folder=folder, **environment)
    assert result.returncode == 0, result.stderr
    *suffixes, descriptions = result.stdout.splitlines()
    before, after = descriptions.split()
    assert before == after
    return set(suffixes), after


def extension_modules(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.name.endswith(tuple(EXTENSION_SUFFIXES)))


# This copy of Leveret


def test_what_is_said_is_what_runs() -> None:
    suffixes, description = probe()
    assert (suffixes, description) in [({".py"}, "interpreted"), ({".so"}, "compiled")]


def test_sources_run_where_the_environment_asks_for_them() -> None:
    assert probe(LEVERET_INTERPRETED="1") == ({".py"}, "interpreted")


def test_interpreted_0_asks_for_nothing() -> None:
    assert probe(LEVERET_INTERPRETED="0") == probe()


@pytest.mark.parametrize("interpreted", ["0", "1"])
def test_the_version_tells_compiled_from_interpreted(interpreted: str) -> None:
    _, description = probe(LEVERET_INTERPRETED=interpreted)
    result = run(sys.executable, "-m", "leveret", "--version", LEVERET_INTERPRETED=interpreted)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == f"leveret {leveret.__version__} ({description})\n"


def test_compiled_modules_are_not_older_than_their_sources() -> None:
    """A failure here means that the sources changed and `make build` was not run again."""
    for module in extension_modules(SOURCES / "leveret"):
        source = module.with_name(module.name.split(".")[0] + ".py")
        assert source.exists(), module
        assert source.stat().st_mtime <= module.stat().st_mtime, module


# A build of a small copy


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with Leveret's build and a small module in each of two rooms, compiled. Tests do not change it."""
    project = tmp_path_factory.mktemp("compiled")
    for name in ("setup.py", "pyproject.toml", "LICENSE"):
        shutil.copy(PROJECT / name, project)
    (project / "README.md").touch()
    package = project / "src" / "leveret"
    for room in ("amqp", "broker"):
        (package / room).mkdir(parents=True)
        (package / room / "__init__.py").touch()
    for name in ("__init__.py", "build.py"):
        shutil.copy(PROJECT / "src" / "leveret" / name, package)
    (package / "amqp" / "frame.py").write_text("def overhead(frames: int) -> int:\n    return 8 * frames\n")
    (package / "broker" / "queue.py").write_text("from leveret.amqp.frame import overhead\n\nSIZE = overhead(2)\n")
    result = build(project, LEVERET_COMPILE="1")
    assert result.returncode == 0, result.stderr
    return project


@pytest.fixture
def project(compiled: Path, tmp_path: Path) -> Path:
    """A copy of that project, to build again."""
    return shutil.copytree(compiled, tmp_path / "project")


def build(project: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return run(sys.executable, "setup.py", "--quiet", "build_ext", "--inplace", folder=project, **environment)


def failing_compiler(project: Path, at: str) -> str:
    """A C compiler that fails for the files whose path holds `at`."""
    compiler = project / "compiler"
    compiler.write_text(f'#!/bin/sh\ncase "$*" in *{at}*) exit 1;; esac\nexec cc "$@"\n')
    compiler.chmod(0o755)
    return str(compiler)


def test_a_build_is_compiled_and_its_sources_still_run(compiled: Path) -> None:
    assert probe(compiled / "src") == ({".so"}, "compiled")
    assert probe(compiled / "src", LEVERET_INTERPRETED="1") == ({".py"}, "interpreted")


@pytest.mark.parametrize("at", ["__native", "build/leveret/broker/queue.c"])
def test_a_failing_compiler_leaves_an_interpreted_build(project: Path, at: str) -> None:
    """Though an earlier build had succeeded, and though this one fails only when most is compiled."""
    os.utime(project / "setup.py")
    result = build(project, CC=failing_compiler(project, at))
    assert result.returncode == 0, result.stderr
    [line] = [line for line in result.stderr.splitlines() if line.startswith("leveret: ")]
    assert "the C compiler" in line and "interpreted" in line
    assert extension_modules(project) == []
    assert probe(project / "src") == ({".py"}, "interpreted")


def test_a_failing_compiler_is_an_error_where_compiling_is_asked_for(project: Path) -> None:
    os.utime(project / "setup.py")
    result = build(project, LEVERET_COMPILE="1", CC="false")
    assert result.returncode != 0


def test_without_mypyc_the_build_is_interpreted(project: Path) -> None:
    (project / "mypyc.py").write_text("raise ImportError('no mypyc here')\n")
    result = build(project, PYTHONPATH=str(project))
    assert result.returncode == 0, result.stderr
    assert "no mypyc here" in result.stderr and "interpreted" in result.stderr
    assert probe(project / "src") == ({".py"}, "interpreted")
    assert build(project, PYTHONPATH=str(project), LEVERET_COMPILE="1").returncode != 0


def test_no_compiled_module_outlives_its_source_or_a_build_without_compiling(project: Path) -> None:
    source = project / "src" / "leveret" / "broker" / "queue.py"
    assert "queue" in {path.name.split(".")[0] for path in extension_modules(project / "src")}
    source.unlink()
    assert build(project, LEVERET_COMPILE="1").returncode == 0
    names = {path.name.split(".")[0] for path in extension_modules(project / "src")}
    assert names == {"leveret__mypyc", "__init__", "frame"}
    assert build(project, LEVERET_COMPILE="0").returncode == 0
    assert extension_modules(project / "src") == []


def test_an_unknown_wish_is_an_error(project: Path) -> None:
    result = build(project, LEVERET_COMPILE="perhaps")
    assert result.returncode != 0
    assert result.stderr == "LEVERET_COMPILE is 0, 1 or not set, not 'perhaps'\n"
