"""What RabbitMQ's old Python program rabbitmqadmin (3.10's) asks of the HTTP API, call by call.

The bodies are as it sends them: flags and counts as texts, the path's names repeated, nulls left out. Whoever has the
program runs it and sees that this is so; everybody else sends the same.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

SOURCE = "/definitions.json"  # stands for the file that is exported and imported
CONNECTION = "CONNECTION"  # stands for the name of a connection
ON, OFF = "true", "false"  # as it sends them


@dataclass(frozen=True)
class Asked:
    """A call, the request that it makes, and the answer: its status, and what is in its body and in what is printed."""

    line: str
    method: str
    path: str
    body: Any = ""
    status: int = 200
    has: tuple[str, ...] = ()
    said: str = ""
    code: int = 0
    given: str = ""  # on standard input


def declared(
    line: str, path: str, body: dict[str, object], kind: str = "", status: int = 201, method: str = "PUT"
) -> Asked:
    """Something is declared."""
    return Asked(f"declare {line}", method, path, body, status, said=f"{kind or line.split()[0]} declared")


def deleted(line: str, path: str) -> Asked:
    """Something is deleted."""
    return Asked(f"delete {line}", "DELETE", path, "", 204, said=f"{line.removeprefix('-V shop ').split()[0]} deleted")


def listed(line: str, path: str, *has: str) -> Asked:
    """Something is listed, with this among it."""
    return Asked(f"list {line}", "GET", path, has=has)


IN_SHOP = {"vhost": "shop"}
QUEUE: dict[str, object] = {"auto_delete": OFF, "durable": ON, "arguments": {}}
NAMED_JOE: dict[str, object] = {"user": "joe", "vhost": "shop", "configure": ".*", "write": "^o", "read": ".*"}
MESSAGE = {"payload_encoding": "string", "properties": {}}
GET = {"count": "1", "ackmode": "ack_requeue_true", "encoding": "auto"}

DECLARE = [
    declared("vhost name=shop", "/api/vhosts/shop", {"name": "shop", "vhost": "/"}),
    declared(
        "user name=joe password=secret tags=monitoring",
        "/api/users/joe",
        {"name": "joe", "password": "secret", "tags": "monitoring", "vhost": "/"},
    ),
    declared("permission vhost=shop user=joe configure=.* write=^o read=.*", "/api/permissions/shop/joe", NAMED_JOE),
    declared(
        "permission vhost=shop user=guest configure=.* write=.* read=.*",
        "/api/permissions/shop/guest",
        {**NAMED_JOE, "user": "guest", "write": ".*"},
        status=204,
    ),
    declared(
        "exchange --vhost=shop name=orders type=topic",
        "/api/exchanges/shop/orders",
        {**QUEUE, **IN_SHOP, "internal": OFF, "name": "orders", "type": "topic"},
    ),
    declared("queue -V shop name=tasks durable=true", "/api/queues/shop/tasks", {**QUEUE, **IN_SHOP, "name": "tasks"}),
    declared("queue -V shop name=tasks", "/api/queues/shop/tasks", {**QUEUE, **IN_SHOP, "name": "tasks"}, status=204),
    declared(
        "queue -V shop name=safe queue_type=quorum",
        "/api/queues/shop/safe",
        {**QUEUE, **IN_SHOP, "name": "safe", "queue_type": "quorum", "arguments": {"x-queue-type": "quorum"}},
    ),
    declared(
        """queue -V shop name=short arguments='{"x-max-length": 2}' auto_delete=true""",
        "/api/queues/shop/short",
        {**QUEUE, **IN_SHOP, "name": "short", "auto_delete": ON, "arguments": {"x-max-length": 2}},
    ),
    declared(
        "binding -V shop source=orders destination=tasks routing_key=a.#",
        "/api/bindings/shop/e/orders/q/tasks",
        {
            **IN_SHOP,
            "source": "orders",
            "destination": "tasks",
            "destination_type": "queue",
            "routing_key": "a.#",
            "arguments": {},
        },
        method="POST",
    ),
    declared(
        """policy -V shop name=limit pattern=^t definition='{"max-length": 5}' apply-to=queues priority=2""",
        "/api/policies/shop/limit",
        {
            **IN_SHOP,
            "name": "limit",
            "pattern": "^t",
            "definition": {"max-length": 5},
            "apply-to": "queues",
            "priority": 2,
        },
    ),
    declared(
        """operator_policy -V shop name=most pattern=^t definition='{"max-length": 9}'""",
        "/api/operator-policies/shop/most",
        {**IN_SHOP, "name": "most", "pattern": "^t", "definition": {"max-length": 9}, "priority": 0},
    ),
    declared(
        """parameter -V shop component=federation-upstream name=up value='{"uri": "amqp://"}'""",
        "/api/parameters/federation-upstream/shop/up",
        {**IN_SHOP, "component": "federation-upstream", "name": "up", "value": {"uri": "amqp://"}},
    ),
    declared(
        "vhost_limit vhost=shop name=max-queues value=9",
        "/api/vhost-limits/shop/max-queues",
        {**IN_SHOP, "name": "max-queues", "value": 9},
        status=204,
    ),
]
MESSAGES = [
    Asked(
        """publish -V shop exchange=orders routing_key=a.b payload=hello properties='{"delivery_mode": 2}'""",
        "POST",
        "/api/exchanges/shop/orders/publish",
        {
            **MESSAGE,
            **IN_SHOP,
            "exchange": "orders",
            "routing_key": "a.b",
            "payload": "hello",
            "properties": {"delivery_mode": 2},
        },
        said="Message published\n",
    ),
    Asked(
        "publish -V shop exchange=orders routing_key=nowhere payload=lost",
        "POST",
        "/api/exchanges/shop/orders/publish",
        {**MESSAGE, **IN_SHOP, "exchange": "orders", "routing_key": "nowhere", "payload": "lost"},
        said="Message published but NOT routed",
    ),
    Asked(
        "publish -V shop routing_key=tasks",
        "POST",
        "/api/exchanges/shop/amq.default/publish",
        {
            **MESSAGE,
            **IN_SHOP,
            "exchange": "amq.default",
            "routing_key": "tasks",
            "payload": base64.b64encode(b"from afar").decode(),
            "payload_encoding": "base64",
        },
        said="Message published\n",
        given="from afar",
    ),
    Asked(
        "get -V shop queue=tasks",
        "POST",
        "/api/queues/shop/tasks/get",
        {**GET, **IN_SHOP, "queue": "tasks"},
        has=("hello", "orders"),
    ),
    Asked(
        "get -V shop queue=tasks count=5 ackmode=ack_requeue_false",
        "POST",
        "/api/queues/shop/tasks/get",
        {**GET, **IN_SHOP, "queue": "tasks", "count": "5", "ackmode": "ack_requeue_false"},
        has=("hello", "from afar"),
    ),
    Asked("-V shop purge queue name=tasks", "DELETE", "/api/queues/shop/tasks/contents", "", 204, said="queue purged"),
]
LISTS = [
    listed("vhosts", "/api/vhosts?columns=name,messages", "shop"),
    listed("users", "/api/users", "joe", "monitoring"),
    listed("permissions", "/api/permissions", "joe", "^o"),
    listed("-V shop exchanges", "/api/exchanges/shop?columns=name,type", "orders", "amq.topic"),
    listed("queues", "/api/queues?columns=name,messages", "tasks", "safe"),
    listed(
        "-V shop queues name state -S name --sort-reverse",
        "/api/queues/shop?columns=name,state&sort=name&sort_reverse=true",
        "tasks",
        "running",
    ),
    listed("-V shop bindings", "/api/bindings/shop?columns=source,destination,routing_key", "orders", "a.#"),
    listed("policies", "/api/policies", "limit", "^t"),
    listed("operator_policies", "/api/operator-policies", "most"),
    listed("parameters", "/api/parameters", "federation-upstream", "amqp://"),
    listed("vhost_limits", "/api/vhost-limits", "max-queues"),
    listed("nodes", "/api/nodes?columns=name,type,mem_used", "leveret@"),
    listed("connections", "/api/connections?columns=name,user,channels", CONNECTION),
    listed("channels", "/api/channels?columns=name,user", CONNECTION),
    listed("-V shop consumers", "/api/consumers/shop"),
    Asked("-f raw_json show overview", "GET", "/api/overview", has=('"rabbitmq_version"', '"object_totals"')),
    Asked(
        "show overview",
        "GET",
        "/api/overview?columns=rabbitmq_version,cluster_name,queue_totals.messages,object_totals.queues",
        has=("leveret@",),
    ),
]
DELETE = [
    Asked(f"-V shop export {SOURCE}", "GET", "/api/definitions/shop", has=(), said="Exported definitions"),
    deleted("-V shop queue name=tasks", "/api/queues/shop/tasks"),
    Asked(
        "-V shop delete queue name=tasks",
        "DELETE",
        "/api/queues/shop/tasks",
        "",
        404,
        said="*** Not found: /api/queues/shop/tasks",
        code=1,
    ),
    Asked(f"-V shop import {SOURCE}", "POST", "/api/definitions/shop", SOURCE, 204, said="Uploaded definitions"),
    listed("-V shop queues name", "/api/queues/shop?columns=name", "tasks"),
    deleted(
        "-V shop binding source=orders destination_type=queue destination=tasks properties_key=a.%23",
        "/api/bindings/shop/e/orders/q/tasks/a.%2523",
    ),
    deleted("-V shop policy name=limit", "/api/policies/shop/limit"),
    deleted("-V shop operator_policy name=most", "/api/operator-policies/shop/most"),
    deleted("-V shop parameter component=federation-upstream name=up", "/api/parameters/federation-upstream/shop/up"),
    deleted("vhost_limit vhost=shop name=max-queues", "/api/vhost-limits/shop/max-queues"),
    deleted("-V shop exchange name=orders", "/api/exchanges/shop/orders"),
    deleted("-V shop queue name=safe", "/api/queues/shop/safe"),
    deleted("permission vhost=shop user=joe", "/api/permissions/shop/joe"),
    deleted("user name=joe", "/api/users/joe"),
    deleted("vhost name=shop", "/api/vhosts/shop"),
    Asked(
        f"close connection name='{CONNECTION}'",
        "DELETE",
        f"/api/connections/{CONNECTION}",
        "",
        204,
        said="connection closed",
    ),
    Asked("-p wrong list users", "GET", "/api/users", "", 401, said="*** Access refused: /api/users", code=1),
]
CALLS = [*DECLARE, *MESSAGES, *LISTS, *DELETE]
