"""What RabbitMQ has feature flags for, and which of its features it has deprecated.

All flags that hold here are enabled, and can't be turned off; what is deprecated there is permitted here.
Light, because leveretctl lists them.
"""

from __future__ import annotations

from typing import Final

FEATURE_FLAGS: Final = {
    "classic_queue_type_delivery_support": "Support for classic queue delivery reported as a queue type event",
    "detailed_queues_endpoint": "Add a detailed queues HTTP API endpoint. Reduce number of metrics in the default "
    "endpoint.",
    "direct_exchange_routing_v2": "v2 direct exchange routing implementation",
    "drop_unroutable_metric": "Count unroutable publishes to be dropped in stats",
    "empty_basic_get_metric": "Count AMQP `basic.get` on empty queues in stats",
    "feature_flags_v2": "Feature flags subsystem V2",
    "implicit_default_bindings": "Default bindings are now implicit, instead of being stored in the database",
    "listener_records_in_ets": "Store listener records in ETS instead of Mnesia",
    "message_containers": "Message containers.",
    "message_containers_deaths_v2": "Bug fix for dead letter cycle detection",
    "quorum_queue": "Support queues of type `quorum`",
    "tracking_records_in_ets": "Store tracking records in ETS instead of Mnesia",
    "user_limits": "Configure connection and channel limits for a user",
    "virtual_host_metadata": "Virtual host metadata (description, tags, etc)",
    "rabbitmq_4.0.0": "Allows rolling upgrades from 3.13.x to 4.0.x",
    "rabbitmq_4.1.0": "Allows rolling upgrades to 4.1.x",
    "rabbitmq_4.2.0": "Allows rolling upgrades to 4.2.x",
}
DEPRECATED: Final = {
    "global_qos": "Limits prefetch of a whole channel; permitted here for good",
    "queue_master_locator": "Chooses the node of a queue; means nothing on one node",
    "transient_nonexcl_queues": "Queues that are neither durable nor exclusive; permitted here for good",
}
TRANSIENT: Final = "transient_nonexcl_queues"
