"""Fetches the suites and makes the environment that they run in, with pip and whatever index it is set up for.

The archives are pinned by their hashes in suites.txt, the environment's packages by their versions in environment.txt.
Both are kept in a folder and made anew when those lists change. The environment is apart from that of Leveret's own
tests: what the suites need are plugins of pytest among other things.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.conformance.suites import HERE, Suite

SUITES_LIST = HERE / "suites.txt"
ENVIRONMENT_LIST = HERE / "environment.txt"
TIMEOUT = 600.0  # seconds for one call of pip


class CannotFetch(Exception):
    """pip could not fetch what is needed; the text is what it said."""


def pip(*arguments: str) -> None:
    """Run the pip of the environment that this runs in. Raises CannotFetch."""
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments]
    told = " ".join(command)
    try:
        subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, check=True, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired as error:
        raise CannotFetch(f"{told}\ntook more than {TIMEOUT:.0f} seconds") from error
    except subprocess.CalledProcessError as error:
        raise CannotFetch(f"{told}\nfailed, so the suites can't be run:\n{error.stderr.strip()}") from error


def requirements(suites: Sequence[Suite]) -> str:
    """The lines of suites.txt that speak of these suites, and those that say how to fetch them."""
    names = {suite.name for suite in suites}
    lines = SUITES_LIST.read_text().splitlines()
    return "\n".join(line for line in lines if line.startswith("-") or line.split("==")[0] in names) + "\n"


class Packages:
    """What was fetched, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = folder / f"environment-{self.digest(ENVIRONMENT_LIST)}"
        self.archives = folder / f"suites-{self.digest(SUITES_LIST)}"

    @staticmethod
    def digest(path: Path) -> str:
        return hashlib.sha256(path.read_bytes()).hexdigest()[:12]

    @property
    def python(self) -> Path:
        return self.environment / "bin" / "python"

    def fetch(self, suites: Sequence[Suite]) -> None:
        """Fetch what is not there yet, both at a time. Raises CannotFetch."""
        self.archives.mkdir(parents=True, exist_ok=True)
        with ThreadPoolExecutor(2) as threads:
            for work in (threads.submit(self.fetch_environment), threads.submit(self.fetch_archives, suites)):
                work.result()

    def fetch_environment(self) -> None:
        done = self.environment / "done"
        if done.exists():
            return
        shutil.rmtree(self.environment, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(self.environment)], check=True)
        pip("--python", str(self.python), "install", "--requirement", str(ENVIRONMENT_LIST))
        done.touch()

    def fetch_archives(self, suites: Sequence[Suite]) -> None:
        missing = [suite for suite in suites if not (self.archives / suite.archive).exists()]
        if not missing:
            return
        wanted = self.archives / "requirements.txt"
        wanted.write_text(requirements(missing))
        pip("download", "--no-deps", "--require-hashes", "--dest", str(self.archives), "-r", str(wanted))

    def unpack(self, suite: Suite, folder: Path) -> Path:
        """Unpack a suite in a folder, add what its tests import and its archive lacks, and give where it is."""
        archive, unpacked = self.archives / suite.archive, folder / suite.folder
        if archive.suffix == ".whl":
            with zipfile.ZipFile(archive) as wheel:
                wheel.extractall(unpacked)
            (unpacked / "pytest.ini").touch()  # an sdist has its settings; without any, pytest would look further up
        else:
            with tarfile.open(archive) as sdist:
                sdist.extractall(folder, filter="data")
        for place, ours in suite.added:
            path = unpacked / place
            shutil.copy(HERE / "added" / ours, path)
            if path.parent != unpacked:
                (path.parent / "__init__.py").touch()
        return unpacked
