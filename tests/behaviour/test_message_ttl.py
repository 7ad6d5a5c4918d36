"""How long a message may wait: x-message-ttl of its queue, and its own property `expiration`, both in milliseconds.

Where a deadline must have passed, a test waits for another message that was published later with the same time to live,
so that it is the clock of the broker that counts and not that of a busy test machine.
"""

from __future__ import annotations

import pytest
from pika import BasicProperties
from pika.adapters.blocking_connection import BlockingChannel, BlockingConnection

from tests.behaviour.conftest import Names
from tests.behaviour.dead_letters import Mortal, declare, send
from tests.behaviour.expectations import (
    Consumer,
    await_errors,
    channel_closed,
    get,
    get_one,
    give_all_back,
    leveret_only,
    publish,
    ready_count,
    wait_until,
)

SHORT = 30
LONG = 60_000


def let_pass(channel: BlockingChannel, names: Names, milliseconds: int) -> None:
    """Wait until a message of this time to live, published now, has expired."""
    clock = names.queue("clock")
    channel.queue_declare(clock)
    send(channel, "", clock, "tick", expiration=str(milliseconds))
    wait_until(lambda: ready_count(channel, clock) == 0)


def test_a_message_expires_after_the_time_of_its_queue(channel: BlockingChannel, names: Names) -> None:
    queue = Mortal(channel, names, message_ttl=SHORT)
    queue.publish("old")
    assert queue.died_bodies(1) == [b"old"]
    assert ready_count(channel, queue.name) == 0


def test_a_message_expires_after_its_own_time(channel: BlockingChannel, names: Names) -> None:
    queue = Mortal(channel, names)
    queue.publish("old", expiration=str(SHORT))
    assert queue.died_bodies(1) == [b"old"]
    assert ready_count(channel, queue.name) == 0


@pytest.mark.parametrize(("of_queue", "of_message"), [(SHORT, LONG), (LONG, SHORT)])
def test_the_lower_time_wins(channel: BlockingChannel, names: Names, of_queue: int, of_message: int) -> None:
    queue = Mortal(channel, names, message_ttl=of_queue)
    queue.publish("old", expiration=str(of_message))
    assert queue.died_bodies(1) == [b"old"]


def test_a_message_in_time_is_still_there(channel: BlockingChannel, names: Names) -> None:
    queue = Mortal(channel, names, message_ttl=LONG)
    queue.publish("young")
    let_pass(channel, names, SHORT)
    assert queue.ready() == [b"young"]


@pytest.mark.parametrize("delivery_mode", [1, 2])
def test_persistent_messages_expire_as_others_do(channel: BlockingChannel, names: Names, delivery_mode: int) -> None:
    queue = Mortal(channel, names, message_ttl=SHORT)
    queue.publish("old", delivery_mode=delivery_mode)
    assert queue.died_bodies(1) == [b"old"]


def test_quorum_queues_know_both_times(channel: BlockingChannel, names: Names) -> None:
    queue = Mortal(channel, names, queue_type="quorum", message_ttl=SHORT)
    queue.publish("of the queue")
    assert queue.died_bodies(1) == [b"of the queue"]
    queue = Mortal(channel, names, queue_type="quorum")
    queue.publish("of its own", expiration=str(SHORT))
    assert queue.died_bodies(1) == [b"of its own"]


def test_without_a_dead_letter_exchange_it_is_gone(channel: BlockingChannel, names: Names) -> None:
    queue = names.queue()
    channel.queue_declare(queue, arguments={"x-message-ttl": SHORT})
    publish(channel, queue, "1", "2", "3")
    wait_until(lambda: ready_count(channel, queue) == 0)
    assert get(channel, queue) is None
    assert channel.queue_delete(queue, if_empty=True).method.message_count == 0


def test_messages_expire_in_the_order_of_the_queue(channel: BlockingChannel, names: Names) -> None:
    queue = Mortal(channel, names, message_ttl=SHORT)
    bodies = [str(number) for number in range(300)]
    queue.publish(*bodies)
    assert queue.died_bodies(300) == [body.encode() for body in bodies]


def test_one_that_dies_sooner_waits_for_those_ahead(channel: BlockingChannel, names: Names) -> None:
    queue = Mortal(channel, names)
    for body, milliseconds in (("1", 90), ("2", 60), ("3", 30)):
        queue.publish(body, expiration=str(milliseconds))
    assert queue.died_bodies(3) == [b"1", b"2", b"3"]


def test_a_message_expires_only_at_the_head(channel: BlockingChannel, names: Names) -> None:
    queue = Mortal(channel, names)
    queue.publish("head")
    queue.publish("behind", expiration=str(SHORT))
    let_pass(channel, names, SHORT)
    assert (ready_count(channel, queue.name), ready_count(channel, queue.dead)) == (2, 0)
    assert get_one(channel, queue.name).body == b"head"
    assert queue.died_bodies(1) == [b"behind"]
    assert get(channel, queue.name) is None


def test_what_has_expired_behind_the_head_is_passed_over(channel: BlockingChannel, names: Names) -> None:
    queue = Mortal(channel, names)
    for body in ("1", "2", "3", "4"):
        queue.publish(body, **({} if body in "13" else {"expiration": str(SHORT)}))
    let_pass(channel, names, SHORT)
    first = get_one(channel, queue.name)
    # the count is that after the expired message has left
    assert (first.body, first.method.message_count) == (b"1", 2)
    assert queue.ready() == [b"3"]
    assert queue.died_bodies(2) == [b"2", b"4"]


def test_a_consumer_is_not_given_what_has_expired(channel: BlockingChannel, names: Names) -> None:
    queue = Mortal(channel, names)
    queue.publish("1")
    queue.publish("2", expiration=str(SHORT))
    queue.publish("3")
    let_pass(channel, names, SHORT)
    consumer = Consumer(channel, queue.name)
    assert [message.body for message in consumer.wait_for(2)] == [b"1", b"3"]
    assert queue.died_bodies(1) == [b"2"]


def test_a_head_that_is_delivered_shields_no_longer(channel: BlockingChannel, names: Names) -> None:
    queue = Mortal(channel, names)
    queue.publish("head")
    queue.publish("behind", expiration=str(SHORT))
    head = get_one(channel, queue.name, auto_ack=False)
    assert queue.died_bodies(1) == [b"behind"]
    channel.basic_nack(head.tag, requeue=True)
    assert queue.ready() == [b"head"]


def test_a_head_that_came_back_shields_again(channel: BlockingChannel, names: Names) -> None:
    queue = Mortal(channel, names)
    queue.publish("head")
    queue.publish("behind", expiration=str(5 * SHORT))
    channel.basic_nack(get_one(channel, queue.name, auto_ack=False).tag, requeue=True)
    let_pass(channel, names, 5 * SHORT)
    assert (ready_count(channel, queue.name), ready_count(channel, queue.dead)) == (2, 0)


def test_a_higher_priority_shields_a_lower_one(channel: BlockingChannel, names: Names) -> None:
    queue = Mortal(channel, names, max_priority=5)
    queue.publish("low", priority=1, expiration=str(SHORT))
    queue.publish("high", priority=5)
    let_pass(channel, names, SHORT)
    assert (ready_count(channel, queue.name), ready_count(channel, queue.dead)) == (2, 0)
    assert queue.ready() == [b"high"]
    assert queue.died_bodies(1) == [b"low"]


@leveret_only("RabbitMQ sets no timer for a message that becomes the head of a priority queue that has others")
def test_a_new_head_of_a_priority_queue_expires(channel: BlockingChannel, names: Names) -> None:
    queue = Mortal(channel, names, max_priority=5)
    queue.publish("low", priority=1)
    queue.publish("high", priority=5, expiration=str(SHORT))
    assert queue.died_bodies(1) == [b"high"]
    assert queue.ready() == [b"low"]


def test_a_delivered_message_does_not_expire(channel: BlockingChannel, names: Names) -> None:
    queue = Mortal(channel, names, message_ttl=4 * SHORT)
    queue.publish("work")
    message = get_one(channel, queue.name, auto_ack=False)
    let_pass(channel, names, 4 * SHORT)
    channel.basic_ack(message.tag)
    await_errors(channel)
    assert (ready_count(channel, queue.name), ready_count(channel, queue.dead)) == (0, 0)


def test_a_requeued_message_keeps_its_deadline(channel: BlockingChannel, names: Names) -> None:
    queue = Mortal(channel, names, message_ttl=150)
    queue.publish("first")
    message = get_one(channel, queue.name, auto_ack=False)
    let_pass(channel, names, 75)
    later = declare(channel, names.queue(), "", queue.dead, message_ttl=150)
    publish(channel, later, "second")
    channel.basic_nack(message.tag, requeue=True)
    # with a deadline counted anew from the requeue, "first" would die after "second"
    assert queue.died_bodies(2) == [b"first", b"second"]


def test_a_message_requeued_after_its_deadline_expires_at_once(channel: BlockingChannel, names: Names) -> None:
    queue = Mortal(channel, names, message_ttl=100)
    queue.publish("first")
    message = get_one(channel, queue.name, auto_ack=False)
    let_pass(channel, names, 100)
    consumer = Consumer(channel, queue.name)
    channel.basic_nack(message.tag, requeue=True)
    assert queue.died_bodies(1) == [b"first"]
    assert consumer.settle() == []


def test_a_closed_channel_gives_back_with_the_old_deadline(
    channel: BlockingChannel, connection: BlockingConnection, names: Names
) -> None:
    queue = Mortal(channel, names, message_ttl=100)
    queue.publish("first")
    other = connection.channel()
    get_one(other, queue.name, auto_ack=False)
    let_pass(channel, names, 100)
    other.close()
    assert queue.died_bodies(1) == [b"first"]


@pytest.mark.parametrize("of_queue", [True, False])
def test_a_time_of_zero_is_over_unless_a_consumer_waits(channel: BlockingChannel, names: Names, of_queue: bool) -> None:
    queue = Mortal(channel, names, **({"message_ttl": 0} if of_queue else {}))
    properties = {} if of_queue else {"expiration": "0"}
    queue.publish("nobody there", **properties)
    assert queue.died_bodies(1) == [b"nobody there"]
    channel.basic_qos(prefetch_count=1)
    consumer = Consumer(channel, queue.name)
    queue.publish("somebody there", "somebody busy", **properties)
    assert consumer.wait_for(1)[0].body == b"somebody there"
    assert queue.died_bodies(1) == [b"somebody busy"]


def test_a_message_of_no_time_is_not_given_twice(channel: BlockingChannel, names: Names) -> None:
    queue = Mortal(channel, names, message_ttl=0)
    consumer = Consumer(channel, queue.name)
    queue.publish("once")
    channel.basic_nack(consumer.wait_for(1)[0].tag, requeue=True)
    assert queue.died_bodies(1) == [b"once"]
    assert consumer.settle() == [b"once"]


def test_a_message_of_no_time_waits_behind_the_head(channel: BlockingChannel, names: Names) -> None:
    queue = Mortal(channel, names)
    queue.publish("head")
    queue.publish("behind", expiration="0")
    assert (ready_count(channel, queue.name), ready_count(channel, queue.dead)) == (2, 0)
    assert get_one(channel, queue.name).body == b"head"
    assert queue.died_bodies(1) == [b"behind"]


@pytest.mark.parametrize("back", ["recover", "nack", "close"])
def test_what_comes_back_with_its_head_waits_behind_it(
    channel: BlockingChannel, connection: BlockingConnection, names: Names, back: str
) -> None:
    queue = Mortal(channel, names)
    other = connection.channel()
    consumer = Consumer(other, queue.name)
    queue.publish("head")
    queue.publish("behind", expiration="0")
    other.basic_nack(consumer.wait_for(2)[0].tag, requeue=True)
    assert consumer.wait_for(3)[2].body == b"head"
    other.basic_cancel(consumer.tag)
    give_all_back(other, back)
    assert (ready_count(channel, queue.name), ready_count(channel, queue.dead)) == (2, 0)
    assert get_one(channel, queue.name).body == b"head"
    assert queue.died_bodies(1) == [b"behind"]


def test_consumers_in_time_get_everything(channel: BlockingChannel, names: Names) -> None:
    queue = Mortal(channel, names, message_ttl=SHORT)
    consumer = Consumer(channel, queue.name)
    bodies = [str(number) for number in range(50)]
    queue.publish(*bodies)
    assert [message.body.decode() for message in consumer.wait_for(50)] == bodies
    let_pass(channel, names, SHORT)
    assert (ready_count(channel, queue.name), ready_count(channel, queue.dead)) == (0, 0)


def test_what_a_busy_consumer_leaves_expires(channel: BlockingChannel, names: Names) -> None:
    queue = Mortal(channel, names, message_ttl=2 * SHORT)
    channel.basic_qos(prefetch_count=1)
    consumer = Consumer(channel, queue.name)
    queue.publish("1", "2", "3")
    assert queue.died_bodies(2) == [b"2", b"3"]
    channel.basic_ack(consumer.wait_for(1)[0].tag)
    queue.publish("4")
    assert consumer.wait_for(2)[1].body == b"4"


def test_a_purge_counts_what_has_expired_behind_the_head(channel: BlockingChannel, names: Names) -> None:
    queue = Mortal(channel, names)
    queue.publish("head")
    queue.publish("behind", expiration=str(SHORT))
    let_pass(channel, names, SHORT)
    assert channel.queue_purge(queue.name).method.message_count == 2
    assert ready_count(channel, queue.dead) == 0


@pytest.mark.parametrize("end", ["purge", "delete"])
def test_what_was_purged_or_deleted_does_not_expire(channel: BlockingChannel, names: Names, end: str) -> None:
    queue = Mortal(channel, names, message_ttl=4 * SHORT)
    queue.publish("dropped")
    assert getattr(channel, f"queue_{end}")(queue.name).method.message_count == 1
    let_pass(channel, names, 4 * SHORT)
    assert ready_count(channel, queue.dead) == 0


@pytest.mark.parametrize("text", ["60000", "+60000", "0060000", "315360000000"])
def test_the_property_is_delivered_as_it_came(channel: BlockingChannel, queue: str, text: str) -> None:
    send(channel, "", queue, "old", expiration=text)
    message = get_one(channel, queue, auto_ack=False)
    assert message.properties.expiration == text
    channel.basic_nack(message.tag, requeue=True)
    assert get_one(channel, queue).properties.expiration == text


def test_the_time_of_the_queue_adds_no_property(channel: BlockingChannel, names: Names) -> None:
    queue = Mortal(channel, names, message_ttl=LONG)
    publish(channel, queue.name, "young")
    assert get_one(channel, queue.name).properties == BasicProperties()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no_integer"),
        ("soon", "no_integer"),
        (" 1", "no_integer"),
        ("--1", "no_integer"),
        ("\uff11", "no_integer"),
        ("-1", "{value_negative,-1}"),
        ("1.5", '{leftover_string,".5"}'),
        ("1 ", '{leftover_string," "}'),
        ("1e3", '{leftover_string,"e3"}'),
        ("0x10", '{leftover_string,"x10"}'),
        ("10s", '{leftover_string,"s"}'),
        ('1"\\', '{leftover_string,"\\"\\\\"}'),
        ("-1s", '{leftover_string,"s"}'),
        ("315360000001", "{value_too_large,315360000001}"),
    ],
)
def test_what_is_no_time_is_refused(channel: BlockingChannel, queue: str, text: str, reason: str) -> None:
    with channel_closed(406, f"PRECONDITION_FAILED - invalid expiration '{text}': {reason}"):
        send(channel, "", queue, "nothing", expiration=text)


@pytest.mark.parametrize("text", ["+0", "-0", "000"])
def test_zero_may_have_a_sign(channel: BlockingChannel, names: Names, text: str) -> None:
    queue = Mortal(channel, names)
    queue.publish("nobody there", expiration=text)
    assert queue.died_bodies(1) == [b"nobody there"]


@pytest.mark.parametrize("transactional", [False, True])
def test_it_is_refused_before_it_is_routed(
    connection: BlockingConnection, channel: BlockingChannel, names: Names, transactional: bool
) -> None:
    work = connection.channel()
    if transactional:
        work.tx_select()
    with channel_closed(406, "PRECONDITION_FAILED - invalid expiration 'soon': no_integer"):
        send(work, "", names.queue("missing"), "nothing", expiration="soon", headers={"CC": "no array"})


def test_a_missing_exchange_is_told_first(channel: BlockingChannel, names: Names) -> None:
    exchange = names.exchange()
    with channel_closed(404, f"NOT_FOUND - no exchange '{exchange}' in vhost '/'"):
        channel.basic_publish(exchange, "key", b"", BasicProperties(expiration="soon"))
        await_errors(channel)


def test_a_false_user_is_told_first(channel: BlockingChannel, queue: str) -> None:
    text = "PRECONDITION_FAILED - user_id property set to 'other' but authenticated user was 'guest'"
    with channel_closed(406, text):
        send(channel, "", queue, "nothing", expiration="soon", user_id="other")


def test_a_message_that_expires_at_once_is_confirmed(connection: BlockingConnection, queue: str) -> None:
    publisher = connection.channel()
    publisher.confirm_delivery()
    for delivery_mode in (1, 2):
        properties = BasicProperties(expiration="0", delivery_mode=delivery_mode)
        publisher.basic_publish("", queue, b"gone", properties, mandatory=True)


def test_the_time_of_a_message_in_a_transaction_begins_with_the_commit(
    connection: BlockingConnection, channel: BlockingChannel, names: Names
) -> None:
    queue = Mortal(channel, names, message_ttl=150)
    work = connection.channel()
    work.tx_select()
    publish(work, queue.name, "in the transaction")
    let_pass(channel, names, 75)
    other = declare(channel, names.queue(), "", queue.dead, message_ttl=150)
    publish(channel, other, "at once")
    work.tx_commit()
    assert queue.died_bodies(2) == [b"at once", b"in the transaction"]
