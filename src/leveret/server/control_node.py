"""The requests of the control socket that change the node until its next start: its limits and its log; and
what else is asked of the node.

RabbitMQ's commands for this leave the configuration as it is, and so do these.
"""

from __future__ import annotations

from typing import Final

from leveret.management.certificate_expiration import CertificateFiles, expiring_listeners
from leveret.server.alarms import AlarmWatch
from leveret.server.control_request import BadRequest, ChangeRefused, Operation, Request, text_of
from leveret.server.limits import octets_of, parse_size
from leveret.server.log_output import CannotLog
from leveret.server.reload import Reload
from leveret.server.setting_kinds import LEVELS
from leveret.server.settings import SETTINGS

LEVEL_NAMES: Final = ("debug", "info", "warning", "error", "critical", "none")


class NodeChanges:
    """Makes such changes in a running node."""

    def __init__(self, watch: AlarmWatch, reload: Reload, node: str, certificate_files: CertificateFiles) -> None:
        self._watch: Final = watch
        self._reload: Final = reload
        self._node: Final = node
        self._certificate_files: Final = certificate_files
        self.commands: Final[dict[str, Operation]] = {
            "set_vm_memory_high_watermark": self._set_memory_limit,
            "set_disk_free_limit": self._set_disk_free_limit,
            "set_log_level": self._set_log_level,
            "rotate_logs": self._rotate_logs,
            "environment": self._environment,
            "check_certificate_expiration": self._expiring_certificates,
        }

    def _set_memory_limit(self, request: Request) -> dict[str, object]:
        """From now on so much memory may be in use."""
        self._watch.memory_limit = self._limit(request)
        self._watch.check()
        return {"limit": self._watch.memory_limit}

    def _set_disk_free_limit(self, request: Request) -> dict[str, object]:
        """From now on so much has to be free for the data folder."""
        self._watch.disk_free_limit = self._limit(request)
        self._watch.check()
        return {"limit": self._watch.disk_free_limit}

    def _limit(self, request: Request) -> int:
        """A size, or a share of the memory that there is."""
        share = request.get("fraction")
        if isinstance(share, int | float) and not isinstance(share, bool):
            return octets_of(float(share), self._reload.settings.memory_total)
        try:
            return parse_size(text_of(request, "size"))
        except ValueError as error:
            raise BadRequest(str(error)) from None

    def _set_log_level(self, request: Request) -> dict[str, object]:
        """From now on this is logged, in every category and by every output."""
        level = text_of(request, "log_level")
        if level not in LEVELS:
            raise ChangeRefused(f"level {level} is not supported. Try one of {', '.join(LEVEL_NAMES)}")
        self._log_anew(level)
        return {}

    def _rotate_logs(self, _request: Request) -> dict[str, object]:
        """The log's file is opened anew."""
        self._log_anew(None)
        return {}

    def _log_anew(self, level: str | None) -> None:
        try:
            self._reload.log_anew(level)
        except CannotLog as error:
            raise ChangeRefused(str(error)) from None

    def _environment(self, _request: Request) -> dict[str, object]:
        """The settings in effect by their keys, as texts; passwords are not shown."""
        settings = self._reload.settings
        shown = {setting.key: setting.shown(getattr(settings, name)) for name, setting in SETTINGS.items()}
        return {"environment": shown}

    def _expiring_certificates(self, request: Request) -> dict[str, object]:
        """The listeners one of whose certificates ends within so many seconds."""
        seconds = request.get("seconds")
        if not isinstance(seconds, int) or isinstance(seconds, bool):
            raise BadRequest("seconds is a number")
        return {"expired": expiring_listeners(self._node, self._certificate_files, seconds)}
