"""What the HTTP API sees of the process: the broker, and what only the server around it knows.

Light, because the server has it from its start.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from leveret.broker.broker import Broker
from leveret.management.certificate_expiration import CertificateFiles
from leveret.management.rates import Rates
from leveret.server.recent_log import RecentLog


@dataclass(frozen=True)
class HttpOptions:
    """How the HTTP API is to be: what its paths begin with, `basic` rates or `none`, and octets in a body."""

    path_prefix: str = ""
    rates_mode: str = "basic"
    without_statistics: bool = False
    queue_totals: bool = False  # in lists without statistics
    body_limit: int = 20_000_000


@dataclass(frozen=True)
class Node:
    """One broker with its surroundings. `listeners` are URLs, sizes are octets; no data folder: nothing is on disk.

    `certificate_files` is told by `certificate_expiration`.
    """

    broker: Broker
    begin_tick: Callable[[], None]  # has to be called before anything in the broker is changed
    data_dir: Path | None
    listeners: Sequence[str]
    limits: Callable[[], tuple[int, int]]  # of memory in use, and of free disk
    rates: Rates
    files: Callable[[], tuple[Sequence[str], Sequence[str]]]  # of the configuration, and of the log
    certificate_files: CertificateFiles
    recent_log: RecentLog
    metrics_path: str = "/metrics"
    metrics_per_object: bool = False
    metrics_for_monitors_alone: bool = False
    http: HttpOptions = HttpOptions()

    @property
    def memory_limit(self) -> int:
        """How much memory may be in use."""
        return self.limits()[0]

    @property
    def disk_free_limit(self) -> int:
        """How much has to be free for the data folder."""
        return self.limits()[1]
