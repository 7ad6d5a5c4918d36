"""What SIGHUP does: the configuration is made anew, and what can change in a running broker does.

The log's file is opened anew even if nothing has changed, so that the system can rotate it. A configuration that is
not right changes nothing else, and a log that can't be opened nothing at all: the broker goes on and says why.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from leveret.server.configuration import Configuration, InvalidConfiguration
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
        self._output: Final = output
        self._configure: Final = configure

    def files(self) -> tuple[list[str], list[str]]:
        """The files of the configuration, and those of the log."""
        return [str(path.absolute()) for path in self._files], list(self._output.names)

    def reload(self) -> None:
        """Take what can be taken, and say what waits for the next start."""
        try:
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
            log.warning("%s: %s has changed and waits for a restart", configuration.sources[name], SETTINGS[name].key)
        for action in self.also:
            action(self.settings)
        log.info("the configuration is loaded again")

    def _log_by(self, settings: Settings) -> bool:
        """Log as these settings say, if that is possible."""
        try:
            self._output.apply(settings)
        except CannotLog as error:
            log.error("%s; the configuration is left as it was", error)
            return False
        return True


def changed(before: Settings, after: Settings) -> tuple[Settings, list[str]]:
    """The settings that are in effect then, and the names of those that would have changed with a restart alone."""
    different = {name for name in SETTINGS if getattr(before, name) != getattr(after, name)}
    taken = {name: getattr(after, name) for name in different if SETTINGS[name].reloads}
    return replace(before, **taken), [name for name in SETTINGS if name in different and name not in taken]
