"""Dead-lettering: why a message leaves its queue for x-dead-letter-exchange, and what its headers tell afterwards."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from pika import BasicProperties
from pika.adapters.blocking_connection import BlockingChannel, BlockingConnection
from pika.compat import long

from tests.behaviour.conftest import Connect, Names
from tests.behaviour.dead_letters import (
    MISORDERED,
    Mortal,
    death,
    deaths,
    declare,
    first_death,
    history,
    last_death,
    reject,
    send,
    take,
)
from tests.behaviour.expectations import (
    Consumer,
    await_errors,
    get_bodies,
    get_one,
    leveret_only,
    ready_count,
    wait_until,
)

WITH_LAST = leveret_only("RabbitMQ has the headers x-last-death-* since its version 4")


@pytest.fixture
def queue(channel: BlockingChannel, names: Names) -> Mortal:
    return Mortal(channel, names)


@pytest.mark.parametrize("kind", ["classic", "quorum"])
@pytest.mark.parametrize(
    ("reason", "arguments"),
    [("rejected", {}), ("expired", {"message_ttl": 10}), ("maxlen", {"max_length": 0})],
)
def test_reasons(channel: BlockingChannel, names: Names, reason: str, arguments: dict[str, object], kind: str) -> None:
    queue = Mortal(channel, names, queue_type=kind, **arguments)
    queue.publish("x")
    if reason == "rejected":
        reject(channel, queue.name)
    (message,) = queue.died(1)
    assert (message.body, message.exchange, message.routing_key) == (b"x", "", queue.dead)
    assert deaths(message) == [death(queue.name, reason)]
    assert first_death(message) == (reason, queue.name, "")
    assert ready_count(channel, queue.name) == 0


def test_the_reason_of_a_limit_in_bytes_is_the_same(channel: BlockingChannel, names: Names) -> None:
    queue = Mortal(channel, names, max_length_bytes=5)
    queue.publish("123456")
    assert deaths(queue.died(1)[0]) == [death(queue.name, "maxlen")]


@pytest.mark.parametrize("way", ["reject", "nack"])
def test_a_refusal_without_requeue(channel: BlockingChannel, queue: Mortal, way: str) -> None:
    queue.publish("x")
    message = get_one(channel, queue.name, auto_ack=False)
    getattr(channel, f"basic_{way}")(message.tag, requeue=False)
    assert history(queue.died(1)[0]) == [(queue.name, "rejected", 1)]


@pytest.mark.parametrize(
    "kind",
    ["quorum", pytest.param("classic", marks=leveret_only("RabbitMQ has delivery limits for quorum queues alone"))],
)
def test_a_message_that_was_delivered_too_often(channel: BlockingChannel, names: Names, kind: str) -> None:
    queue = Mortal(channel, names, queue_type=kind, delivery_limit=1)
    queue.publish("x")
    for _ in range(2):
        wait_until(lambda: ready_count(channel, queue.name) > 0)
        channel.basic_reject(get_one(channel, queue.name, auto_ack=False).tag, requeue=True)
    (message,) = queue.died(1)
    assert deaths(message) == [death(queue.name, "delivery_limit")]
    assert "x-delivery-count" not in message.properties.headers


@pytest.mark.parametrize("tags", [[0], [2], [0, 1, 2], [2, 0, 1]], ids=["all", "up to", "each", "out of order"])
def test_they_arrive_in_the_order_of_their_refusal(channel: BlockingChannel, queue: Mortal, tags: list[int]) -> None:
    queue.publish("0", "1", "2")
    messages = [get_one(channel, queue.name, auto_ack=False) for _ in range(3)]
    if len(tags) == 1:
        channel.basic_nack(messages[2].tag if tags[0] else 0, multiple=True, requeue=False)
    for index in tags if len(tags) > 1 else []:
        channel.basic_nack(messages[index].tag, requeue=False)
    expected = tags if len(tags) > 1 else range(3)
    assert [message.body.decode() for message in queue.died(3)] == [str(number) for number in expected]


def test_a_consumer_that_refuses_everything_keeps_the_order(channel: BlockingChannel, queue: Mortal) -> None:
    channel.basic_consume(
        queue.name, lambda channel, method, *_: channel.basic_reject(method.delivery_tag, requeue=False)
    )
    bodies = [str(number) for number in range(200)]
    queue.publish(*bodies)
    wait_until(lambda: ready_count(channel, queue.dead) == 200, channel.connection)
    assert [message.body.decode() for message in queue.died(200)] == bodies


def test_what_is_no_death(channel: BlockingChannel, connection: BlockingConnection, queue: Mortal) -> None:
    other = connection.channel()
    queue.publish("requeued", "acked", "taken", "recovered", "closed", "purged")
    channel.basic_nack(get_one(channel, queue.name, auto_ack=False).tag, requeue=True)
    assert get_one(channel, queue.name).body == b"requeued"
    channel.basic_ack(get_one(channel, queue.name, auto_ack=False).tag)
    get_one(channel, queue.name)
    get_one(channel, queue.name, auto_ack=False)
    channel.basic_recover(requeue=True)
    assert get_one(channel, queue.name).body == b"recovered"
    get_one(other, queue.name, auto_ack=False)
    other.close()
    wait_until(lambda: ready_count(channel, queue.name) == 2)
    assert get_one(channel, queue.name).body == b"closed"
    assert channel.queue_purge(queue.name).method.message_count == 1
    queue.publish("deleted")
    assert channel.queue_delete(queue.name).method.message_count == 1
    assert ready_count(channel, queue.dead) == 0


def test_everything_else_of_the_message_stays(channel: BlockingChannel, queue: Mortal) -> None:
    kept = {"content_type": "a/b", "delivery_mode": 2, "priority": 3, "correlation_id": "c", "reply_to": "r"}
    kept |= {"message_id": "m", "timestamp": 5, "type": "t", "user_id": "guest", "app_id": "a"}
    own = {"b": True, "l": [1, "a"], "n": None, "t": {"z": 1, "a": 2}, "w": 2**40}
    body = bytes(range(256)) * 2000
    queue.publish(body, headers=own, **kept)
    reject(channel, queue.name)
    (message,) = queue.died(1)
    assert message.body == body
    assert {name: getattr(message.properties, name) for name in kept} == kept
    headers = message.properties.headers
    assert {name: value for name, value in headers.items() if not name.startswith("x-")} == own


def test_a_redelivered_message_is_new_where_it_arrives(channel: BlockingChannel, queue: Mortal) -> None:
    queue.publish("x")
    channel.basic_nack(get_one(channel, queue.name, auto_ack=False).tag, requeue=True)
    assert reject(channel, queue.name).redelivered
    assert not queue.died(1)[0].redelivered


def test_the_headers_are_sorted(channel: BlockingChannel, queue: Mortal) -> None:
    headers = list(queue.reject(headers={"z": 1, "b": 2, "x-a": 3, "x-z": 4, "A": 5}).properties.headers)
    assert headers == sorted(headers)


@WITH_LAST
def test_the_headers_that_are_added(channel: BlockingChannel, queue: Mortal) -> None:
    message = queue.reject()
    parts = ("exchange", "queue", "reason")
    added = ["x-death", *(f"x-{which}-death-{part}" for which in ("first", "last") for part in parts)]
    assert list(message.properties.headers) == added
    assert last_death(message) == first_death(message) == ("rejected", queue.name, "")


@leveret_only("RabbitMQ 3 has original-expiration last, and sorts the keys of an entry when it counts it anew")
def test_the_keys_of_an_entry_have_an_order(channel: BlockingChannel, names: Names) -> None:
    queue = names.queue()
    declare(channel, queue, "", queue)
    send(channel, "", queue, "x", expiration="60000")
    order = ["original-expiration", "count", "reason", "queue", "time", "exchange", "routing-keys"]
    for _ in range(2):
        reject(channel, queue)
        wait_until(lambda: ready_count(channel, queue) == 1)
        message = get_one(channel, queue, auto_ack=False)
        (entry,) = message.properties.headers["x-death"]
        assert list(entry) == order
        channel.basic_nack(message.tag, requeue=True)


@pytest.mark.parametrize("expiration", ["20", "+020", "60000"])
def test_the_expiration_is_kept_only_in_the_entry(channel: BlockingChannel, queue: Mortal, expiration: str) -> None:
    queue.publish("x", expiration=expiration)
    if expiration == "60000":
        reject(channel, queue.name)
    (message,) = queue.died(1)
    assert message.properties.expiration is None
    reason = "rejected" if expiration == "60000" else "expired"
    written = deaths(message)[0]["original-expiration"]
    assert (history(message), int(str(written))) == ([(queue.name, reason, 1)], int(expiration))


def test_only_the_first_entry_has_the_expiration(channel: BlockingChannel, names: Names) -> None:
    queue = Mortal(channel, names)
    source = declare(channel, names.queue(), "", queue.name)
    send(channel, "", source, "x", expiration="60000")
    reject(channel, source)
    assert reject(channel, queue.name).properties.expiration is None
    assert deaths(queue.died(1)[0]) == [
        death(queue.name, "rejected"),
        death(source, "rejected", original_expiration="60000"),
    ]


def test_an_entry_tells_where_the_message_was_published(channel: BlockingChannel, queue: Mortal, names: Names) -> None:
    exchange = names.exchange()
    channel.exchange_declare(exchange, "topic")
    channel.queue_bind(queue.name, exchange, "a.*")
    send(channel, exchange, "a.b", "x", headers={"CC": ["c.d"], "BCC": ["e.f"]})
    reject(channel, queue.name)
    (message,) = queue.died(1)
    assert deaths(message) == [death(queue.name, "rejected", exchange=exchange, keys=["a.b", "c.d"])]
    assert first_death(message) == ("rejected", queue.name, exchange)


def test_a_second_death_of_the_same_kind_is_counted(channel: BlockingChannel, names: Names) -> None:
    first, second = names.queue(), names.queue()
    declare(channel, first, "", second)
    declare(channel, second, "", first)
    send(channel, "", first, "x")
    for turn in (1, 2, 3):
        reject(channel, first)
        message = reject(channel, second)
        assert history(message)[0] == (first, "rejected", turn)
    (message,) = take(channel, first, 1)
    assert deaths(message) == [death(second, "rejected", 3), death(first, "rejected", 3)]
    assert first_death(message) == ("rejected", first, "")


@WITH_LAST
def test_the_last_death_is_the_newest(channel: BlockingChannel, names: Names) -> None:
    queue = Mortal(channel, names, message_ttl=10)
    source = declare(channel, names.queue(), "amq.direct", queue.name)
    channel.queue_bind(queue.name, "amq.direct", queue.name)
    send(channel, "", source, "x")
    reject(channel, source)
    (message,) = queue.died(1)
    assert first_death(message) == ("rejected", source, "")
    assert last_death(message) == ("expired", queue.name, "amq.direct")


@MISORDERED
def test_the_newest_death_is_the_first_entry(channel: BlockingChannel, names: Names) -> None:
    one, two = names.queue(), names.queue()
    declare(channel, one, "", two, message_ttl=200)
    declare(channel, two, "", one)
    send(channel, "", one, "x")
    reject(channel, one)
    reject(channel, two)
    message = reject(channel, two)
    assert history(message) == [(one, "expired", 1), (two, "rejected", 1), (one, "rejected", 1)]
    reject(channel, one)
    (message,) = take(channel, two, 1)
    assert history(message) == [(one, "rejected", 2), (two, "rejected", 2), (one, "expired", 1)]


def test_the_time_is_that_of_the_first_death(channel: BlockingChannel, queue: Mortal) -> None:
    then = datetime.fromtimestamp(1000, UTC)
    entry = {"count": long(4), "reason": "rejected", "queue": queue.name, "time": then, "exchange": "e"}
    message = queue.reject(headers={"x-death": [entry | {"routing-keys": ["k"]}]})
    assert message.properties.headers["x-death"] == [entry | {"count": 5, "routing-keys": ["k"]}]


def test_a_message_published_again_with_its_headers_is_counted_on(channel: BlockingChannel, queue: Mortal) -> None:
    headers = queue.reject().properties.headers
    message = queue.reject(headers=headers)
    assert deaths(message) == [death(queue.name, "rejected", 2)]
    assert first_death(message) == ("rejected", queue.name, "")


def test_deaths_that_a_client_tells_of_other_queues_stay(channel: BlockingChannel, queue: Mortal) -> None:
    entry = death("other", "expired", long(7)) | {"time": datetime.now(UTC).replace(microsecond=0)}  # type: ignore[arg-type]
    message = queue.reject(headers={"x-death": [entry]})
    assert history(message) == [(queue.name, "rejected", 1), ("other", "expired", 7)]


def test_headers_of_a_client_that_are_no_deaths_are_replaced(channel: BlockingChannel, queue: Mortal) -> None:
    message = queue.reject(headers={"x-death": "soon"})
    assert deaths(message) == [death(queue.name, "rejected")]
    message = queue.reject(headers={"x-first-death-queue": "mine"})
    assert first_death(message) == ("rejected", queue.name, "")


def test_death_in_a_transaction_comes_with_the_commit(
    channel: BlockingChannel, connection: BlockingConnection, queue: Mortal
) -> None:
    work = connection.channel()
    work.tx_select()
    queue.publish("1", "2")
    message = get_one(work, queue.name, auto_ack=False)
    work.basic_reject(message.tag, requeue=False)
    await_errors(work)
    work.tx_rollback()
    assert (ready_count(channel, queue.name), ready_count(channel, queue.dead)) == (1, 0)
    work.basic_reject(message.tag, requeue=False)
    await_errors(work)
    assert ready_count(channel, queue.dead) == 0
    work.basic_publish("", queue.name, b"3")
    work.tx_commit()
    assert [message.body for message in queue.died(1)] == [b"1"]
    assert get_bodies(channel, queue.name) == [b"2", b"3"]


@pytest.mark.parametrize("reason", ["expired", "maxlen"])
def test_confirmed_messages_arrive(
    channel: BlockingChannel, connection: BlockingConnection, names: Names, reason: str
) -> None:
    queue = Mortal(channel, names, **({"max_length": 0} if reason == "maxlen" else {"message_ttl": 0}))
    publisher = connection.channel()
    publisher.confirm_delivery()
    for number in range(20):
        publisher.basic_publish("", queue.name, str(number), BasicProperties(delivery_mode=2), mandatory=True)
    messages = queue.died(20)
    assert [message.body.decode() for message in messages] == [str(number) for number in range(20)]
    assert {message.properties.delivery_mode for message in messages} == {2}


def test_a_waiting_consumer_gets_the_dead(channel: BlockingChannel, connect: Connect, queue: Mortal) -> None:
    consumer = Consumer(connect().channel(), queue.dead)
    queue.publish("x")
    reject(channel, queue.name)
    message = consumer.wait_for(1)[0]
    assert (message.body, message.routing_key, message.redelivered) == (b"x", queue.dead, False)
