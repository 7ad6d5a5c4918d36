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
    """The log."""

    log_level: str | None = setting(
        kinds.LEVEL,
        None,
        "what is logged, where no other level says otherwise: debug, info, warning, error, critical or none",
        key="log.level",
        flag=True,
        rabbitmq="log.default.level",
        unset="info",
        reloads=True,
    )
    log_connection_level: str | None = setting(
        kinds.LEVEL,
        None,
        "the level for what happens to connections",
        key="log.connection.level",
        rabbitmq="log.connection.level",
        unset="log.level",
        reloads=True,
    )
    log_channel_level: str | None = setting(
        kinds.LEVEL,
        None,
        "the level for errors of channels",
        key="log.channel.level",
        rabbitmq="log.channel.level",
        unset="log.level",
        reloads=True,
    )
    log_queue_level: str | None = setting(
        kinds.LEVEL,
        None,
        "the level for queues, exchanges and what is declared and deleted",
        key="log.queue.level",
        rabbitmq="log.queue.level",
        unset="log.level",
        reloads=True,
    )
    log_federation_level: str | None = setting(
        kinds.LEVEL,
        None,
        "the level for federation",
        key="log.federation.level",
        rabbitmq="log.federation.level",
        unset="log.level",
        planned=FEDERATION,
        reloads=True,
    )
    log_console: bool = setting(
        kinds.BOOLEAN,
        True,
        "log to the console",
        key="log.console.enabled",
        flag=True,
        rabbitmq="log.console",
        reloads=True,
    )
    log_console_level: str | None = setting(
        kinds.LEVEL,
        None,
        "what the console is to show at all",
        key="log.console.level",
        rabbitmq="log.console.level",
        unset="log.level",
        reloads=True,
    )
    log_console_formatter: str = setting(
        kinds.one_of("plaintext", "json"),
        "plaintext",
        "how the console is written",
        key="log.console.formatter",
        flag=True,
        rabbitmq="log.console.formatter",
        reloads=True,
    )
    log_console_stdio: str = setting(
        kinds.one_of("stderr", "stdout"),
        "stderr",
        "where the console is",
        key="log.console.stdio",
        rabbitmq="log.console.stdio",
        reloads=True,
    )
    log_file: Path | None = setting(
        kinds.LOG_FILE,
        None,
        "log to this file as well, which SIGHUP opens anew",
        key="log.file.path",
        flag=True,
        rabbitmq="log.file",
        reloads=True,
    )
    log_dir: Path | None = setting(
        kinds.FOLDER,
        None,
        "the folder of a log file with a relative path",
        key="log.dir",
        rabbitmq="log.dir",
        environment="RABBITMQ_LOG_BASE",
        unset="the current folder",
        reloads=True,
    )
    log_file_level: str | None = setting(
        kinds.LEVEL,
        None,
        "what the file is to hold at all",
        key="log.file.level",
        rabbitmq="log.file.level",
        unset="log.level",
        reloads=True,
    )
    log_file_formatter: str = setting(
        kinds.one_of("plaintext", "json"),
        "plaintext",
        "how the file is written",
        key="log.file.formatter",
        rabbitmq="log.file.formatter",
        reloads=True,
    )
