"""The versions of pika that programs are run with, and the interpreters for them.

- The newest release is the one installed where the tests run.
- 1.0.0 is the oldest that connects on Python 3.11: its code is what programs have been written for ever since.
- 0.12.0 is the oldest that can be imported there; connecting fails, for want of `collections.Callable`, which newer
  Pythons have dropped. It is run with that name restored, and otherwise as it is.
- 0.11.0 is the one the tutorial named for years. It uses `async` as a name and so needs Python 3.6 or older.

pip fetches the releases other than the newest, once, into the folder `.cache` of the environment that runs the tests.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

CACHE = Path(sys.prefix) / ".cache"
RESTORE_CALLABLE = Path(__file__).parent / "pika_0_11" / "restore_callable.py"


@dataclass(frozen=True)
class Pika:
    """How to start a program with one version of pika: the beginning of its command line, and where pika is found."""

    command: tuple[str, ...]
    environment: dict[str, str]

    def version(self) -> str:
        """The version that programs started like this do import."""
        asked = subprocess.run(
            [self.command[0], "-c", "import pika; print(pika.__version__)"],
            env={**os.environ, **self.environment},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        return asked.stdout.strip()


def installed() -> Pika:
    return Pika((sys.executable,), {})


def of_version(version: str, interpreter: str = sys.executable) -> Pika:
    return Pika((interpreter,), {"PYTHONPATH": str(fetch(version))})


def with_callable_restored(version: str) -> Pika:
    return Pika((sys.executable, str(RESTORE_CALLABLE)), {"PYTHONPATH": str(fetch(version))})


def fetch(version: str) -> Path:
    """The folder with this release of pika; an error when it is not there yet and pip cannot install it."""
    folder = CACHE / f"pika-{version}"
    if folder.exists():
        return folder
    CACHE.mkdir(exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(dir=CACHE))
    try:
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
        result = subprocess.run(
            [*command, "--target", str(unfinished / "pika"), f"pika=={version}"],
            capture_output=True,
            text=True,
            timeout=50,
        )
        assert result.returncode == 0, f"pip did not install pika {version}: {result.stderr}"
        (unfinished / "pika").rename(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return folder


def python_3_6() -> str | None:
    """An interpreter of Python 3.6: the first that runs, of PATH's and pyenv's."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    candidates = [shutil.which("python3.6"), *map(str, sorted(pyenv.glob("versions/3.6.*/bin/python3.6")))]
    for candidate in candidates:
        # A shim of pyenv stands in PATH even when it leads nowhere.
        if candidate and subprocess.run([candidate, "-c", ""], capture_output=True).returncode == 0:
            return candidate
    return None
