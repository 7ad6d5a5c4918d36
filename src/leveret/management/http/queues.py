"""`/queues`: the queues, their declaration and deletion, and what they hold."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from leveret.amqp.methods import QueueDeclare, QueueDelete, QueuePurge
from leveret.broker import queue_methods
from leveret.broker.broker import Broker
from leveret.broker.pausing import pause, resume, state_of
from leveret.broker.permissions import CONFIGURE, QUEUE, check_access
from leveret.broker.queue import Queue
from leveret.management.http.access import administrator, user_of_vhost
from leveret.management.http.bodies import check_node, flag, short_text
from leveret.management.http.call import Call
from leveret.management.http.consumers import CONSUMERS
from leveret.management.http.details import connection_details
from leveret.management.http.errors import bad_request, object_not_found
from leveret.management.http.lists import ABSENT, List, ListColumns
from leveret.management.http.resource import Resource
from leveret.management.http.session import session
from leveret.management.http.statistics import of_queues
from leveret.management.http.tables import plain_table, table_of
from leveret.management.listings import QUEUES as LISTED
from leveret.management.listings import node_of_replicated, policy_definition, queue_type

UNCHANGED: Final = (  # columns that leveretctl and the API show alike
    "consumer_capacity",
    "consumer_utilisation",
    "consumers",
    "exclusive_consumer_tag",
    "head_message_timestamp",
    "memory",
    "message_bytes",
    "message_bytes_ram",
    "message_bytes_ready",
    "message_bytes_unacknowledged",
    "messages",
    "messages_ram",
    "messages_ready",
    "messages_ready_ram",
    "messages_unacknowledged",
    "messages_unacknowledged_ram",
    "operator_policy",
    "policy",
)
IF_COUNTED: Final = ("message_bytes_persistent", "messages_persistent")  # absent, since typed clients take no null
TOTALS: Final = ("messages", "messages_ready", "messages_unacknowledged")


def policies_of(queue: Queue) -> dict[str, Any]:
    """What the policies of a queue come to."""
    return dict(policy_definition(queue)) if queue.policy or queue.operator_policy else {}


def owner_of(queue: Queue) -> object:
    """The connection that has an exclusive queue."""
    return ABSENT if queue.owner is None else connection_details(queue.owner)


def if_counted(name: str) -> Callable[[Queue, Broker], Any]:
    """The column of that name, for the queues for which it is known."""

    def value(queue: Queue, broker: Broker) -> Any:
        count = LISTED[name](queue, broker)
        return ABSENT if count is None else count

    return value


def active_tag(queue: Queue) -> str | None:
    """The tag of the single active consumer."""
    return None if queue.active_consumer is None else queue.active_consumer.tag


def of_replicated(queue: Queue, broker: Broker, value: object) -> object:
    """What is said of queues of a replicated type alone."""
    return ABSENT if node_of_replicated(queue, broker) is None else value


BASIC: Final[ListColumns[Queue]] = {
    "arguments": lambda queue, broker: plain_table(queue.arguments),
    "auto_delete": lambda queue, broker: queue.auto_delete,
    "durable": lambda queue, broker: queue.durable,
    "exclusive": lambda queue, broker: queue.owner is not None,
    "name": lambda queue, broker: queue.name,
    "node": lambda queue, broker: broker.node,
    "state": lambda queue, broker: state_of(queue),
    "type": lambda queue, broker: queue_type(queue),
    "vhost": lambda queue, broker: queue.vhost.name,
    "leader": lambda queue, broker: of_replicated(queue, broker, broker.node),
    "members": lambda queue, broker: of_replicated(queue, broker, [broker.node]),
    "online": lambda queue, broker: of_replicated(queue, broker, [broker.node]),
}
FULL: Final[ListColumns[Queue]] = {
    **BASIC,
    **{name: LISTED[name] for name in UNCHANGED},
    **{name: if_counted(name) for name in IF_COUNTED},
    "effective_policy_definition": lambda queue, broker: policies_of(queue),
    "messages_delayed": lambda queue, broker: (
        ABSENT if queue.retries is None else LISTED["messages_delayed"](queue, broker)
    ),
    "owner_pid_details": lambda queue, broker: owner_of(queue),
    "single_active_consumer_tag": lambda queue, broker: active_tag(queue),
}
BRIEF: Final[ListColumns[Queue]] = {**BASIC, "policy": lambda queue, broker: LISTED["policy"](queue, broker) or ABSENT}
WITHOUT_STATISTICS: Final = List(BRIEF)
WITH_TOTALS: Final = List({**BRIEF, **{name: LISTED[name] for name in TOTALS}})


# looking


def queues_of(call: Call) -> Iterator[Queue]:
    """The queues that a call lists."""
    for vhost in call.vhosts():
        for queue in list(vhost.queues.values()):
            if not queue.deleted:
                yield queue


def wanted(call: Call) -> List[Queue]:
    """The kind of list that a call asks for."""
    if not call.without_statistics:
        return List({**FULL, **of_queues(call)})
    return WITH_TOTALS if call.with_queue_totals else WITHOUT_STATISTICS


async def list_queues_of_user(call: Call) -> object:
    """The queues that a user declared, among those of the virtual hosts that the one who asks may use."""
    name = call.argument("user")
    return await wanted(call).answer(call, (queue for queue in queues_of(call) if queue.user == name))


async def list_queues(call: Call) -> object:
    """The queues of a virtual host, or of all that the user may use."""
    return await wanted(call).answer(call, queues_of(call))


def find_queue(call: Call) -> Queue | None:
    """The queue that is named, if it is there."""
    vhost = call.find_vhost()
    return None if vhost is None else vhost.queues.get(call.argument("queue"))


def queue_exists(call: Call) -> bool:
    """Whether the queue that is named is there."""
    return find_queue(call) is not None


def queue_of(call: Call) -> Queue:
    """The queue that is named; Refused with 404 if it is not there."""
    queue = find_queue(call)
    if queue is None:
        raise object_not_found()
    return queue


async def get_queue(call: Call) -> object:
    """One queue, with its consumers."""
    queue = queue_of(call)
    row = wanted(call).row(queue, call.broker)
    if not call.without_statistics:
        row["consumer_details"] = [CONSUMERS.row(consumer, call.broker) for consumer in list(queue.consumers)]
        row["deliveries"] = []  # by channel and by exchange, which RabbitMQ shows
        row["incoming"] = []  # with detailed rates alone
    return row


# changing


async def put_queue(call: Call) -> None:
    """Declare a queue."""
    vhost = call.vhost_to_change()
    body = await call.json()
    check_node(call, body)
    declare = QueueDeclare(
        short_text(call.argument("queue")),
        durable=flag(body, "durable"),
        auto_delete=flag(body, "auto_delete"),
        nowait=True,
        arguments=table_of(body.get("arguments", {})),
    )
    with session(call, vhost) as opened:
        queue_methods.handle(opened.channel, declare)
    await call.committed()


async def delete_queue(call: Call) -> None:
    """Delete a queue, if it is as unused or empty as is asked for."""
    method = QueueDelete(queue_of(call).name, call.is_set("if-unused"), call.is_set("if-empty"), True)
    with session(call, call.vhost_to_change()) as opened:
        queue_methods.handle(opened.channel, method)
    await call.committed()


async def delete_contents(call: Call) -> None:
    """Drop the ready messages."""
    method = QueuePurge(queue_of(call).name, True)
    with session(call, call.vhost_to_change()) as opened:
        queue_methods.handle(opened.channel, method)


async def put_paused(call: Call) -> None:
    """Pause a queue."""
    await change_deliveries(call, pause)


async def put_resumed(call: Call) -> None:
    """Have a queue deliver again."""
    await change_deliveries(call, resume)


async def change_deliveries(call: Call, change: Callable[[Queue], None]) -> None:
    """Pause or resume, for which one needs the permission to declare the queue."""
    queue = queue_of(call)
    with session(call, call.vhost_to_change()) as opened:
        check_access(opened.channel.connection, CONFIGURE, QUEUE, queue.name)
        change(queue)
    await call.committed()


async def post_action(call: Call) -> None:
    """Actions on mirrors, of which RabbitMQ 4 has none any more: each is refused."""
    body = await call.json("action")
    queue_of(call)
    raise bad_request(["unknown", body["action"]])


RESOURCES: Final = (
    Resource("/queues", user_of_vhost, get=list_queues),
    Resource("/queues/detailed", user_of_vhost, get=list_queues),
    Resource("/queues/{vhost}", user_of_vhost, get=list_queues),
    Resource("/queues/{vhost}/{queue}", user_of_vhost, queue_exists, get=get_queue, put=put_queue, delete=delete_queue),
    Resource("/queues/{vhost}/{queue}/contents", user_of_vhost, queue_exists, delete=delete_contents),
    Resource("/queues/{vhost}/{queue}/pause", user_of_vhost, put=put_paused),
    Resource("/queues/{vhost}/{queue}/resume", user_of_vhost, put=put_resumed),
    Resource("/users/{user}/queues", user_of_vhost, get=list_queues_of_user),
    Resource("/queues/{vhost}/{queue}/actions", administrator, queue_exists, post=post_action),
)
