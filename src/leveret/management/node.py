"""What the HTTP API sees of the process: the broker, and what only the server around it knows.

Light, because the server has it from its start.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from leveret.broker.broker import Broker
from leveret.management.rates import Rates


@dataclass(frozen=True)
class Node:
    """One broker with its surroundings. `listeners` are URLs, sizes are octets; no data folder: nothing is on disk."""

    broker: Broker
    begin_tick: Callable[[], None]  # has to be called before anything in the broker is changed
    data_dir: Path | None
    listeners: Sequence[str]
    memory_limit: int
    disk_free_limit: int
    rates: Rates
    files: Callable[[], tuple[Sequence[str], Sequence[str]]]  # of the configuration, and of the log
    metrics_path: str = "/metrics"
    metrics_per_object: bool = False
