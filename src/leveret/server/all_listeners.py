"""Everything that a broker listens on for clients: AMQP, the HTTP API and the metrics."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from leveret.management.certificate_expiration import CertificateFiles
from leveret.server.amqp_listeners import AmqpListeners
from leveret.server.from_settings import management_hosts, metrics_hosts
from leveret.server.management import API, METRICS, HttpListeners, management_tls, metrics_tls
from leveret.server.service_manager import HandedSockets
from leveret.server.settings import Settings
from leveret.server.tick import Tick

if TYPE_CHECKING:
    from leveret.management.node import Node


class AllListeners:
    """The listeners of one server. `urls` has where each is once they are open, and `certificate_files` their TLS."""

    def __init__(self, tick: Tick, settings: Settings) -> None:
        self.amqp: Final = AmqpListeners(tick, settings)
        self._management: Final = HttpListeners(API)
        self._metrics: Final = HttpListeners(METRICS)
        self._settings: Final = settings
        self.urls: list[str] = []
        self.certificate_files: CertificateFiles = {}

    async def open(self, handed: HandedSockets) -> None:
        """Listen where the settings say so; takes the sockets that it uses out of `handed`.

        AMQP is served from here on, HTTP from `serve_http` on. Raises CannotListen; some listen then, until `close`.
        """
        settings, amqp, management, metrics = self._settings, self.amqp, self._management, self._metrics
        await amqp.open(handed)
        api_hosts = management_hosts(settings)
        await management.open(api_hosts, settings.management_port, management_tls(settings), handed)
        await metrics.open(metrics_hosts(settings), settings.prometheus_port, metrics_tls(settings), handed)
        self.urls = amqp.urls() + management.urls() + metrics.urls()
        self.certificate_files = amqp.certificate_files() | management.certificate_files() | metrics.certificate_files()

    def serve_http(self, make_node: Callable[[], Node]) -> None:
        """Answer for the node that is made when the code of HTTP is there, which is soon."""
        self._management.serve(make_node)
        self._metrics.serve(make_node)

    def main_urls(self) -> list[str]:
        """The first of each kind."""
        return [*self.amqp.urls()[:1], *self._management.urls()[:1], *self._metrics.urls()[:1]]

    def reload(self, settings: Settings) -> None:
        """Read the certificates again."""
        for listeners in (self.amqp, self._management, self._metrics):
            listeners.reload(settings)

    async def close(self) -> None:
        """Listen no more for AMQP, finish what is being answered by HTTP, and listen no more for that either."""
        self.amqp.close()
        await asyncio.gather(self._management.close(), self._metrics.close())
