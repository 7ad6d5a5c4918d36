"""Where the log goes and what of it: the console, a file, or both, as text or JSON, by levels.

RabbitMQ's categories are the loggers beneath `leveret`: connection, channel, queue, federation; everything else is
`default`. A line is shown by an output if its level is at least that of its category and that of the output, as far as
these are configured; if neither is, at least info. The last lines are kept in memory besides, by the levels of the
categories (`recent_log`). Loggers have the lowest level that any output needs, so what nobody wants to see is not even
formatted, and a message's way has no logging in it at all.

Clients choose names that appear in lines. So control characters are escaped: nobody can forge a line.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, TextIO

from leveret.amqp.text import well_formed
from leveret.server.log_settings import LogSettings
from leveret.server.recent_log import RecentLog
from leveret.server.setting_kinds import LEVELS

ROOT: Final = "leveret"
DEFAULT: Final = "default"
CATEGORIES: Final = ("connection", "channel", "queue", "federation")
INFO: Final = LEVELS["info"]
NOTHING: Final = LEVELS["none"]
CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
LEVEL_NAMES: Final = {10: "debug", 20: "info", 25: "notice", 30: "warning", 40: "error", 50: "critical"}


class CannotLog(Exception):
    """A log file that can't be opened; the text is for the operator."""


class TextFormatter(logging.Formatter):
    """RabbitMQ's plain text, without Erlang's process: time, level, message; a traceback on lines of its own."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, and the lines of the traceback if there is one."""
        line = f"{time_of(record)} [{level_of(record)}] {escaped(record.getMessage())}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class JsonFormatter(logging.Formatter):
    """An object on each line: time, level and msg as RabbitMQ has them, the category, and what the line is about."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        parts: dict[str, object] = {
            "time": time_of(record),
            "level": level_of(record),
            "msg": record.getMessage(),
            "category": category_of(record.name),
            "pid": record.process,
        }
        parts.update(getattr(record, "fields", {}))
        if record.exc_info:
            parts["exception"] = self.formatException(record.exc_info)
        return json.dumps({name: well_formed(part) if isinstance(part, str) else part for name, part in parts.items()})


class Levels(logging.Filter):
    """What one output shows: the lowest level of each category."""

    def __init__(self, lowest: dict[str, int]) -> None:
        super().__init__()
        self.lowest: Final = lowest

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a line is shown."""
        return record.levelno >= self.lowest[category_of(record.name)]


class LogOutput:
    """The log of this process. `apply` may be called again; what can't be opened then leaves everything as it is."""

    def __init__(self) -> None:
        self.names: tuple[str, ...] = ()  # of the outputs, as RabbitMQ lists its log files
        self.recent: Final = RecentLog(level_of)
        self.recent.setFormatter(TextFormatter())
        self._handlers: list[logging.Handler] = []

    def apply(self, settings: LogSettings) -> None:
        """Log as the settings say, to files that are opened anew. Raises CannotLog."""
        handlers: list[logging.Handler] = []
        names = []
        if settings.log_console:
            stream = sys.stdout if settings.log_console_stdio == "stdout" else sys.stderr
            handlers.append(handler(stream, settings, settings.log_console_level, settings.log_console_formatter))
            names.append(f"<{settings.log_console_stdio}>")
        path = log_file(settings)
        if path is not None:
            handlers.append(handler(opened(path), settings, settings.log_file_level, settings.log_file_formatter))
            names.append(str(path.absolute()))
        self.recent.filters[:] = [Levels(lowest_levels(settings, None))]
        handlers.append(self.recent)
        self._replace(handlers)
        self.names = tuple(names)
        for category in (*CATEGORIES, DEFAULT):
            lowest = [each.lowest[category] for one in handlers for each in one.filters if isinstance(each, Levels)]
            logger = logging.getLogger(ROOT if category == DEFAULT else f"{ROOT}.{category}")
            logger.setLevel(min(lowest, default=NOTHING))

    def close(self) -> None:
        """End the log, and close its file."""
        self._replace([])

    def _replace(self, handlers: list[logging.Handler]) -> None:
        """Log to these. They hang on the root, so that libraries are heard too when they warn."""
        root = logging.getLogger()
        for added in handlers:
            root.addHandler(added)
        for old in self._handlers:
            if old not in handlers:
                root.removeHandler(old)
            if isinstance(old, logging.StreamHandler) and old.stream not in (sys.stdout, sys.stderr):
                old.stream.close()
        self._handlers = handlers


def handler(stream: TextIO, settings: LogSettings, level: str | None, formatter: str) -> logging.Handler:
    """An output with its form and its levels."""
    result = logging.StreamHandler(stream)
    result.setFormatter(JsonFormatter() if formatter == "json" else TextFormatter())
    result.addFilter(Levels(lowest_levels(settings, level)))
    return result


def lowest_levels(settings: LogSettings, output: str | None) -> dict[str, int]:
    """From which level on an output shows what, by category."""
    own = {
        "connection": settings.log_connection_level,
        "channel": settings.log_channel_level,
        "queue": settings.log_queue_level,
        "federation": settings.log_federation_level,
    }
    result = {}
    for category in (*CATEGORIES, DEFAULT):
        configured = [level for level in (own.get(category) or settings.log_level, output) if level is not None]
        result[category] = max((LEVELS[level] for level in configured), default=INFO)
    return result


def log_file(settings: LogSettings) -> Path | None:
    """The log file, if there is one."""
    if settings.log_file is None or settings.log_dir is None:
        return settings.log_file
    return settings.log_dir / settings.log_file


def opened(path: Path) -> TextIO:
    """A log file, to which is added; its folder is made if need be. Raises CannotLog."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("a", encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise CannotLog(f"cannot log to {path}: {error.strerror}") from None


def category_of(name: str) -> str:
    """RabbitMQ's category of a logger, by its name."""
    parts = name.split(".", 2)
    return parts[1] if len(parts) > 1 and parts[0] == ROOT and parts[1] in CATEGORIES else DEFAULT


def time_of(record: logging.LogRecord) -> str:
    """The time of a line as RabbitMQ writes it, in UTC, to the microsecond."""
    return datetime.fromtimestamp(record.created, UTC).isoformat(" ", "microseconds")


def level_of(record: logging.LogRecord) -> str:
    """The level of a line by RabbitMQ's name."""
    return LEVEL_NAMES.get(record.levelno, record.levelname.lower())


def escaped(text: str) -> str:
    """A text on one line, whatever is in it."""
    return CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)
