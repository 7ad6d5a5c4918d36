"""Direct reply-to: answers that reach a requester through the name amq.rabbitmq.reply-to, without a queue."""

from __future__ import annotations

import pytest
from pika import BasicProperties
from pika.adapters.blocking_connection import BlockingChannel, BlockingConnection
from pika.exceptions import UnroutableError
from pika.spec import Basic, Queue

from tests.behaviour.conftest import Broker, Connect
from tests.behaviour.expectations import (
    Consumer,
    await_errors,
    channel_closed,
    get_one,
    leveret_only,
    publish,
    wait_until,
)
from tests.behaviour.raw_connection import RawConnection

NAME = "amq.rabbitmq.reply-to"


class Requester:
    """A channel that consumes its answers directly."""

    def __init__(self, channel: BlockingChannel, tag: str | None = None) -> None:
        self.channel = channel
        self.answers = Consumer(channel, NAME, auto_ack=True, tag=tag)

    def ask(self, queue: str, question: str) -> None:
        self.channel.basic_publish("", queue, question, BasicProperties(reply_to=NAME, correlation_id=question))

    def address(self, queue: str) -> str:
        """The address that a responder sees."""
        self.ask(queue, "address?")
        await_errors(self.channel)
        address = get_one(self.channel, queue).properties.reply_to
        assert isinstance(address, str)
        return address


@pytest.fixture
def requester(connect: Connect) -> Requester:
    return Requester(connect().channel())


def test_a_request_and_its_answer(channel: BlockingChannel, queue: str, requester: Requester) -> None:
    requester.ask(queue, "question")
    await_errors(requester.channel)
    request = get_one(channel, queue)
    assert request.properties.correlation_id == "question"
    channel.basic_publish("", request.properties.reply_to, b"answer", BasicProperties(correlation_id="question"))
    answer = requester.answers.wait_for(1)[0]
    assert (answer.body, answer.properties.correlation_id) == (b"answer", "question")
    assert (answer.exchange, answer.routing_key) == ("", request.properties.reply_to)
    assert (answer.tag, answer.redelivered, answer.method.consumer_tag) == (1, False, requester.answers.tag)


def test_the_address_is_opaque_and_stays_the_same(queue: str, requester: Requester) -> None:
    address = requester.address(queue)
    assert address.startswith(f"{NAME}.")
    assert len(address) > len(NAME) + 16
    assert requester.address(queue) == address


def test_every_channel_has_its_own_address(queue: str, requester: Requester) -> None:
    other = Requester(requester.channel.connection.channel())
    assert requester.address(queue) != other.address(queue)


def test_only_the_reply_to_is_changed_in_a_request(channel: BlockingChannel, queue: str, requester: Requester) -> None:
    sent = BasicProperties(
        content_type="text/plain", headers={"a": [1, {"b": None}]}, delivery_mode=2, reply_to=NAME, app_id="program"
    )
    requester.channel.basic_publish("", queue, b"question", sent)
    await_errors(requester.channel)
    received = get_one(channel, queue).properties
    assert received.reply_to != NAME
    received.reply_to = NAME
    assert received == sent


def test_another_reply_to_is_left_alone(channel: BlockingChannel, queue: str, requester: Requester) -> None:
    requester.channel.basic_publish("", queue, b"", BasicProperties(reply_to="my.queue"))
    await_errors(requester.channel)
    assert get_one(channel, queue).properties.reply_to == "my.queue"


def test_many_answers_come_in_order(channel: BlockingChannel, queue: str, requester: Requester) -> None:
    address = requester.address(queue)
    for number in range(100):
        channel.basic_publish("", address, str(number))
    answers = requester.answers.wait_for(100)
    assert [answer.body for answer in answers] == [str(number).encode() for number in range(100)]


def test_a_large_answer(channel: BlockingChannel, queue: str, requester: Requester) -> None:
    body = bytes(range(256)) * 4096
    channel.basic_publish("", requester.address(queue), body)
    assert requester.answers.wait_for(1)[0].body == body


def test_a_channel_may_answer_itself(channel: BlockingChannel, queue: str) -> None:
    requester = Requester(channel)
    channel.basic_publish("", requester.address(queue), b"own answer")
    assert requester.answers.wait_for(1)[0].body == b"own answer"


def test_answers_do_not_count_for_prefetch(connect: Connect, channel: BlockingChannel, queue: str) -> None:
    asking = connect().channel()
    asking.basic_qos(prefetch_count=1)
    asking.basic_qos(prefetch_count=1, global_qos=True)
    requester = Requester(asking)
    address = requester.address(queue)
    publish(channel, address, "1", "2", "3")
    requester.answers.wait_for(3)


@leveret_only("before 4.2 an answer did not count as routed")
def test_an_answer_counts_as_routed_and_is_confirmed(
    channel: BlockingChannel, queue: str, requester: Requester
) -> None:
    address = requester.address(queue)
    channel.confirm_delivery()
    channel.basic_publish("", address, b"answer", mandatory=True)
    requester.answers.wait_for(1)


def test_an_answer_through_another_exchange_does_not_arrive(
    channel: BlockingChannel, queue: str, requester: Requester
) -> None:
    address = requester.address(queue)
    channel.confirm_delivery()
    with pytest.raises(UnroutableError):
        channel.basic_publish("amq.direct", address, b"answer", mandatory=True)


def test_an_answer_to_a_requester_that_is_gone_is_unroutable(
    channel: BlockingChannel, connect: Connect, queue: str
) -> None:
    requester = Requester(connect().channel())
    address = requester.address(queue)
    requester.channel.close()
    channel.confirm_delivery()
    channel.basic_publish("", address, b"dropped")
    with pytest.raises(UnroutableError):
        channel.basic_publish("", address, b"returned", mandatory=True)


@leveret_only("3.10 closes the connection with 541")
def test_an_answer_to_a_made_up_address_is_unroutable(channel: BlockingChannel) -> None:
    channel.confirm_delivery()
    with pytest.raises(UnroutableError):
        channel.basic_publish("", f"{NAME}.made.up", b"", mandatory=True)


def test_the_plain_name_is_no_queue(channel: BlockingChannel, requester: Requester) -> None:
    channel.confirm_delivery()
    with pytest.raises(UnroutableError):
        channel.basic_publish("", NAME, b"", mandatory=True)


def test_its_consumer_must_not_acknowledge(channel: BlockingChannel) -> None:
    with channel_closed(406, "PRECONDITION_FAILED - reply consumer cannot acknowledge"):
        channel.basic_consume(NAME, lambda *_: None, auto_ack=False)


def test_a_channel_has_one_such_consumer(channel: BlockingChannel) -> None:
    Requester(channel)
    with channel_closed(406, "PRECONDITION_FAILED - reply consumer already set"):
        Requester(channel)


def test_a_request_needs_the_consumer(channel: BlockingChannel, queue: str) -> None:
    with channel_closed(406, "PRECONDITION_FAILED - fast reply consumer does not exist"):
        channel.basic_publish("", queue, b"question", BasicProperties(reply_to=NAME))
        await_errors(channel)


def test_the_consumer_of_another_channel_does_not_help(
    connection: BlockingConnection, channel: BlockingChannel, queue: str
) -> None:
    Requester(connection.channel())
    with channel_closed(406, "PRECONDITION_FAILED - fast reply consumer does not exist"):
        channel.basic_publish("", queue, b"question", BasicProperties(reply_to=NAME))
        await_errors(channel)


def test_a_cancelled_consumer_is_gone(channel: BlockingChannel, queue: str) -> None:
    requester = Requester(channel)
    channel.basic_cancel(requester.answers.tag)
    with channel_closed(406, "PRECONDITION_FAILED - fast reply consumer does not exist"):
        requester.ask(queue, "question")
        await_errors(channel)


def test_after_a_cancel_there_may_be_a_new_consumer_with_a_new_address(channel: BlockingChannel, queue: str) -> None:
    first = Requester(channel)
    old = first.address(queue)
    channel.basic_cancel(first.answers.tag)
    second = Requester(channel)
    new = second.address(queue)
    assert new != old
    publish(channel, old, "lost")
    publish(channel, new, "found")
    assert second.answers.wait_for(1)[0].body == b"found"


def test_the_server_makes_a_tag_for_it(broker: Broker) -> None:
    with RawConnection(broker.port) as raw:
        raw.open_channel()
        answer = raw.call(Basic.Consume(queue=NAME, no_ack=True))
        assert isinstance(answer, Basic.ConsumeOk)
        assert answer.consumer_tag.startswith("amq.ctag-")


def test_its_tag_cannot_be_one_in_use(broker: Broker, queue: str) -> None:
    with RawConnection(broker.port) as raw:
        raw.open_channel()
        raw.call(Basic.Consume(queue=queue, consumer_tag="mine"))
        closed = raw.call(Basic.Consume(queue=NAME, consumer_tag="mine", no_ack=True))
        assert (closed.reply_code, closed.reply_text) == (530, "NOT_ALLOWED - attempt to reuse consumer tag 'mine'")


def test_declaring_the_plain_name_says_that_it_is_there(broker: Broker) -> None:
    with RawConnection(broker.port) as raw:
        raw.open_channel()
        for passive in (True, False):
            answer = raw.call(Queue.Declare(queue=NAME, passive=passive))
            assert isinstance(answer, Queue.DeclareOk)
            assert (answer.queue, answer.message_count, answer.consumer_count) == (NAME, 0, 1)


@pytest.mark.parametrize("passive", [True, False])
def test_declaring_an_address_tells_whether_the_requester_is_there(
    channel: BlockingChannel, queue: str, requester: Requester, passive: bool
) -> None:
    address = requester.address(queue)
    answer = channel.queue_declare(address, passive=passive).method
    assert (answer.queue, answer.message_count, answer.consumer_count) == (address, 0, 1)
    requester.channel.close()
    with channel_closed(404, f"NOT_FOUND - no queue '{address}' in vhost '/'"):
        channel.queue_declare(address, passive=passive)


def test_the_address_goes_with_the_connection(channel: BlockingChannel, connect: Connect, queue: str) -> None:
    requester = Requester(connect().channel())
    address = requester.address(queue)
    requester.channel.connection.close()
    with channel_closed(404, f"NOT_FOUND - no queue '{address}' in vhost '/'"):
        wait_until(lambda: channel.queue_declare(address, passive=True) is None)


def test_deleting_the_plain_name_deletes_nothing(channel: BlockingChannel, queue: str, requester: Requester) -> None:
    assert requester.channel.queue_delete(NAME).method.message_count == 0
    publish(channel, requester.address(queue), "still there")
    requester.answers.wait_for(1)


VOLATILE = "ACCESS_REFUSED - cannot bind or unbind to a volatile (direct reply-to) queue"


@leveret_only("4.x has a text of its own for this")
@pytest.mark.parametrize("operation", ["queue_bind", "queue_unbind"])
def test_the_plain_name_cannot_be_bound(channel: BlockingChannel, operation: str) -> None:
    with channel_closed(403, VOLATILE):
        getattr(channel, operation)(NAME, "amq.direct", "key")


@leveret_only("4.x has a text of its own for this")
@pytest.mark.parametrize("operation", ["queue_bind", "queue_unbind"])
def test_an_address_cannot_be_bound(channel: BlockingChannel, queue: str, requester: Requester, operation: str) -> None:
    address = requester.address(queue)
    with channel_closed(403, VOLATILE):
        getattr(channel, operation)(address, "amq.direct", "key")


def test_a_request_in_a_transaction_goes_out_with_the_commit(
    channel: BlockingChannel, connect: Connect, queue: str
) -> None:
    asking = connect().channel()
    asking.tx_select()
    requester = Requester(asking)
    requester.ask(queue, "question")
    asking.tx_commit()
    address = get_one(channel, queue).properties.reply_to
    publish(channel, address, "answer")
    assert requester.answers.wait_for(1)[0].body == b"answer"
