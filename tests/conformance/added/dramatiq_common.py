"""What Dramatiq's tests import from `common`, which its sdist lacks; the tests name what it has to have."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pika
import pytest
from dramatiq import Worker

RABBITMQ_USERNAME = "guest"
RABBITMQ_PASSWORD = "guest"
RABBITMQ_CREDENTIALS = pika.PlainCredentials(RABBITMQ_USERNAME, RABBITMQ_PASSWORD)

# The tests name the host alone, so pika has to know the port.
pika.connection.Parameters.DEFAULT_PORT = int(os.environ["RABBITMQ_PORT"])

skip_unless_rabbit_mq = pytest.mark.skipif(False, reason="there is a broker")
skip_on_windows = pytest.mark.skipif(sys.platform == "win32", reason="for POSIX")


@contextmanager
def worker(*arguments: Any, **options: Any) -> Iterator[Worker]:
    """A worker that runs as long as the block."""
    running = Worker(*arguments, **options)
    running.start()
    try:
        yield running
    finally:
        running.stop()
