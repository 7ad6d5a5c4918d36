"""What SIGHUP does: the configuration is made anew, and what can change in a running broker does.

The log's file is opened anew even if nothing has changed, so that the system can rotate it. A configuration that is
not right, or a log that can't be opened, changes nothing: the broker goes on as before and says why.
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
    """Takes another configuration for a running broker. `also` is called with the settings that are then in effect.

    Whoever keeps files open or read, such as certificates, adds to `also`.
    """

    def __init__(self, settings: Settings, output: LogOutput, configure: Callable[[], Configuration]) -> None:
        self.settings = settings
        self.also: Final[list[Callable[[Settings], None]]] = []
        self._output: Final = output
        self._configure: Final = configure

    def reload(self) -> None:
        """Take what can be taken, and say what waits for the next start."""
        try:
            configuration = self._configure()
            self._output.apply(configuration.settings)
        except InvalidConfiguration as error:
            for line in error.errors:
                log.error("%s", line)
            log.error("the configuration is not right and is left as it was")
            return
        except CannotLog as error:
            log.error("%s; the configuration is left as it was", error)
            return
        for warning in configuration.warnings:
            log.warning("%s", warning)
        self.settings, waiting = changed(self.settings, configuration.settings)
        for name in waiting:
            log.warning("%s: %s has changed and waits for a restart", configuration.sources[name], SETTINGS[name].key)
        for action in self.also:
            action(self.settings)
        log.info("the configuration is loaded again")


def changed(before: Settings, after: Settings) -> tuple[Settings, list[str]]:
    """The settings that are in effect then, and the names of those that would have changed with a restart alone."""
    different = {name for name in SETTINGS if getattr(before, name) != getattr(after, name)}
    taken = {name: getattr(after, name) for name in different if SETTINGS[name].reloads}
    return replace(before, **taken), [name for name in SETTINGS if name in different and name not in taken]
