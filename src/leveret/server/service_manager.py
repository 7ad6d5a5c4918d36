"""What systemd offers a service: to be told how it goes, to watch over it, and to hand it listening sockets.

All of it is by environment variables (sd_notify(3), sd_listen_fds(3)), which are taken away here, so that no program
that the broker may start takes them for its own. Without them nothing happens.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import MutableMapping
from typing import Final, TypeAlias

HandedSockets: TypeAlias = dict[str, list[socket.socket]]  # by their names; who takes some takes them out

log: Final = logging.getLogger("leveret")

FIRST_DESCRIPTOR: Final = 3  # of the sockets that are handed over
UNNAMED: Final = ("", "unknown", "connection", "stored")  # systemd's names for sockets that were given none


class ServiceManager:
    """Tells systemd, if it is there, that the broker is ready, that it stops, and that it lives."""

    def __init__(self, environment: MutableMapping[str, str]) -> None:
        self._address: Final = environment.pop("NOTIFY_SOCKET", "")
        interval = environment.pop("WATCHDOG_USEC", "")
        meant_for = environment.pop("WATCHDOG_PID", "")
        for_us = meant_for in ("", str(os.getpid()))
        self._watchdog: Final = int(interval) / 1e6 if for_us and interval.isdecimal() else 0.0  # seconds

    def tell(self, *lines: str) -> None:
        """Tell systemd, in its own words, such as READY=1. It may not be there; that stops nobody."""
        if not self._address:
            return
        # A leading @ stands for the null octet with which the name of an abstract socket begins.
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
                sock.setblocking(False)
                sock.sendto("\n".join(lines).encode(), address)
        except OSError as error:
            log.debug("cannot tell systemd %s: %s", " ".join(lines), error.strerror or error)

    def keep_watch(self, loop: asyncio.AbstractEventLoop) -> None:
        """Tell systemd from now on, if it wants that, that the event loop goes round: twice in the time it allows."""
        if self._watchdog:
            self.tell("WATCHDOG=1")
            loop.call_later(self._watchdog / 2, self.keep_watch, loop)


def handed_sockets(environment: MutableMapping[str, str]) -> HandedSockets:
    """The listening sockets that systemd has opened for this process, by the names in its .socket units.

    The name of those without one is empty.
    """
    meant_for, count = environment.pop("LISTEN_PID", ""), environment.pop("LISTEN_FDS", "")
    names = environment.pop("LISTEN_FDNAMES", "").split(":")
    sockets: HandedSockets = {}
    if meant_for == str(os.getpid()) and count.isdecimal():
        for number in range(int(count)):
            name = names[number] if number < len(names) else ""
            sock = socket.socket(fileno=FIRST_DESCRIPTOR + number)
            sock.set_inheritable(False)
            sockets.setdefault("" if name in UNNAMED or name.endswith(".socket") else name, []).append(sock)
    return sockets
