"""The units of time in which RabbitMQ's checks look ahead. They stand apart: commands need them without the broker."""

from __future__ import annotations

from typing import Final

DAY: Final = 86400
SECONDS: Final = {"days": DAY, "weeks": 7 * DAY, "months": 365 * DAY // 12, "years": 365 * DAY}
