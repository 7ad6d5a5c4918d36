"""Declaring, binding and deleting queues and exchanges: what is there afterwards, and what is refused."""

from __future__ import annotations

import pytest

from leveret.amqp.field_table import FieldValue, Table, table_from_python
from leveret.amqp.methods import (
    BasicConsume,
    BasicGet,
    ChannelCloseOk,
    ChannelOpen,
    ExchangeBind,
    ExchangeBindOk,
    ExchangeDeclare,
    ExchangeDeclareOk,
    ExchangeDelete,
    ExchangeDeleteOk,
    ExchangeUnbind,
    ExchangeUnbindOk,
    Method,
    QueueBind,
    QueueBindOk,
    QueueDeclare,
    QueueDeclareOk,
    QueueDelete,
    QueueDeleteOk,
    QueuePurge,
    QueuePurgeOk,
    QueueUnbind,
    QueueUnbindOk,
)
from tests.broker.driver import Client, Driver

LOCKED = "cannot obtain exclusive access to locked queue 'queue' in vhost '/'."


def table(**values: object) -> Table:
    return table_from_python({name.replace("_", "-"): value for name, value in values.items()})


def reopen(client: Client) -> None:
    client.send(ChannelCloseOk())
    client.call(ChannelOpen())


# queues


def test_a_queue_without_a_name_is_given_one(client: Client) -> None:
    names = []
    for _ in range(2):
        reply = client.call(QueueDeclare("", exclusive=True)).method
        assert isinstance(reply, QueueDeclareOk)
        assert reply.queue.startswith("amq.gen-")
        names.append(reply.queue)
    assert len(set(names)) == 2
    assert client.driver.queue_names() == set(names)


def test_an_empty_name_is_the_last_one_declared(driver: Driver, client: Client) -> None:
    client.declare("queue")
    client.call(ExchangeDeclare("exchange"))
    assert client.call(QueueBind("", "exchange")).method == QueueBindOk()
    client.publish("exchange", "queue")
    assert driver.counts("queue") == (1, 0)
    assert client.call(QueuePurge("")).method == QueuePurgeOk(1)
    assert client.call(QueueUnbind("", "exchange")).method == QueueUnbindOk()
    client.publish("", "queue")
    client.publish("exchange", "queue")
    assert client.call(BasicGet("")).body == b""
    assert client.call(QueueDelete("")).method == QueueDeleteOk(0)
    assert driver.queue_names() == set()


@pytest.mark.parametrize(
    "method", [QueuePurge(""), QueueDelete(""), QueueBind("", "amq.direct"), BasicGet(""), BasicConsume("")], ids=repr
)
def test_an_empty_name_before_any_was_declared(client: Client, method: Method) -> None:
    assert client.refusal(method) == (404, "no previously declared queue")


@pytest.mark.parametrize(
    "method",
    [QueueDeclare("queue", passive=True), QueuePurge("queue"), QueueBind("queue", "amq.direct"), BasicGet("queue")],
    ids=repr,
)
def test_a_queue_that_is_not_there(client: Client, method: Method) -> None:
    assert client.refusal(method) == (404, "no queue 'queue' in vhost '/'")


def test_deleting_or_unbinding_what_is_not_there_is_fine(client: Client) -> None:
    client.declare("queue")
    for method, reply in (
        (QueueDelete("missing"), QueueDeleteOk(0)),
        (QueueUnbind("missing", "amq.direct"), QueueUnbindOk()),
        (QueueUnbind("queue", "amq.direct", "key"), QueueUnbindOk()),
        (QueueUnbind("queue", "missing"), QueueUnbindOk()),
        (ExchangeDelete("missing"), ExchangeDeleteOk()),
        (ExchangeUnbind("missing", "amq.direct"), ExchangeUnbindOk()),
        (ExchangeUnbind("amq.direct", "missing"), ExchangeUnbindOk()),
    ):
        assert client.call(method).method == reply


def test_declaring_again_changes_nothing(client: Client) -> None:
    arguments = table(x_max_length=5, x_queue_type="classic", anything="one")
    for _ in range(2):
        reply = client.call(QueueDeclare("queue", durable=True, auto_delete=True, arguments=arguments)).method
        assert reply == QueueDeclareOk("queue", 0, 0)
    other = table(anything="another") | {"x-max-length": FieldValue("l", 5)}
    assert client.call(QueueDeclare("queue", durable=True, auto_delete=True, arguments=other)).method == reply


@pytest.mark.parametrize(
    ("again", "text"),
    [
        (QueueDeclare("queue", durable=False), "'durable' for {}: received 'false' but current is 'true'"),
        (QueueDeclare("queue", durable=True, auto_delete=True), "'auto_delete' for {}: received 'true' but current is"),
        (
            QueueDeclare("queue", durable=True, arguments=table(x_max_length=6)),
            "'x-max-length' for {}: received '6' but current is '5'",
        ),
        (
            QueueDeclare("queue", durable=True, arguments=table(x_max_length=5, x_overflow="reject-publish")),
            "'x-overflow' for {}: received the value 'reject-publish' of type 'longstr' but current is none",
        ),
        (
            QueueDeclare("queue", durable=True),
            "'x-max-length' for {}: received none but current is the value '5' of type 'signedint'",
        ),
        (
            QueueDeclare("queue", durable=True, arguments=table(x_max_length=5, x_queue_type="quorum")),
            "'x-queue-type' for {}: received the value 'quorum' of type 'longstr' but current is none",
        ),
        (
            QueueDeclare("queue", durable=True, arguments=table(x_max_length=5, x_single_active_consumer=True)),
            "'x-single-active-consumer' for {}: received the value 'true' of type 'bool' but current is none",
        ),
    ],
    ids=repr,
)
def test_a_queue_is_not_changed_by_declaring_it_again(client: Client, again: Method, text: str) -> None:
    client.call(QueueDeclare("queue", durable=True, arguments=table(x_max_length=5)))
    code, said = client.refusal(again)
    assert code == 406
    assert said.startswith("inequivalent arg " + text.format("queue 'queue' in vhost '/'"))


def test_an_exclusive_queue_is_locked_for_others_and_goes_with_its_connection(driver: Driver, client: Client) -> None:
    other = driver.log_in()
    other.call(QueueDeclare("queue", durable=True, exclusive=True))
    assert not driver.queue("queue").durable
    for method in (
        *(QueueDeclare("queue"), QueueDeclare("queue", exclusive=True), QueueDeclare("queue", passive=True)),
        *(QueuePurge("queue"), QueueDelete("queue"), QueueBind("queue", "amq.direct"), BasicGet("queue")),
        *(QueueUnbind("queue", "amq.direct"), BasicConsume("queue")),
    ):
        code, text = client.refusal(method)
        assert (code, text[: len(LOCKED)]) == (405, LOCKED), method
        reopen(client)
    assert other.call(QueueDeclare("queue", durable=True, exclusive=True)).method == QueueDeclareOk("queue", 0, 0)
    other.lose()
    assert client.declare("queue") == (0, 0)
    assert client.refusal(QueueDeclare("queue", exclusive=True))[0] == 405


@pytest.mark.parametrize("name", ["amq.queue", "amq.gen-mine"])
def test_names_of_the_broker_are_reserved(client: Client, name: str) -> None:
    assert client.refusal(QueueDeclare(name)) == (403, f"queue name '{name}' contains reserved prefix 'amq.*'")
    reopen(client)
    assert client.refusal(ExchangeDeclare(name)) == (403, f"exchange name '{name}' contains reserved prefix 'amq.*'")


def test_line_breaks_in_names_are_dropped(driver: Driver, client: Client) -> None:
    assert client.call(QueueDeclare("que\r\nue")).method == QueueDeclareOk("queue", 0, 0)
    client.call(ExchangeDeclare("exchange\n"))
    assert client.call(ExchangeDeclare("exchange", passive=True)).method == ExchangeDeclareOk()


def test_a_queue_is_deleted_only_if_it_is_empty_and_unused(driver: Driver, client: Client) -> None:
    client.declare("queue")
    client.publish("", "queue")
    assert client.refusal(QueueDelete("queue", if_empty=True)) == (406, "queue 'queue' in vhost '/' not empty")
    reopen(client)
    client.call(QueuePurge("queue"))
    client.call(BasicConsume("queue", "tag"))
    assert client.refusal(QueueDelete("queue", if_unused=True), 2) == (406, "queue 'queue' in vhost '/' in use")
    client.send(ChannelCloseOk(), 2)
    client.call(ChannelOpen(), 2)
    client.publish("", "queue")
    driver.tick()
    client.take()
    client.send(QueueDelete("queue", if_empty=True), 2)
    driver.tick()
    assert [received.method.name for received in client.take()] == ["queue.delete-ok", "basic.cancel"]


def test_without_waiting_nothing_is_answered(driver: Driver, client: Client) -> None:
    client.send(QueueDeclare("queue", nowait=True))
    client.send(ExchangeDeclare("source", "fanout", nowait=True))
    client.send(ExchangeDeclare("next", "fanout", nowait=True))
    client.send(ExchangeBind("next", "source", nowait=True))
    client.send(QueueBind("queue", "next", nowait=True))
    client.publish("source", "")
    driver.tick()
    assert driver.counts("queue") == (1, 0)
    client.send(QueuePurge("queue", nowait=True))
    assert driver.counts("queue") == (0, 0)
    client.send(ExchangeUnbind("next", "source", nowait=True))
    client.publish("source", "")
    client.send(ExchangeDelete("next", nowait=True))
    assert driver.counts("queue") == (0, 0)
    client.send(QueueDelete("queue", nowait=True))
    driver.tick()
    assert client.take() == []
    assert driver.queue_names() == set()


# exchanges


@pytest.mark.parametrize(
    ("again", "text"),
    [
        (
            ExchangeDeclare("exchange", "fanout", durable=True),
            "'type' for {}: received 'fanout' but current is 'direct'",
        ),
        (ExchangeDeclare("exchange"), "'durable' for {}: received 'false' but current is 'true'"),
        (
            ExchangeDeclare("exchange", durable=True, auto_delete=True),
            "'auto_delete' for {}: received 'true' but current is 'false'",
        ),
        (
            ExchangeDeclare("exchange", durable=True, internal=True),
            "'internal' for {}: received 'true' but current is 'false'",
        ),
        (
            ExchangeDeclare("exchange", durable=True, arguments=table(alternate_exchange="b")),
            "'alternate-exchange' for {}: received 'b' but current is 'a'",
        ),
    ],
    ids=repr,
)
def test_an_exchange_is_not_changed_by_declaring_it_again(client: Client, again: Method, text: str) -> None:
    first = ExchangeDeclare("exchange", durable=True, arguments=table(alternate_exchange="a", anything=1))
    assert client.call(first).method == ExchangeDeclareOk()
    assert client.call(first).method == ExchangeDeclareOk()
    assert client.refusal(again) == (406, "inequivalent arg " + text.format("exchange 'exchange' in vhost '/'"))


DEFAULT = (403, "operation not permitted on the default exchange")
REFUSED: list[tuple[Method, tuple[int, str]]] = [
    (ExchangeDeclare("missing", passive=True), (404, "no exchange 'missing' in vhost '/'")),
    (ExchangeDeclare("exchange", "x-unknown"), (406, "unknown exchange type 'x-unknown'")),
    (
        ExchangeDeclare("exchange", arguments=table(alternate_exchange=True)),
        (406, "invalid type 'bool' for arg 'alternate-exchange' in exchange 'exchange' in vhost '/'"),
    ),
    (ExchangeDelete("amq.topic"), (403, "deletion of system exchange 'amq.topic' in vhost '/' not allowed")),
    (ExchangeDelete("used", if_unused=True), (406, "exchange 'used' in vhost '/' in use")),
    (ExchangeBind("missing", "used"), (404, "no exchange 'missing' in vhost '/'")),
    (ExchangeBind("used", "missing"), (404, "no exchange 'missing' in vhost '/'")),
    (QueueBind("queue", "missing"), (404, "no exchange 'missing' in vhost '/'")),
    *[(method, DEFAULT) for method in (ExchangeDeclare(""), ExchangeDeclare("", passive=True), ExchangeDelete(""))],
    *[(method, DEFAULT) for method in (ExchangeBind("", "used"), ExchangeBind("used", ""), QueueBind("queue", ""))],
    *[(method, DEFAULT) for method in (ExchangeUnbind("", "used"), ExchangeUnbind("used", ""))],
    (QueueUnbind("queue", ""), DEFAULT),
    (
        QueueBind("queue", "amq.headers", arguments=table(x_match="some")),
        (406, 'Invalid x-match field value <<"some">>; expected all, any, all-with-x, or any-with-x'),
    ),
]


@pytest.mark.parametrize(("method", "refusal"), REFUSED, ids=[repr(method) for method, _ in REFUSED])
def test_what_is_refused_of_exchanges(client: Client, method: Method, refusal: tuple[int, str]) -> None:
    client.declare("queue")
    client.call(ExchangeDeclare("used"))
    client.call(QueueBind("queue", "used"))
    assert client.refusal(method) == refusal


def test_an_exchange_is_deleted_with_its_bindings(driver: Driver, client: Client) -> None:
    client.declare("queue")
    for name in ("source", "middle"):
        client.call(ExchangeDeclare(name, "topic"))
    assert client.call(ExchangeBind("middle", "source", "#")).method == ExchangeBindOk()
    client.call(QueueBind("queue", "middle", "#"))
    assert client.call(ExchangeDelete("middle", if_unused=False)).method == ExchangeDeleteOk()
    client.call(ExchangeDeclare("middle", "topic"))
    client.publish("source", "key")
    client.publish("middle", "key")
    assert driver.counts("queue") == (0, 0)
    assert client.call(ExchangeDelete("source", if_unused=True)).method == ExchangeDeleteOk()


def test_auto_delete_exchanges_go_one_after_another(driver: Driver, client: Client) -> None:
    """The last binding of one may be the binding of another to it."""
    client.declare("queue")
    for name in ("a", "b", "c"):
        client.call(ExchangeDeclare(name, "fanout", auto_delete=True))
    client.call(ExchangeBind("b", "a"))
    client.call(ExchangeBind("c", "b"))
    client.call(ExchangeBind("a", "a"))
    client.call(QueueBind("queue", "c"))
    client.call(QueueDelete("queue"))
    assert client.refusal(ExchangeDeclare("c", passive=True))[0] == 404
    reopen(client)
    assert client.refusal(ExchangeDeclare("b", passive=True))[0] == 404
    reopen(client)
    assert client.call(ExchangeDeclare("a", passive=True)).method == ExchangeDeclareOk()
    client.call(ExchangeUnbind("a", "a"))
    assert client.refusal(ExchangeDeclare("a", passive=True))[0] == 404
