"""Fixtures of the tests of TLS: an authority, the broker's certificate, and a broker that listens with it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.certificates import Authority, Issued
from tests.support.encrypted import TlsBroker


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the certificates."""
    return tmp_path_factory.mktemp("certificates")


@pytest.fixture(scope="session")
def authority(certificates: Path) -> Authority:
    return Authority(certificates)


@pytest.fixture(scope="session")
def server(authority: Authority) -> Issued:
    """The broker's certificate, for localhost."""
    return authority.issue("server")


@pytest.fixture(scope="session")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """An authority that nobody trusts."""
    return Authority(tmp_path_factory.mktemp("stranger"), "stranger")


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory, server: Issued) -> Iterator[TlsBroker]:
    """A broker that asks nobody for a certificate."""
    with TlsBroker(tmp_path_factory.mktemp("broker"), server, "--tls-handshake-timeout", "400") as process:
        yield process
