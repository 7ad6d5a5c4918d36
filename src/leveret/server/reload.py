"""What SIGHUP does: the configuration is made anew, and what can change in a running broker does.

The log's file is opened anew even if nothing has changed, so that the system can rotate it. A configuration that is
not right changes nothing else, and a log that can't be opened nothing at all: the broker goes on and says why.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from leveret.server.configuration import DEFAULT, Configuration, InvalidConfiguration
from leveret.server.log_output import CannotLog, LogOutput
from leveret.server.settings import SETTINGS, Settings

log: Final = logging.getLogger("leveret")


class Reload:
    """The configuration that is in effect in a running broker, and how it takes another.

    What is in `also` is called with the settings that are in effect then. Whoever has read files that may have changed,
    such as certificates, adds to it.
    """

    def __init__(self, configuration: Configuration, output: LogOutput, configure: Callable[[], Configuration]) -> None:
        self.settings = configuration.settings
        self._files = configuration.files
        self.also: Final[list[Callable[[Settings], None]]] = []
        self._level: str | None = None  # asked for by leveretctl, until the configuration is read again
        self._output: Final = output
        self._configure: Final = configure

    def files(self) -> tuple[list[str], list[str]]:
        """The files of the configuration, and those of the log."""
        return [str(path.absolute()) for path in self._files], list(self._output.names)

    def reload(self) -> None:
        """Take what can be taken, and say what waits for the next start."""
        try:
            self._level = None
            configuration = self._configure()
        except InvalidConfiguration as error:
            self._log_by(self.settings)
            for line in error.errors:
                log.error("%s", line)
            log.error("the configuration is left as it was")
            return
        if not self._log_by(configuration.settings):
            return
        self._files = configuration.files
        for warning in configuration.warnings:
            log.warning("%s", warning)
        self.settings, waiting = changed(self.settings, configuration.settings)
        for name in waiting:
            source, key = configuration.sources[name], SETTINGS[name].key
            log.warning("%s%s has changed and waits for a restart", "" if source == DEFAULT else f"{source}: ", key)
        for action in self.also:
            action(self.settings)
        log.info("the configuration is loaded again")

    def log_anew(self, level: str | None) -> None:
        """Open the log's file anew, and if a level is given log by it alone until the next reload. Raises CannotLog."""
        level = level or self._level
        self._output.apply(self.settings if level is None else at_level(self.settings, level))
        self._level = level

    def _log_by(self, settings: Settings) -> bool:
        """Log as these settings say, if that is possible."""
        try:
            self._output.apply(settings)
        except CannotLog as error:
            log.error("%s; the configuration is left as it was", error)
            return False
        return True


def at_level(settings: Settings, level: str) -> Settings:
    """These settings with one level for all that is logged."""
    return replace(
        settings,
        log_level=level,
        log_connection_level=None,
        log_channel_level=None,
        log_queue_level=None,
        log_federation_level=None,
        log_console_level=None,
        log_file_level=None,
    )


def changed(before: Settings, after: Settings) -> tuple[Settings, list[str]]:
    """The settings that are in effect then, and the names of those that would have changed with a restart alone."""
    different = {name for name in SETTINGS if getattr(before, name) != getattr(after, name)}
    taken = {name: getattr(after, name) for name in different if SETTINGS[name].reloads}
    return replace(before, **taken), [name for name in SETTINGS if name in different and name not in taken]
