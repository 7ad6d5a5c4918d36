"""A fresh broker for each test, and a client of it."""

from __future__ import annotations

import pytest

from tests.broker.driver import Client, Driver


@pytest.fixture
def driver() -> Driver:
    return Driver()


@pytest.fixture
def client(driver: Driver) -> Client:
    """A client with channels 1 and 2."""
    return driver.log_in(1, 2)
