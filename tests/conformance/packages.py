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

from tests.conformance.brokers import Certificates
from tests.conformance.suites import HERE, Suite
from tests.support.certificates import Authority

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


def unpack(archive: Path, folder: Path) -> None:
    """Unpack an sdist, which has its folder in it, or a wheel, which has not, so that there is `folder` in the end."""
    fresh = folder.with_suffix(".unpacking")
    shutil.rmtree(fresh, ignore_errors=True)
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            wheel.extractall(fresh)
        (fresh / "pytest.ini").touch()  # an sdist has its settings; without any, pytest would find Leveret's
        fresh.rename(folder)
        return
    with tarfile.open(archive) as sdist:
        sdist.extractall(fresh, filter="data")
    (fresh / folder.name).rename(folder)
    fresh.rmdir()


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

    def unpacked(self, suite: Suite) -> Path:
        return self.archives / suite.folder

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
        missing = [suite for suite in suites if not self.unpacked(suite).exists()]
        if not missing:
            return
        wanted = self.archives / "requirements.txt"
        wanted.write_text(requirements(missing))
        pip("download", "--no-deps", "--require-hashes", "--dest", str(self.archives), "-r", str(wanted))
        for suite in missing:
            unpack(self.archives / suite.archive, self.unpacked(suite))

    def complete(self, suite: Suite) -> None:
        """Add the files that the tests of a suite import and that its archive lacks."""
        for place, ours in suite.added:
            path = self.unpacked(suite) / place
            shutil.copy(HERE / "added" / ours, path)
            if path.parent != self.unpacked(suite):
                (path.parent / "__init__.py").touch()

    def certificates(self, suite: Suite) -> Certificates | None:
        """The certificates that a suite brings with it, if it does."""
        folder = self.unpacked(suite) / "tests" / "certs"
        if not folder.exists():
            return None
        names = ("ca.pem", "server.pem", "server.key", "client.pem", "client.key")
        return Certificates(*(folder / name for name in names))

    def hand_out(self, suite: Suite, certificates: Certificates) -> None:
        """Put ours where py-amqp's tests look for theirs, which their sdist lacks; "broken" are those of a stranger."""
        if suite.name != "amqp":
            return
        folder = self.unpacked(suite) / "t" / "certs"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        shutil.copy(certificates.authority, folder / "ca_certificate.pem")
        shutil.copy(certificates.client, folder / "client_certificate.pem")
        shutil.copy(certificates.client_key, folder / "client_key.pem")
        stranger = Authority(folder, "stranger").issue("client")
        stranger.certfile.rename(folder / "client_certificate_broken.pem")
        stranger.keyfile.rename(folder / "client_key_broken.pem")
