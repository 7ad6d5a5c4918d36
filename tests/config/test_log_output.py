"""The log: where it goes, its two forms, and what each level shows of each category."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from leveret.server.configuration import configure
from leveret.server.log_output import CannotLog, LogOutput
from leveret.server.settings import Settings

TIME = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}\+00:00"
LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}
LOGGERS = {
    "default": "leveret.store",
    "connection": "leveret.connection",
    "channel": "leveret.channel",
    "queue": "leveret.queue",
}


@pytest.fixture
def output() -> Iterator[LogOutput]:
    """A log of this process, which leaves the levels of the loggers as they were."""
    loggers = [
        logging.getLogger(name) for name in ("leveret", *(f"leveret.{name}" for name in LOGGERS), "leveret.federation")
    ]
    before = [logger.level for logger in loggers]
    result = LogOutput()
    yield result
    result.close()
    for logger, level in zip(loggers, before, strict=True):
        logger.setLevel(level)


Shown = Callable[..., list[str]]


@pytest.fixture
def shown(output: LogOutput, capfd: pytest.CaptureFixture[str]) -> Shown:
    """What the console shows of a line for each category and level, with these settings."""

    def show(**values: str) -> list[str]:
        output.apply(settings(**values))
        for category, name in LOGGERS.items():
            for level, number in LEVELS.items():
                logging.getLogger(name).log(number, "%s.%s", category, level)
        return [line.split(" ")[-1] for line in capfd.readouterr().err.splitlines()]

    return show


def settings(**values: str) -> Settings:
    return configure(values).settings


def lines(*categories: str, at_least: str) -> set[str]:
    return {f"{each}.{level}" for each in categories for level in LEVELS if LEVELS[level] >= LEVELS[at_least]}


ALL = tuple(LOGGERS)
OTHERS = ("default", "channel", "queue")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, lines(*ALL, at_least="info")),
        ({"log_level": "debug"}, lines(*ALL, at_least="debug")),
        ({"log_level": "error"}, lines(*ALL, at_least="error")),
        ({"log_level": "none"}, set()),
        ({"log_console_level": "debug"}, lines(*ALL, at_least="debug")),
        ({"log_console_level": "warning"}, lines(*ALL, at_least="warning")),
        ({"log_level": "debug", "log_console_level": "warning"}, lines(*ALL, at_least="warning")),
        ({"log_level": "error", "log_console_level": "debug"}, lines(*ALL, at_least="error")),
        (
            {"log_connection_level": "debug"},
            lines("connection", at_least="debug") | lines(*OTHERS, at_least="info"),
        ),
        (
            {"log_connection_level": "error"},
            lines("connection", at_least="error") | lines(*OTHERS, at_least="info"),
        ),
        (
            {"log_level": "error", "log_queue_level": "debug", "log_connection_level": "none"},
            lines("queue", at_least="debug") | lines("default", "channel", at_least="error"),
        ),
        (
            {"log_connection_level": "debug", "log_console_level": "warning"},
            lines(*ALL, at_least="warning"),
        ),
        ({"log_console": "false"}, set()),
    ],
)
def test_levels(shown: Shown, values: dict[str, str], expected: set[str]) -> None:
    assert set(shown(**values)) == expected


def test_what_nobody_shows_is_not_even_formatted(output: LogOutput) -> None:
    output.apply(settings(log_level="warning", log_queue_level="debug"))
    assert not logging.getLogger("leveret.connection").isEnabledFor(logging.INFO)
    assert logging.getLogger("leveret.queue").isEnabledFor(logging.DEBUG)
    output.apply(settings(log_console="false", log_level="none"))
    assert not logging.getLogger("leveret.queue").isEnabledFor(logging.CRITICAL)


def test_each_output_has_its_own_level_and_form(
    output: LogOutput, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "deeper" / "a.log"
    output.apply(
        settings(log_file=str(path), log_file_level="debug", log_file_formatter="json", log_console_level="error")
    )
    assert output.names == ("<stderr>", str(path))
    logging.getLogger("leveret").debug("first")
    logging.getLogger("leveret.queue").error("second")
    assert [json.loads(line)["msg"] for line in path.read_text().splitlines()] == ["first", "second"]
    assert [line.split(" ")[-1] for line in capfd.readouterr().err.splitlines()] == ["second"]


def test_a_relative_file_is_in_the_folder_of_the_log(output: LogOutput, tmp_path: Path) -> None:
    output.apply(settings(log_file="a.log", log_dir=str(tmp_path), log_console="false"))
    logging.getLogger("leveret").info("here")
    assert (tmp_path / "a.log").read_text().endswith(" [info] here\n")


def test_a_file_that_was_moved_is_opened_anew(output: LogOutput, tmp_path: Path) -> None:
    path, moved = tmp_path / "a.log", tmp_path / "a.log.1"
    wanted = settings(log_file=str(path), log_console="false")
    output.apply(wanted)
    logging.getLogger("leveret").info("first")
    path.rename(moved)
    logging.getLogger("leveret").info("second")
    output.apply(wanted)
    logging.getLogger("leveret").info("third")
    assert [line.split(" ")[-1] for line in moved.read_text().splitlines()] == ["first", "second"]
    assert [line.split(" ")[-1] for line in path.read_text().splitlines()] == ["third"]


def test_a_file_that_cannot_be_opened_leaves_the_log_as_it_was(
    output: LogOutput, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    output.apply(settings())
    (tmp_path / "file").write_text("")
    with pytest.raises(CannotLog, match=r"^cannot log to .*/file/a\.log: "):
        output.apply(settings(log_file=str(tmp_path / "file" / "a.log"), log_level="none"))
    logging.getLogger("leveret").info("still")
    assert capfd.readouterr().err.endswith(" [info] still\n")


def test_text(output: LogOutput, capfd: pytest.CaptureFixture[str]) -> None:
    output.apply(settings())
    logging.getLogger("leveret").warning("a %s and\n[error] a forged line\x1b[0m\u2028\ud800", "word")
    line = capfd.readouterr().err
    assert re.fullmatch(rf"{TIME} \[warning\] a word and\\n\[error\] a forged line\\x1b\[0m\\u2028\\ud800\n", line)


def test_a_traceback_stands_under_its_line(output: LogOutput, capfd: pytest.CaptureFixture[str]) -> None:
    output.apply(settings())
    try:
        raise KeyError("lost")
    except KeyError:
        logging.getLogger("leveret").exception("it failed")
    first, second, *_, last = capfd.readouterr().err.splitlines()
    assert first.endswith("[error] it failed")
    assert (second, last) == ("Traceback (most recent call last):", "KeyError: 'lost'")


def test_json(output: LogOutput, capfd: pytest.CaptureFixture[str]) -> None:
    output.apply(settings(log_console_formatter="json", log_console_stdio="stdout"))
    assert output.names == ("<stdout>",)
    extra = {"fields": {"user": "ann", "duration_ms": 5}}
    logging.getLogger("leveret.connection").info("a\nb\udcff", extra=extra)
    try:
        raise KeyError("lost")
    except KeyError:
        logging.getLogger("leveret").exception("it failed")
    first, second = map(json.loads, capfd.readouterr().out.splitlines())
    assert re.fullmatch(TIME, first.pop("time"))
    assert first.pop("pid") > 0
    assert first == {"level": "info", "msg": "a\nb\ufffd", "category": "connection", "user": "ann", "duration_ms": 5}
    assert (second["level"], second["category"]) == ("error", "default")
    assert "KeyError: 'lost'" in second["exception"]


def test_libraries_are_heard_when_they_warn(output: LogOutput, capfd: pytest.CaptureFixture[str]) -> None:
    output.apply(settings(log_level="debug"))
    logging.getLogger("some.library").info("chatter")
    logging.getLogger("some.library").warning("trouble")
    assert [line.split(" ")[-1] for line in capfd.readouterr().err.splitlines()] == ["trouble"]
