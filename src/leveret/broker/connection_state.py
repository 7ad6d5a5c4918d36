"""The states of a connection, in the order they are passed through (AMQP 0-9-1 section 2.2.4)."""

from __future__ import annotations

from typing import Final

EXPECT_HEADER: Final = 0
EXPECT_START_OK: Final = 1
EXPECT_TUNE_OK: Final = 2
EXPECT_OPEN: Final = 3
RUNNING: Final = 4
CLOSING: Final = 5  # connection.close was sent, close-ok is due
CLOSED: Final = 6
STATE_NAMES: Final = ("starting", "starting", "tuning", "opening", "running", "closing", "closed")
