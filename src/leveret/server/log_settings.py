"""The settings of the log: part of the table in `settings`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from leveret.server import setting_kinds as kinds
from leveret.server.setting_table import setting

FEDERATION: Final = "federation"


@dataclass(frozen=True)
class LogSettings:
    """What is logged, where, and how."""

    log_level: str | None = setting(
        kinds.LEVEL,
        None,
        "what is logged, where no other level says otherwise: debug, info, warning, error, critical or none",
        key="log.level",
        flag=True,
        rabbitmq="log.default.level",
        unset="info",
    )
    log_connection_level: str | None = setting(
        kinds.LEVEL,
        None,
        "the level for what happens to connections",
        key="log.connection.level",
        rabbitmq="log.connection.level",
        unset="log.level",
    )
    log_channel_level: str | None = setting(
        kinds.LEVEL,
        None,
        "the level for errors of channels",
        key="log.channel.level",
        rabbitmq="log.channel.level",
        unset="log.level",
    )
    log_queue_level: str | None = setting(
        kinds.LEVEL,
        None,
        "the level for queues, exchanges and what is declared and deleted",
        key="log.queue.level",
        rabbitmq="log.queue.level",
        unset="log.level",
    )
    log_federation_level: str | None = setting(
        kinds.LEVEL,
        None,
        "the level for federation",
        key="log.federation.level",
        rabbitmq="log.federation.level",
        unset="log.level",
        planned=FEDERATION,
    )
    log_console: bool = setting(
        kinds.BOOLEAN, True, "log to the console", key="log.console.enabled", flag=True, rabbitmq="log.console"
    )
    log_console_level: str | None = setting(
        kinds.LEVEL,
        None,
        "what the console is to show at all",
        key="log.console.level",
        rabbitmq="log.console.level",
        unset="log.level",
    )
    log_console_formatter: str = setting(
        kinds.one_of("plaintext", "json"),
        "plaintext",
        "how the console is written",
        key="log.console.formatter",
        flag=True,
        rabbitmq="log.console.formatter",
    )
    log_console_stdio: str = setting(
        kinds.one_of("stderr", "stdout"),
        "stderr",
        "where the console is",
        key="log.console.stdio",
        rabbitmq="log.console.stdio",
    )
    log_file: Path | None = setting(
        kinds.LOG_FILE,
        None,
        "log to this file as well, which SIGHUP opens anew",
        key="log.file.path",
        flag=True,
        rabbitmq="log.file",
    )
    log_dir: Path | None = setting(
        kinds.FOLDER,
        None,
        "the folder of a log file with a relative path",
        key="log.dir",
        rabbitmq="log.dir",
        unset="the current folder",
    )
    log_file_level: str | None = setting(
        kinds.LEVEL,
        None,
        "what the file is to hold at all",
        key="log.file.level",
        rabbitmq="log.file.level",
        unset="log.level",
    )
    log_file_formatter: str = setting(
        kinds.one_of("plaintext", "json"),
        "plaintext",
        "how the file is written",
        key="log.file.formatter",
        rabbitmq="log.file.formatter",
    )
    log_file_rotation_size: int | None = setting(
        kinds.OPTIONAL_SIZE,
        None,
        "begin a new file when this one would become larger",
        key="log.file.rotation.size",
        rabbitmq="log.file.rotation.size",
    )
    log_file_rotation_date: str | None = setting(
        kinds.ROTATION,
        None,
        "begin a new file at these times: $D0 each day at 0, $W5D16 on Fridays at 16, $M1D0 on each 1st",
        key="log.file.rotation.date",
        rabbitmq="log.file.rotation.date",
    )
    log_file_rotation_count: int = setting(
        kinds.COUNT,
        10,
        "how many older files are kept",
        key="log.file.rotation.count",
        rabbitmq="log.file.rotation.count",
    )
