"""Every method that names a queue or an exchange needs the permissions that RabbitMQ's table has for it, and no other.

The names say what a user may do with what they name: C configure, W write, R read. So "queue.CR" may be declared,
deleted and consumed by the user here, but neither bound nor written to. Each method is sent once for every permission
that it needs, with that one alone missing, and must be refused for it; and once with no more than it needs.
"""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pika
import pytest
from pika import spec
from pika.amqp_object import Method
from pika.spec import Basic, Channel, Exchange, Queue, Tx

from leveret.amqp.methods import METHOD_IDS
from tests.access.conftest import PASSWORD, Access, text_of_refusal
from tests.behaviour.expectations import leveret_only
from tests.behaviour.raw_connection import RawConnection

OPERATIONS = {"C": "configure", "W": "write", "R": "read"}
EVERYTHING = "CWR"
SUBSETS = ["".join(letters) for size in range(4) for letters in itertools.combinations(EVERYTHING, size)]
TAGS = map(str, itertools.count())
DLX, AE = "x-dead-letter-exchange", "alternate-exchange"


@dataclass(frozen=True)
class Resource:
    """What a method names: `new` ones are not there yet."""

    kind: str
    new: bool = False

    def name(self, letters: str) -> str:
        return f"{'new ' if self.new else ''}{self.kind}.{letters}"


@dataclass(frozen=True)
class Walk:
    """A method with what it names, and the permissions it needs in the order in which they are checked."""

    what: str
    method: Callable[..., Method]
    named: tuple[Resource, ...]
    needs: tuple[tuple[str, int], ...]  # a letter, and which of the names it is for


def example(walk: Walk) -> Method:
    """The method with names of no matter."""
    return walk.method(*["x"] * len(walk.named))


def without_answer(method: Callable[..., Method]) -> Callable[..., Method]:
    """The method with its bit nowait."""

    def make(*names: str) -> Method:
        made = method(*names)
        made.nowait = True
        return made

    return make


QUEUE, EXCHANGE = Resource("queue"), Resource("exchange")
NEW_QUEUE, NEW_EXCHANGE = Resource("queue", True), Resource("exchange", True)
WALKS = [
    Walk("exchange.declare", lambda x: Exchange.Declare(exchange=x, type="topic"), (EXCHANGE,), (("C", 0),)),
    Walk("exchange.declare new", lambda x: Exchange.Declare(exchange=x, type="direct"), (NEW_EXCHANGE,), (("C", 0),)),
    Walk(
        "exchange.declare with an alternate exchange",
        lambda x, alternate: Exchange.Declare(exchange=x, type="direct", arguments={AE: alternate}),
        (NEW_EXCHANGE, EXCHANGE),
        (("C", 0), ("R", 0), ("W", 1)),
    ),
    Walk(
        "exchange.declare again with an alternate exchange",
        lambda x: Exchange.Declare(exchange=x, type="topic", arguments={AE: "exchange."}),
        (Resource("exchange with alternate"),),
        (("C", 0),),
    ),
    Walk("exchange.delete", lambda x: Exchange.Delete(exchange=x), (NEW_EXCHANGE,), (("C", 0),)),
    Walk(
        "exchange.bind",
        lambda destination, source: Exchange.Bind(destination=destination, source=source, routing_key="k"),
        (EXCHANGE, EXCHANGE),
        (("W", 0), ("R", 1)),
    ),
    Walk(
        "exchange.unbind",
        lambda destination, source: Exchange.Unbind(destination=destination, source=source, routing_key="k"),
        (EXCHANGE, EXCHANGE),
        (("W", 0), ("R", 1)),
    ),
    Walk("queue.declare", lambda queue: Queue.Declare(queue=queue), (QUEUE,), (("C", 0),)),
    Walk("queue.declare new", lambda queue: Queue.Declare(queue=queue), (NEW_QUEUE,), (("C", 0),)),
    Walk(
        "queue.declare with a dead letter exchange",
        lambda queue, letters: Queue.Declare(queue=queue, arguments={DLX: letters}),
        (Resource("queue with letters", True), EXCHANGE),
        (("C", 0), ("R", 0), ("W", 1)),
    ),
    Walk(
        "queue.declare again with a dead letter exchange",
        lambda queue: Queue.Declare(queue=queue, arguments={DLX: "exchange."}),
        (Resource("queue dead-lettering"),),
        (("C", 0),),
    ),
    Walk("queue.delete", lambda queue: Queue.Delete(queue=queue), (NEW_QUEUE,), (("C", 0),)),
    Walk(
        "queue.bind",
        lambda queue, source: Queue.Bind(queue=queue, exchange=source, routing_key="k"),
        (QUEUE, EXCHANGE),
        (("W", 0), ("R", 1)),
    ),
    Walk(
        "queue.unbind",
        lambda queue, source: Queue.Unbind(queue=queue, exchange=source, routing_key="k"),
        (QUEUE, EXCHANGE),
        (("W", 0), ("R", 1)),
    ),
    Walk("queue.purge", lambda queue: Queue.Purge(queue=queue), (QUEUE,), (("R", 0),)),
    Walk("basic.get", lambda queue: Basic.Get(queue=queue), (QUEUE,), (("R", 0),)),
    Walk("basic.consume", lambda queue: Basic.Consume(queue=queue, consumer_tag=next(TAGS)), (QUEUE,), (("R", 0),)),
    Walk("basic.publish", lambda x: Basic.Publish(exchange=x, routing_key="k"), (EXCHANGE,), (("W", 0),)),
    Walk(
        "basic.publish mandatory",
        lambda x: Basic.Publish(exchange=x, routing_key="k", mandatory=True),
        (EXCHANGE,),
        (("W", 0),),
    ),
    # What is not there is not told to those who might not touch it.
    Walk("exchange.delete missing", lambda x: Exchange.Delete(exchange=x), (Resource("no exchange"),), (("C", 0),)),
    Walk("queue.delete missing", lambda queue: Queue.Delete(queue=queue), (Resource("no queue"),), (("C", 0),)),
]
# Methods of clients that name neither, and so need no permission,
NAMELESS = {
    *("connection.start-ok", "connection.secure-ok", "connection.tune-ok", "connection.open"),
    *("connection.close", "connection.close-ok", "connection.update-secret"),
    *("channel.open", "channel.flow", "channel.flow-ok", "channel.close", "channel.close-ok"),
    *("access.request", "confirm.select", "tx.select", "tx.commit", "tx.rollback"),
    *("basic.qos", "basic.cancel", "basic.ack", "basic.nack", "basic.reject", "basic.recover", "basic.recover-async"),
}
# and those that brokers send.
SENT_BY_BROKERS = {
    *("connection.start", "connection.secure", "connection.tune", "connection.open-ok"),
    *("connection.blocked", "connection.unblocked", "connection.update-secret-ok"),
    *("channel.open-ok", "access.request-ok", "confirm.select-ok", "tx.select-ok", "tx.commit-ok", "tx.rollback-ok"),
    *("exchange.declare-ok", "exchange.delete-ok", "exchange.bind-ok", "exchange.unbind-ok"),
    *("queue.declare-ok", "queue.bind-ok", "queue.unbind-ok", "queue.purge-ok", "queue.delete-ok"),
    *("basic.qos-ok", "basic.consume-ok", "basic.cancel-ok", "basic.recover-ok"),
    *("basic.return", "basic.deliver", "basic.get-ok", "basic.get-empty"),
}
# Clients need not wait for the answer to most of them; what is refused is refused alike.
WALKS += [
    Walk(f"{walk.what} nowait", without_answer(walk.method), walk.named, walk.needs)
    for walk in WALKS
    if "nowait" in inspect.signature(example(walk).__init__).parameters
]
REFUSED_IF_MISSING = [
    Walk("queue.purge", lambda queue: Queue.Purge(queue=queue), (Resource("no queue"),), (("R", 0),)),
    Walk("basic.get", lambda queue: Basic.Get(queue=queue), (Resource("no queue"),), (("R", 0),)),
    Walk("basic.consume", lambda queue: Basic.Consume(queue=queue), (Resource("no queue"),), (("R", 0),)),
    Walk("basic.publish", lambda x: Basic.Publish(exchange=x), (Resource("no exchange"),), (("W", 0),)),
    Walk(
        "queue.bind",
        lambda queue, source: Queue.Bind(queue=queue, exchange=source),
        (Resource("no queue"), Resource("no exchange")),
        (("W", 0), ("R", 1)),
    ),
]
PASSIVE = [
    (lambda name: Exchange.Declare(exchange=name, passive=True), EXCHANGE),
    (lambda name: Queue.Declare(queue=name, passive=True), QUEUE),
]


class Walker:
    """A user's channel, which is opened again when it was closed."""

    def __init__(self, access: Access, user: str, vhost: str) -> None:
        self.user = user
        self.vhost = vhost
        self.connection = RawConnection(access.broker.port, user=user, password=PASSWORD, vhost=vhost)
        self.connection.call(Channel.Open())

    def attempt(self, method: Method) -> tuple[int, str, str] | None:
        """The code and text of the refusal, and the method refused; None if it is done."""
        self.connection.send(method)
        if isinstance(method, Basic.Publish):
            self.connection.send_payload(b"\0\x3c\0\0" + bytes(8) + b"\0\0", 2)
        self.connection.send(Basic.Qos())
        while True:
            received = self.connection.method()
            if isinstance(received, Channel.Close):
                self.connection.send(Channel.CloseOk())
                self.connection.call(Channel.Open())
                failing = spec.methods[received.class_id << 16 | received.method_id].NAME
                return received.reply_code, received.reply_text, failing
            if isinstance(received, Basic.QosOk):
                return None

    def reopen(self) -> None:
        """Go on with another channel, which remembers nothing."""
        self.connection.call(Channel.Close(200, "", 0, 0))
        self.connection.call(Channel.Open())

    def end(self) -> None:
        """Break off."""
        self.connection.die()

    def refused(self, method: Method, operation: str, kind: str, name: str) -> None:
        """The method must be refused for want of a permission, with RabbitMQ's text."""
        text = f"{operation} access to {kind} '{name}' in vhost '{self.vhost}' refused for user '{self.user}'"
        expected = (403, f"ACCESS_REFUSED - {text_of_refusal(text)}", method.NAME)
        assert self.attempt(method) == expected


@pytest.fixture(scope="module")
def vhost(access: Access) -> str:
    """A virtual host with a queue and an exchange for each set of permissions."""
    vhost = access.vhost("walk")
    channel = access.connect("guest", vhost).channel()
    for letters in SUBSETS:
        channel.exchange_declare(EXCHANGE.name(letters), "topic")
        channel.exchange_declare(f"exchange with alternate.{letters}", "topic", arguments={AE: "exchange."})
        channel.queue_declare(QUEUE.name(letters))
        channel.queue_declare(f"queue dead-lettering.{letters}", arguments={DLX: "exchange."})
    return vhost


@pytest.fixture(scope="module")
def walker(access: Access, vhost: str) -> Iterator[Walker]:
    user = access.user("walker", vhost, "\\.C[WR]*$", "\\.C?WR?$", "\\.[CW]*R$")
    walker = Walker(access, user, vhost)
    yield walker
    walker.end()


def test_every_method_is_walked() -> None:
    """Every one that the broker knows: whether it names a queue or an exchange is said here, not found out."""
    walked = {example(walk).NAME.lower() for walk in WALKS}
    assert walked.isdisjoint(NAMELESS | SENT_BY_BROKERS)
    assert walked | NAMELESS | SENT_BY_BROKERS == set(METHOD_IDS)


def needed_first(walk: Walk, letters: str = "") -> tuple[str, str, str, list[str]]:
    """The operation, kind and name that are refused first when all names have these letters; and all names."""
    letter, position = walk.needs[0]
    names = [resource.name(letters) for resource in walk.named]
    kind = "queue" if "queue" in walk.named[position].kind else "exchange"
    return OPERATIONS[letter], kind, names[position], names


@pytest.mark.parametrize("walk", WALKS, ids=lambda walk: walk.what)
def test_the_first_permission_that_is_missing_is_told(walker: Walker, walk: Walk) -> None:
    operation, kind, name, names = needed_first(walk)
    walker.refused(walk.method(*names), operation, kind, name)


def test_who_has_lost_all_permissions_may_do_nothing_on_a_connection_that_is_open(access: Access, vhost: str) -> None:
    """And again what they may, when they have them back."""
    user = access.user("lost", vhost)
    walker = Walker(access, user, vhost)
    assert walker.attempt(Basic.Publish(exchange="exchange.CWR", routing_key="k")) is None
    walker.reopen()
    access.ctl("clear_permissions", "-p", vhost, user)
    for walk in WALKS:
        operation, kind, name, names = needed_first(walk, EVERYTHING)
        walker.refused(walk.method(*names), operation, kind, name)
    access.permit(user, vhost)
    for walk in WALKS:
        if not any(resource.new for resource in walk.named):
            assert walker.attempt(walk.method(*needed_first(walk, EVERYTHING)[3])) is None, walk.what
    walker.end()


def test_a_transaction_takes_nothing_that_may_not_be_published(access: Access, vhost: str, walker: Walker) -> None:
    """The publish is refused and not the commit, and with the channel goes what was published before."""
    channel = access.connect("guest", vhost).channel()
    channel.queue_purge("queue.CWR")
    channel.queue_bind("queue.CWR", "exchange.W", "in a transaction")
    assert walker.attempt(Tx.Select()) is None
    assert walker.attempt(Basic.Publish(exchange="exchange.W", routing_key="in a transaction")) is None
    walker.refused(Basic.Publish(exchange="exchange.CR", routing_key="k"), "write", "exchange", "exchange.CR")
    assert channel.queue_declare("queue.CWR", passive=True).method.message_count == 0
    assert walker.attempt(Tx.Select()) is None
    assert walker.attempt(Basic.Publish(exchange="exchange.W", routing_key="in a transaction")) is None
    assert isinstance(walker.connection.call(Tx.Commit()), Tx.CommitOk)  # RabbitMQ takes nothing before that
    assert channel.queue_declare("queue.CWR", passive=True).method.message_count == 1
    channel.queue_unbind("queue.CWR", "exchange.W", "in a transaction")
    walker.reopen()


@leveret_only("RabbitMQ's channels remember for a while what they were permitted")
def test_a_permission_that_goes_within_a_transaction_holds_for_what_was_published(access: Access, vhost: str) -> None:
    channel = access.connect("guest", vhost).channel()
    channel.queue_purge("queue.CWR")
    user = access.user("transaction", vhost)
    walker = Walker(access, user, vhost)
    walker.attempt(Tx.Select())
    publish = Basic.Publish(exchange="", routing_key="queue.CWR")
    assert walker.attempt(publish) is None
    access.permit(user, vhost, "", "", "")
    assert isinstance(walker.connection.call(Tx.Commit()), Tx.CommitOk)  # RabbitMQ takes nothing before that
    assert channel.queue_declare("queue.CWR", passive=True).method.message_count == 1
    walker.refused(publish, "write", "exchange", "amq.default")
    walker.end()


@pytest.mark.parametrize("walk", WALKS, ids=lambda walk: walk.what)
def test_a_missing_permission(walker: Walker, walk: Walk) -> None:
    for letter, position in walk.needs:
        letters = [EVERYTHING.replace(letter if at == position else "", "") for at in range(len(walk.named))]
        names = [resource.name(had) for resource, had in zip(walk.named, letters, strict=True)]
        kind = "queue" if "queue" in walk.named[position].kind else "exchange"
        walker.refused(walk.method(*names), OPERATIONS[letter], kind, names[position])


@pytest.mark.parametrize("walk", WALKS, ids=lambda walk: walk.what)
def test_no_more_is_needed(walker: Walker, walk: Walk) -> None:
    letters = ["".join(letter for letter, at in walk.needs if at == position) for position in range(len(walk.named))]
    names = [
        resource.name("".join(sorted(had, key=EVERYTHING.index)))
        for resource, had in zip(walk.named, letters, strict=True)
    ]
    assert walker.attempt(walk.method(*names)) is None


@pytest.mark.parametrize("walk", REFUSED_IF_MISSING, ids=lambda walk: walk.what)
def test_what_is_missing_is_refused_first(walker: Walker, walk: Walk) -> None:
    """So that nobody can find out by it what there is."""
    for letter, position in walk.needs:
        letters = [EVERYTHING.replace(letter if at == position else "", "") for at in range(len(walk.named))]
        names = [resource.name(had) for resource, had in zip(walk.named, letters, strict=True)]
        kind = "queue" if "queue" in walk.named[position].kind else "exchange"
        walker.refused(walk.method(*names), OPERATIONS[letter], kind, names[position])
    names = [resource.name(EVERYTHING) for resource in walk.named]
    refusal = walker.attempt(walk.method(*names))
    assert refusal is not None
    assert refusal[0] == 404


@leveret_only("RabbitMQ before 4.2.6 lets everybody declare passively")
@pytest.mark.parametrize(("method", "resource"), PASSIVE, ids=["exchange", "queue"])
def test_a_passive_declare_needs_any_of_the_three(
    walker: Walker, method: Callable[[str], Method], resource: Resource
) -> None:
    walker.refused(method(resource.name("")), "configure", resource.kind, resource.name(""))
    missing = Resource(f"no {resource.kind}")
    walker.refused(method(missing.name("")), "configure", resource.kind, missing.name(""))
    for letter in EVERYTHING:
        assert walker.attempt(method(resource.name(letter))) is None
        refusal = walker.attempt(method(missing.name(letter)))
        assert refusal is not None
        assert refusal[0] == 404


def test_nothing_was_changed_by_what_was_refused(access: Access, vhost: str, walker: Walker) -> None:
    """A few of the above again, and then what there is."""
    channel = access.connect("guest", vhost).channel()
    channel.queue_purge("queue.CW")
    channel.basic_publish("", "queue.CW", b"kept")
    walker.refused(Queue.Purge(queue="queue.CW"), "read", "queue", "queue.CW")
    walker.refused(Basic.Get(queue="queue.CW", no_ack=True), "read", "queue", "queue.CW")
    walker.refused(Queue.Delete(queue="queue.WR"), "configure", "queue", "queue.WR")
    walker.refused(Queue.Bind(queue="queue.CR", exchange="exchange.R", routing_key="#"), "write", "queue", "queue.CR")
    walker.refused(Basic.Publish(exchange="exchange.R", routing_key="k"), "write", "exchange", "exchange.R")
    walker.refused(Queue.Declare(queue="another queue.WR"), "configure", "queue", "another queue.WR")
    declared = channel.queue_declare("queue.CW", passive=True).method
    assert (declared.message_count, declared.consumer_count) == (1, 0)
    channel.queue_declare("queue.WR", passive=True)
    channel.queue_purge("queue.CR")
    channel.confirm_delivery()
    channel.basic_publish("exchange.R", "k", b"")
    assert channel.basic_get("queue.CR")[0] is None
    with pytest.raises(pika.exceptions.ChannelClosedByBroker):
        channel.queue_declare("another queue.WR", passive=True)


# names that are not as they seem


def test_the_default_exchange_is_called_amq_default(access: Access, vhost: str, walker: Walker) -> None:
    publish = Basic.Publish(exchange="", routing_key="queue.CWR")
    walker.refused(publish, "write", "exchange", "amq.default")
    walker.refused(Exchange.Bind(destination="", source="exchange.R"), "write", "exchange", "amq.default")
    letters = Queue.Declare(queue="new queue.CR", arguments={DLX: ""})
    walker.refused(letters, "write", "exchange", "amq.default")
    user = access.user("default", vhost, "", "^amq\\.default$", "")
    other = Walker(access, user, vhost)
    assert other.attempt(publish) is None
    other.end()
    denied = (403, "ACCESS_REFUSED - operation not permitted on the default exchange")
    for method in (
        Exchange.Declare(exchange="", type="direct"),
        Exchange.Delete(exchange=""),
        Queue.Bind(queue="queue.W", exchange=""),
        Exchange.Bind(destination="exchange.W", source=""),
    ):
        refusal = walker.attempt(method)
        assert refusal is not None
        assert refusal[:2] == denied


def test_reserved_names_are_refused_as_such(walker: Walker) -> None:
    vhost = walker.vhost
    for method, text in (
        (Queue.Declare(queue="amq.queue.CWR"), "queue name 'amq.queue.CWR' contains reserved prefix 'amq.*'"),
        (Queue.Declare(queue="amq.queue.WR"), "queue name 'amq.queue.WR' contains reserved prefix 'amq.*'"),
        (
            Exchange.Declare(exchange="amq.exchange.C", type="direct"),
            "exchange name 'amq.exchange.C' contains reserved prefix 'amq.*'",
        ),
        (
            Exchange.Delete(exchange="amq.exchange.WR"),
            f"deletion of system exchange 'amq.exchange.WR' in vhost '{vhost}' not allowed",
        ),
    ):
        assert walker.attempt(method) == (403, f"ACCESS_REFUSED - {text}", method.NAME)
    refused = Exchange.Declare(exchange="amq.exchange.WR", type="direct")
    walker.refused(refused, "configure", "exchange", "amq.exchange.WR")


def test_a_name_made_by_the_server_is_one_like_others(access: Access, vhost: str, walker: Walker) -> None:
    refusal = walker.attempt(Queue.Declare(queue=""))
    assert refusal is not None
    begin, _, end = refusal[1].partition("amq.gen-")
    text = f"configure access to queue '@' in vhost '{vhost}' refused for user '{walker.user}'"
    assert (begin, "@" + end[22:]) == tuple(f"ACCESS_REFUSED - {text_of_refusal(text)}".replace("'@", "'|@").split("|"))
    user = access.user("generated", vhost, "^amq\\.gen-", "^amq\\.gen-", "^(amq\\.gen-.*|exchange\\.)$")
    channel = access.connect(user, vhost).channel()
    queue = channel.queue_declare("", exclusive=True).method.queue
    channel.queue_bind(queue, "exchange.", "k")
    channel.basic_consume(queue, lambda *_: None)


def test_the_last_declared_queue_is_checked_by_its_name(walker: Walker) -> None:
    walker.attempt(Queue.Declare(queue="queue.C"))
    walker.refused(Basic.Get(queue=""), "read", "queue", "queue.C")
    walker.attempt(Queue.Declare(queue="queue.CR"))
    assert walker.attempt(Basic.Get(queue="")) is None
    walker.refused(Queue.Bind(queue="", exchange="exchange.R"), "write", "queue", "queue.CR")
    refusal = walker.attempt(Queue.Bind(queue="", exchange="exchange.R"))
    assert refusal == (404, "NOT_FOUND - no previously declared queue", "Queue.Bind")


def test_direct_reply_to_needs_permission_to_publish_alone(access: Access, vhost: str) -> None:
    user = access.user("caller", vhost, "", "^amq\\.default$", "")
    channel = access.connect(user, vhost).channel()
    replies: list[bytes] = []
    channel.basic_consume("amq.rabbitmq.reply-to", lambda *reply: replies.append(reply[3]), auto_ack=True)
    server = access.connect("guest", vhost).channel()
    server.queue_purge("queue.CWR")
    channel.basic_publish("", "queue.CWR", b"", pika.BasicProperties(reply_to="amq.rabbitmq.reply-to"))
    request = next(server.consume("queue.CWR", auto_ack=True, inactivity_timeout=10))
    assert request[1] is not None
    server.basic_publish("", request[1].reply_to, b"reply")
    while not replies:
        channel.connection.process_data_events(1)
    assert replies == [b"reply"]


def test_an_internal_exchange_takes_nothing_from_those_who_may_write_to_it(access: Access, vhost: str) -> None:
    channel = access.connect("guest", vhost).channel()
    channel.exchange_declare("internal.CW", "direct", internal=True)
    channel.exchange_declare("internal.CR", "direct", internal=True)
    user = access.user("internal", vhost, "C", "W", "R")
    walker = Walker(access, user, vhost)
    walker.refused(Basic.Publish(exchange="internal.CR"), "write", "exchange", "internal.CR")
    text = f"ACCESS_REFUSED - cannot publish to internal exchange 'internal.CW' in vhost '{vhost}'"
    assert walker.attempt(Basic.Publish(exchange="internal.CW")) == (403, text, "Basic.Publish")
    walker.end()
