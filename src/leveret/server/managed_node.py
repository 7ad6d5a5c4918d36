"""What the HTTP API and the metrics see of a server's process.

The classes of it are loaded late, as all of the HTTP API is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from leveret.server.alarms import AlarmWatch
from leveret.server.all_listeners import AllListeners
from leveret.server.recent_log import RecentLog
from leveret.server.reload import Reload
from leveret.server.settings import Settings
from leveret.server.tick import Tick

if TYPE_CHECKING:
    from leveret.management.node import HttpOptions, Node


def managed_node(
    settings: Settings, tick: Tick, listeners: AllListeners, watch: AlarmWatch, reload: Reload, recent_log: RecentLog
) -> Node:
    """The node, which is watched from now on if there are to be rates."""
    from leveret.management.node import Node
    from leveret.management.rates import Rates

    http = http_options(settings)
    sampled = http.rates_mode != "none" and not http.without_statistics
    rates = Rates(tick.broker, settings.collect_statistics_interval / 1000 if sampled else None)
    return Node(
        tick.broker,
        tick.begin,
        settings.folder,
        listeners.urls,
        watch.limits,
        rates,
        reload.files,
        listeners.certificate_files,
        recent_log,
        settings.prometheus_path,
        settings.prometheus_return_per_object_metrics,
        settings.prometheus_authentication,
        http,
    )


def http_options(settings: Settings) -> HttpOptions:
    """How the HTTP API is to be. RabbitMQ's detailed rates are not here."""
    from leveret.management.node import HttpOptions

    prefix = settings.management_path_prefix.strip("/")
    rates_mode = "none" if settings.management_rates_mode == "none" else "basic"
    return HttpOptions(
        f"/{prefix}" if prefix else "",
        rates_mode,
        settings.management_disable_stats,
        settings.management_enable_queue_totals,
        settings.management_max_body_size,
    )
