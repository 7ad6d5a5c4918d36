"""leveretctl as users run it: a program of its own, found by its data folder."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from leveret.cli.leveretctl import main
from tests.support.broker_process import BrokerProcess

Ctl = Callable[..., subprocess.CompletedProcess[str]]


def leveretctl(
    *arguments: str, data_dir: Path | None = None, folder: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the command in a folder, LEVERET_DATA_DIR being `data_dir` or not set. It never prints a traceback."""
    environment = {name: value for name, value in os.environ.items() if name != "LEVERET_DATA_DIR"}
    if data_dir is not None:
        environment["LEVERET_DATA_DIR"] = str(data_dir)
    result = subprocess.run(
        [sys.executable, "-m", "leveret.cli.leveretctl", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        encoding="utf-8",
        errors="surrogateescape",
        check=False,
        timeout=30,
    )
    assert "Traceback" not in result.stderr, result.stderr
    return result


def leveretctl_here(*arguments: str, data_dir: Path) -> subprocess.CompletedProcess[str]:
    """As `leveretctl`, but in this process, which takes milliseconds."""
    out, err = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.TextIOWrapper(io.BytesIO(), "utf-8")
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        patch.setenv("LEVERET_DATA_DIR", str(data_dir))
        status = main(arguments)
    printed = [stream.buffer.getvalue().decode("utf-8", "surrogateescape") for stream in (out, err)]
    return subprocess.CompletedProcess(arguments, status, *printed)


@pytest.fixture(scope="module")
def leveret(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerProcess]:
    """A broker for the module's tests, which declare names of their own."""
    with BrokerProcess(tmp_path_factory.mktemp("ctl")) as process:
        yield process


@pytest.fixture(scope="module")
def ctl(leveret: BrokerProcess) -> Ctl:
    """Runs leveretctl for the module's broker."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return leveretctl(*arguments, data_dir=leveret.data_dir)

    return run


@pytest.fixture(scope="module")
def ctl_here(leveret: BrokerProcess) -> Ctl:
    """As `ctl`, in this process."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return leveretctl_here(*arguments, data_dir=leveret.data_dir)

    return run
