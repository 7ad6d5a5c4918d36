"""What happens in the broker, told to whoever has bound a queue to the topic exchange amq.rabbitmq.event.

RabbitMQ has a plugin for that; routing keys, headers, their types and their order are those of its version 3.10, and
so is the word for who did it. The exchange stands in the default virtual host. An event is persistent and has no body.

Each method here is called where something happens, and does nothing unless the exchange has bindings. Nothing is told
of single messages.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from leveret.amqp.field_table import Table
from leveret.amqp.properties import BasicProperties
from leveret.broker.event_fields import (
    code_points,
    field,
    port_of,
    printed_address,
    printed_atom,
    printed_octets,
    printed_table,
)
from leveret.broker.exchange.topic import TopicExchange
from leveret.broker.own_messages import OwnMessages
from leveret.broker.process_ids import channel_pid, pid
from leveret.broker.publishing import PERSISTENT

if TYPE_CHECKING:
    from leveret.broker.binding import Binding
    from leveret.broker.broker import Broker
    from leveret.broker.channel import Channel
    from leveret.broker.connection import Connection
    from leveret.broker.consumer import Consumer
    from leveret.broker.exchange.base import Exchange
    from leveret.broker.permissions import Permission, TopicPermission
    from leveret.broker.policy import Policy
    from leveret.broker.queue import Queue
    from leveret.broker.users import User
    from leveret.broker.vhost import VirtualHost

EVENT_EXCHANGE: Final = "amq.rabbitmq.event"
INTERNAL_USER: Final = "rmq-internal"  # who did what nobody asked for
CLI_USER: Final = "rmq-cli"  # who did what a command asked for
ACTING_USER: Final = "user_who_performed_action"
PROTOCOL: Final = "{0,9,1}"
VHOST_LIMITS: Final = "vhost-limits"
OPERATOR_POLICY: Final = "operator_policy"
GLOBAL: Final = "global"  # the component of global parameters

Fields = list[tuple[str, object]]


class Events:
    """The events of one broker."""

    def __init__(self, broker: Broker) -> None:
        self._broker: Final = broker
        self._messages: OwnMessages | None = None
        self._acting = INTERNAL_USER

    def publish_in(self, vhost: VirtualHost) -> None:
        """Have the exchange in this virtual host, which nobody knows of yet."""
        exchange = vhost.exchanges[EVENT_EXCHANGE] = TopicExchange(EVENT_EXCHANGE, True, False, True, {})
        self._messages = OwnMessages(vhost, exchange)

    def act_as(self, user: str) -> str:
        """Whose request is being done until the tick ends; gives who it was before.

        An AMQP client's is its user, a command's CLI_USER; INTERNAL_USER is said whenever there is none.
        """
        before, self._acting = self._acting, user
        return before

    def acting(self) -> str:
        """Whose request is being done."""
        return self._acting

    def wanted(self) -> bool:
        """Whether an event could reach anybody."""
        return self._messages is not None and self._messages.wanted()

    def _publish(self, key: str, fields: Fields) -> None:
        if self._messages is None:
            return
        now = int(self._broker.timers.time_ms)
        headers: Table = {name: field(value) for name, value in fields}
        headers["timestamp_in_ms"] = field(now)
        self._messages.publish(
            key, BasicProperties(headers=headers, delivery_mode=PERSISTENT, timestamp=now // 1000), b""
        )

    # connections, channels and consumers

    def logged_in(self, connection: Connection) -> None:
        """A connection has said who it is, and proved it."""
        if self.wanted():
            self._publish("user.authentication.success", login_fields(connection, connection.user))

    def login_refused(self, connection: Connection, name: str, reason: str) -> None:
        """A connection has not proved who it is."""
        if self.wanted():
            fields: Fields = [("error", code_points(reason)), *login_fields(connection, name)]
            self._publish("user.authentication.failure", fields)

    def connection_created(self, connection: Connection) -> None:
        """A connection has opened its virtual host."""
        if self.wanted():
            self._publish("connection.created", [(ACTING_USER, connection.user), *self._described(connection)])

    def connection_closed(self, connection: Connection) -> None:
        """A connection goes, also one that never opened a virtual host; but not if it stands in no list."""
        if self.wanted() and connection in self._broker.connections:
            fields: Fields = [
                ("client_properties", printed_table(connection.client_properties)),
                ("node", self._broker.node),
                ("pid", pid(self._broker, connection)),
                ("name", connection.name),
                *provided_name(connection),
            ]
            self._publish("connection.closed", fields)

    def _described(self, connection: Connection) -> Fields:
        return [
            ("node", self._broker.node),
            ("connected_at", int(connection.connected_at * 1000)),
            ("client_properties", printed_table(connection.client_properties)),
            ("channel_max", connection.channel_max),
            ("frame_max", int(connection.frame_max)),
            ("timeout", connection.heartbeat),
            ("vhost", connection.vhost_opened().name),
            ("user", connection.user),
            ("protocol", PROTOCOL),
            *tls_fields(connection, ("hash", "cipher", "key_exchange", "protocol")),
            ("auth_mechanism", connection.auth_mechanism),
            *certificate_fields(connection, ("validity", "issuer", "subject")),
            ("ssl", connection.encryption is not None),
            ("peer_host", printed_address(connection.peer.rpartition(":")[0])),
            ("host", printed_address(connection.local.rpartition(":")[0])),
            ("peer_port", port_of(connection.peer)),
            ("port", port_of(connection.local)),
            ("name", connection.name),
            ("pid", pid(self._broker, connection)),
            ("type", "network"),
            *provided_name(connection),
        ]

    def channel_created(self, channel: Channel) -> None:
        """A channel is open."""
        if self.wanted():
            connection = channel.connection
            fields: Fields = [
                (ACTING_USER, connection.user),
                ("vhost", connection.vhost_opened().name),
                ("user", connection.user),
                ("number", int(channel.number)),
                ("connection", pid(self._broker, connection)),
                ("name", f"{connection.name} ({int(channel.number)})"),
                ("pid", channel_pid(self._broker, channel)),
            ]
            self._publish("channel.created", fields)

    def channel_closed(self, channel: Channel) -> None:
        """A channel has let go of everything."""
        if self.wanted() and channel.connection in self._broker.connections:
            fields: Fields = [(ACTING_USER, channel.connection.user), ("pid", channel_pid(self._broker, channel))]
            self._publish("channel.closed", fields)

    def consumer_created(self, consumer: Consumer) -> None:
        """A channel has subscribed to a queue."""
        if self.wanted():
            fields: Fields = [
                (ACTING_USER, consumer.channel.connection.user),
                ("arguments", printed_table(consumer.arguments)),
                ("prefetch_count", consumer.channel.consumer_prefetch),
                ("queue", consumer.queue.name),
                ("vhost", consumer.queue.vhost.name),
                ("channel", channel_pid(self._broker, consumer.channel)),
                ("ack_required", not consumer.no_ack),
                ("exclusive", consumer.exclusive),
                ("consumer_tag", consumer.tag),
            ]
            self._publish("consumer.created", fields)

    def consumer_deleted(self, consumer: Consumer) -> None:
        """A subscription has ended. Those to direct replies are not told of."""
        channel = consumer.channel
        if self.wanted() and consumer.queue is not channel.reply_queue:
            fields: Fields = [
                (ACTING_USER, channel.connection.user if self._acting == INTERNAL_USER else self._acting),
                ("queue", consumer.queue.name),
                ("vhost", consumer.queue.vhost.name),
                ("channel", channel_pid(self._broker, channel)),
                ("consumer_tag", consumer.tag),
            ]
            self._publish("consumer.deleted", fields)

    # queues, exchanges and bindings

    def queue_created(self, queue: Queue) -> None:
        """A queue is declared."""
        if not self.wanted():
            return
        fields: Fields = [(ACTING_USER, self._acting)]
        arguments: tuple[str, object] = ("arguments", printed_table(queue.arguments))
        if queue.is_quorum:
            fields += [arguments, ("type", "rabbit_quorum_queue"), ("exclusive", False)]
        else:
            owner = "" if queue.owner is None else pid(self._broker, queue.owner)
            fields += [("exclusive", queue.owner is not None), ("owner_pid", owner), arguments]
        fields += [("auto_delete", queue.auto_delete), ("durable", queue.durable), *in_vhost(queue.name, queue.vhost)]
        self._publish("queue.created", fields)

    def queue_deleted(self, queue: Queue) -> None:
        """A queue is gone."""
        if self.wanted():
            self._publish("queue.deleted", [(ACTING_USER, self._acting), *in_vhost(queue.name, queue.vhost)])

    def exchange_created(self, vhost: VirtualHost, exchange: Exchange) -> None:
        """An exchange is declared, or comes with a virtual host."""
        if self.wanted():
            fields: Fields = [
                (ACTING_USER, self._acting),
                ("policy", "" if exchange.policy is None else exchange.policy.name),
                ("arguments", printed_table(exchange.arguments)),
                ("internal", exchange.internal),
                ("auto_delete", exchange.auto_delete),
                ("durable", exchange.durable),
                ("type", exchange.type_name),
                *in_vhost(exchange.name, vhost),
            ]
            self._publish("exchange.created", fields)

    def exchange_deleted(self, vhost: VirtualHost, exchange: Exchange) -> None:
        """An exchange is gone."""
        if self.wanted():
            self._publish("exchange.deleted", [(ACTING_USER, self._acting), *in_vhost(exchange.name, vhost)])

    def binding_created(self, vhost: VirtualHost, binding: Binding) -> None:
        """A binding is made."""
        if self.wanted():
            self._publish("binding.created", self._binding_fields(vhost, binding))

    def binding_deleted(self, vhost: VirtualHost, binding: Binding) -> None:
        """A binding is gone."""
        if self.wanted():
            self._publish("binding.deleted", self._binding_fields(vhost, binding))

    def _binding_fields(self, vhost: VirtualHost, binding: Binding) -> Fields:
        return [
            (ACTING_USER, self._acting),
            ("vhost", vhost.name),
            ("arguments", printed_table(binding.arguments)),
            ("routing_key", binding.routing_key),
            ("destination_kind", binding.destination.kind),
            ("destination_name", binding.destination.name),
            ("source_kind", "exchange"),
            ("source_name", binding.source.name),
        ]

    # virtual hosts

    def vhost_created(self, vhost: VirtualHost) -> None:
        """A virtual host is made, with the exchanges that each has."""
        if self.wanted():
            for exchange in vhost.exchanges.values():
                self.exchange_created(vhost, exchange)
            self._publish("vhost.created", self._vhost_fields(vhost))

    def vhost_updated(self, vhost: VirtualHost) -> None:
        """Something else is said of a virtual host."""
        if self.wanted():
            self._publish("vhost.updated", self._vhost_fields(vhost))

    def vhost_emptied(self, vhost: VirtualHost) -> None:
        """A virtual host is about to go, with all that is in it."""
        if self.wanted():
            for queue in vhost.queues.values():
                acting = self.act_as(INTERNAL_USER)
                for binding in queue.bindings_to:
                    self.binding_deleted(vhost, binding)
                self.act_as(acting)
                self.queue_deleted(queue)
            for exchange in vhost.exchanges.values():
                self.exchange_deleted(vhost, exchange)

    def vhost_deleted(self, name: str, had_limits: bool) -> None:
        """A virtual host is gone, and what was in it has been told of."""
        if self.wanted():
            self._publish("vhost.deleted", [(ACTING_USER, self._acting), ("name", name)])
            if had_limits:
                self.vhost_limits_cleared(name)
            fields: Fields = [(ACTING_USER, INTERNAL_USER), ("node", self._broker.node), ("name", name)]
            self._publish("vhost.down", fields)

    def _vhost_fields(self, vhost: VirtualHost) -> Fields:
        return [
            ("tags", vhost.tags),
            ("description", vhost.description),
            (ACTING_USER, self._acting),
            ("cluster_state", {self._broker.node: "running"}),
            ("tracing", vhost.firehose.on),
            ("metadata", printed_metadata(vhost)),
            ("default_queue_type", vhost.default_queue_type or "undefined"),
            ("name", vhost.name),
        ]

    # users and permissions

    def user_created(self, name: str) -> None:
        """There is a new user."""
        self._of_user("user.created", name)

    def user_deleted(self, name: str) -> None:
        """A user is gone."""
        self._of_user("user.deleted", name)

    def user_password_changed(self, user: User) -> None:
        """A user has another password, or none any more."""
        self._of_user("user.password.changed" if user.password_hash else "user.password.cleared", user.name)

    def _of_user(self, key: str, name: str) -> None:
        if self.wanted():
            self._publish(key, [(ACTING_USER, self._acting), ("name", name)])

    def user_tags_set(self, user: User) -> None:
        """A user has these tags now."""
        if self.wanted():
            fields: Fields = [(ACTING_USER, self._acting), ("tags", user.tags), ("name", user.name)]
            self._publish("user.tags.set", fields)

    def user_limits_set(self, name: str, limits: dict[str, int], cleared: bool) -> None:
        """A user has these limits now; `cleared`: that is one less."""
        if self.wanted():
            fields: Fields = [("username", name), (ACTING_USER, self._acting), ("name", "limits")]
            if cleared:
                self._publish("user.limits.cleared", fields)
            else:
                self._publish("user.limits.set", [*reversed(sorted_items(limits)), *fields])

    def permission_created(self, permission: Permission) -> None:
        """A user has these permissions now."""
        if self.wanted():
            fields: Fields = [
                (ACTING_USER, self._acting),
                ("read", permission.read),
                ("write", permission.write),
                ("configure", permission.configure),
                ("vhost", permission.vhost),
                ("user", permission.user),
            ]
            self._publish("permission.created", fields)

    def permission_deleted(self, user: str, vhost: str) -> None:
        """A user's permissions for a virtual host are gone, if there were any."""
        if self.wanted():
            self._publish("permission.deleted", [(ACTING_USER, self._acting), ("vhost", vhost), ("user", user)])

    def topic_permission_created(self, permission: TopicPermission) -> None:
        """A user has these topic permissions now."""
        if self.wanted():
            fields: Fields = [
                (ACTING_USER, self._acting),
                ("read", permission.read),
                ("write", permission.write),
                ("exchange", permission.exchange),
                ("vhost", permission.vhost),
                ("user", permission.user),
            ]
            self._publish("topic.permission.created", fields)

    def topic_permission_deleted(self, user: str, vhost: str) -> None:
        """A user's topic permissions are gone, if there were any."""
        if self.wanted():
            self._publish("topic.permission.deleted", [(ACTING_USER, self._acting), ("vhost", vhost), ("user", user)])

    # policies, parameters and alarms

    def policy_set(self, vhost: str, policy: Policy, operator: bool) -> None:
        """A policy or an operator policy is set; the latter is a parameter too."""
        if self.wanted():
            parts: Fields = [
                ("pattern", policy.pattern.text),
                ("definition", policy.told),
                ("priority", policy.priority),
                ("apply-to", policy.apply_to),
            ]
            if operator:
                self.parameter_set(OPERATOR_POLICY, vhost, policy.name, dict(parts))
            parts.reverse()
            self._publish("policy.set", [*parts, (ACTING_USER, self._acting), ("vhost", vhost), ("name", policy.name)])

    def policy_cleared(self, vhost: str, name: str, operator: bool) -> None:
        """A policy or an operator policy is gone."""
        if self.wanted():
            if operator:
                self.parameter_cleared(OPERATOR_POLICY, vhost, name)
            key = "operator.policy.cleared" if operator else "policy.cleared"
            self._publish(key, [(ACTING_USER, self._acting), ("vhost", vhost), ("name", name)])

    def parameter_set(self, component: str, vhost: str | None, name: str, value: object) -> None:
        """A runtime parameter, which is a global one without a virtual host, has this value of JSON now."""
        if self.wanted():
            fields: Fields = [(ACTING_USER, self._acting), ("value", value), ("name", name), ("component", component)]
            self._publish("parameter.set", fields if vhost is None else [*fields, ("vhost", vhost)])

    def parameter_cleared(self, component: str, vhost: str | None, name: str) -> None:
        """A runtime parameter, which was a global one without a virtual host, is gone."""
        if self.wanted():
            fields: Fields = [(ACTING_USER, self._acting), ("name", name), ("component", component)]
            self._publish("parameter.cleared", fields if vhost is None else [*fields, ("vhost", vhost)])

    def vhost_limits_set(self, vhost: str, limits: dict[str, int]) -> None:
        """A virtual host has these limits now, which are a parameter too."""
        if self.wanted():
            self.parameter_set(VHOST_LIMITS, vhost, "limits", dict(sorted_items(limits)))
            fields: Fields = [*reversed(sorted_items(limits)), (ACTING_USER, self._acting), ("name", "limits")]
            self._publish("vhost.limits.set", fields)

    def vhost_limits_cleared(self, vhost: str) -> None:
        """A virtual host has no limits any more."""
        if self.wanted():
            self.parameter_cleared(VHOST_LIMITS, vhost, "limits")
            self._publish("vhost.limits.cleared", [(ACTING_USER, self._acting), ("name", "limits")])

    def alarm_changed(self, source: str, on: bool) -> None:
        """An alarm is raised or cleared."""
        if self.wanted():
            fields: Fields = [("node", self._broker.node), ("source", source)]
            self._publish("alarm.set" if on else "alarm.cleared", fields)


def sorted_items(limits: dict[str, int]) -> Fields:
    """Limits with their names, in the order of these."""
    return [(name, limits[name]) for name in sorted(limits)]


def in_vhost(name: str, vhost: VirtualHost) -> Fields:
    """The name of something, and its virtual host's."""
    return [("name", name), ("vhost", vhost.name)]


def printed_metadata(vhost: VirtualHost) -> str:
    """What is said of a virtual host, as an Erlang map."""
    pairs = [
        f"description => {printed_octets(vhost.description)}",
        f"tags => [{','.join([printed_atom(tag) for tag in vhost.tags])}]",
    ]
    if vhost.default_queue_type:
        pairs.insert(0, f"default_queue_type => {printed_octets(vhost.default_queue_type)}")
    return "#{" + ",".join(pairs) + "}"


def provided_name(connection: Connection) -> Fields:
    """The name that a client gave its connection, if it did."""
    name = connection.client_properties.get("connection_name")
    return [] if name is None or name.kind != "S" else [("user_provided_name", name.value)]


def tls_fields(connection: Connection, names: tuple[str, ...]) -> Fields:
    """What a connection's TLS is, by name; nothing in each if it has none."""
    tls = connection.encryption
    known: dict[str, str] = {}
    if tls is not None:
        known = {
            "hash": tls.mac,
            "cipher": tls.cipher,
            "key_exchange": tls.key_exchange,
            "protocol": tls.protocol,
        }
    return [(f"ssl_{name}", known.get(name, "")) for name in names]


def certificate_fields(connection: Connection, names: tuple[str, ...]) -> Fields:
    """What a client's certificate says, by name; nothing in each if it has shown none."""
    shown = None if connection.encryption is None else connection.encryption.certificate
    known = {} if shown is None else {"subject": shown.subject, "issuer": shown.issuer, "validity": shown.validity}
    return [(f"peer_cert_{name}", known.get(name, "")) for name in names]


def login_fields(connection: Connection, user: str) -> Fields:
    """What is told of a login; what there is nothing to say of is left out."""
    fields: Fields = [
        *certificate_fields(connection, ("validity", "subject", "issuer")),
        *tls_fields(connection, ("cipher", "protocol")),
        ("ssl", connection.encryption is not None),
        ("auth_mechanism", connection.auth_mechanism),
        ("protocol", PROTOCOL),
        ("peer_port", port_of(connection.peer)),
        ("peer_host", printed_address(connection.peer.rpartition(":")[0])),
        ("connection_name", connection.name),
        ("host", printed_address(connection.local.rpartition(":")[0])),
        ("name", user),
        ("connection_type", "network"),
    ]
    return [(name, value) for name, value in fields if value != ""]
