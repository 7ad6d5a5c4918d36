"""Where RabbitMQ's HTTP listeners are, as far as rabbitmq.conf leaves that to be understood.

Lines for a listener with TLS bring it about, on its usual port if they name none; and if there are none for the plain
one, there is no such: who has configured TLS alone does not want passwords to go over the network in the clear. The
form with `management.listener`, which is that of RabbitMQ 3.7, has one listener that is plain or not.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from leveret.server.reading import Reading
from leveret.server.setting_kinds import BOOLEAN
from leveret.server.settings import SETTINGS

NO_PORT: Final = "none"
TLS_PORTS: Final = {"management": "15671", "prometheus": "15691"}
LISTENER_HAS_TLS: Final = "management.listener.ssl"
LISTENER_PORT: Final = "management.listener.port"


def understand_listeners(lines: Iterable[tuple[str, str, str]], reading: Reading) -> None:
    """Take the ports that follow from lines, which are keys with their values and places, and are not in them."""
    values = {key: (value, place) for key, value, place in lines}
    for part, usual in TLS_PORTS.items():
        encrypted = [(key, place) for key, (_, place) in values.items() if key.startswith(f"{part}.ssl.")]
        if not encrypted:
            continue
        key, place = encrypted[0]
        if f"{part}.ssl.port" not in values:
            reading.take(SETTINGS[f"{part}_tls_port"], usual, place, key)
        if not any(key.startswith((f"{part}.tcp.", f"{part}.listener.")) for key in values):
            reading.take(SETTINGS[f"{part}_port"], NO_PORT, place, key)
    if LISTENER_HAS_TLS in values:
        understand_listener(values, reading)


def understand_listener(values: dict[str, tuple[str, str]], reading: Reading) -> None:
    """Take the one listener of `management.listener` for one with TLS, if it says so."""
    value, place = values[LISTENER_HAS_TLS]
    try:
        has_tls = BOOLEAN.parse(value)
    except ValueError as error:
        reading.errors.append(f"{place}: {LISTENER_HAS_TLS}: {error}")
        return
    if has_tls:
        port = values.get(LISTENER_PORT, (TLS_PORTS["management"], place))
        reading.take(SETTINGS["management_tls_port"], *port, LISTENER_PORT)
        if "management.tcp.port" not in values:
            reading.take(SETTINGS["management_port"], NO_PORT, place, LISTENER_HAS_TLS)
