"""The headers CC and BCC: more routing keys of the sender's choice."""

from __future__ import annotations

import pytest
from pika import BasicProperties
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import UnroutableError

from tests.behaviour.conftest import Names
from tests.behaviour.expectations import Consumer, await_errors, channel_closed, get_bodies, get_one


@pytest.fixture
def queues(channel: BlockingChannel, names: Names) -> list[str]:
    made = [names.queue() for _ in range(3)]
    for queue in made:
        channel.queue_declare(queue)
    return made


def headers(**values: object) -> BasicProperties:
    return BasicProperties(headers=dict(values))


def test_cc_and_bcc_add_routing_keys(channel: BlockingChannel, queues: list[str]) -> None:
    to, copy, blind = queues
    channel.basic_publish("", to, b"letter", headers(CC=[copy], BCC=[blind]))
    await_errors(channel)
    assert [get_bodies(channel, queue) for queue in queues] == [[b"letter"]] * 3


def test_bcc_is_taken_out_of_what_is_delivered(channel: BlockingChannel, queues: list[str]) -> None:
    to, copy, blind = queues
    channel.basic_publish("", to, b"letter", headers(CC=[copy], BCC=[blind], other="kept"))
    await_errors(channel)
    for queue in queues:
        message = get_one(channel, queue)
        assert message.properties.headers == {"CC": [copy], "other": "kept"}
        assert message.routing_key == to


def test_bcc_is_taken_out_for_consumers_too(channel: BlockingChannel, queues: list[str]) -> None:
    to, _, blind = queues
    consumer = Consumer(channel, blind, auto_ack=True)
    channel.basic_publish("", to, b"letter", headers(BCC=[blind], other="kept"))
    assert consumer.wait_for(1)[0].properties.headers == {"other": "kept"}


def test_a_queue_named_twice_gets_one_copy(channel: BlockingChannel, queues: list[str]) -> None:
    to = queues[0]
    channel.basic_publish("", to, b"letter", headers(CC=[to, to], BCC=[to]))
    await_errors(channel)
    assert get_bodies(channel, to) == [b"letter"]


def test_cc_works_with_a_direct_exchange(channel: BlockingChannel, names: Names, queues: list[str]) -> None:
    exchange = names.exchange()
    channel.exchange_declare(exchange, "direct")
    for key, queue in zip(("a", "b", "c"), queues, strict=True):
        channel.queue_bind(queue, exchange, key)
    channel.basic_publish(exchange, "a", b"letter", headers(CC=["b", "nowhere"]))
    await_errors(channel)
    assert [get_bodies(channel, queue) for queue in queues] == [[b"letter"], [b"letter"], []]


def test_cc_works_with_a_topic_exchange(channel: BlockingChannel, names: Names, queues: list[str]) -> None:
    exchange = names.exchange()
    channel.exchange_declare(exchange, "topic")
    for key, queue in zip(("a.*", "b.*", "*.x"), queues, strict=True):
        channel.queue_bind(queue, exchange, key)
    channel.basic_publish(exchange, "a.a", b"letter", headers(BCC=["c.x"]))
    await_errors(channel)
    assert [get_bodies(channel, queue) for queue in queues] == [[b"letter"], [], [b"letter"]]


def test_a_copy_counts_as_routed(channel: BlockingChannel, names: Names, queues: list[str]) -> None:
    channel.confirm_delivery()
    channel.basic_publish("", names.queue("missing"), b"letter", headers(CC=[queues[0]]), mandatory=True)
    assert get_bodies(channel, queues[0]) == [b"letter"]


def test_a_returned_message_has_no_bcc(channel: BlockingChannel, names: Names) -> None:
    missing, blind = names.queue("missing"), names.queue("missing")
    channel.confirm_delivery()
    with pytest.raises(UnroutableError) as caught:
        channel.basic_publish("", missing, b"letter", headers(BCC=[blind], other="kept"), mandatory=True)
    assert caught.value.messages[0].properties.headers == {"other": "kept"}


@pytest.mark.parametrize("header", ["CC", "BCC"])
def test_a_value_that_is_no_array_is_refused(channel: BlockingChannel, queues: list[str], header: str) -> None:
    text = f'PRECONDITION_FAILED - invalid message: {{unacceptable_type_in_header,"{header}",longstr}}'
    with channel_closed(406, text):
        channel.basic_publish("", queues[0], b"", headers(**{header: queues[1]}))
        await_errors(channel)


@pytest.mark.parametrize("header", ["CC", "BCC"])
def test_members_that_are_no_strings_are_passed_over(channel: BlockingChannel, queues: list[str], header: str) -> None:
    channel.basic_publish("", queues[0], b"letter", headers(**{header: [1, queues[1], None]}))
    await_errors(channel)
    assert [get_bodies(channel, queue) for queue in queues] == [[b"letter"], [b"letter"], []]


@pytest.mark.parametrize("header", ["CC", "BCC"])
def test_an_empty_array_is_accepted(channel: BlockingChannel, queues: list[str], header: str) -> None:
    channel.basic_publish("", queues[0], b"letter", headers(**{header: []}))
    await_errors(channel)
    assert get_bodies(channel, queues[0]) == [b"letter"]


def test_the_names_of_the_headers_are_in_capitals(channel: BlockingChannel, queues: list[str]) -> None:
    to, other, third = queues
    channel.basic_publish("", to, b"letter", headers(cc=[other], Bcc=[third]))
    await_errors(channel)
    assert (get_bodies(channel, other), get_bodies(channel, third)) == ([], [])
    assert get_one(channel, to).properties.headers == {"cc": [other], "Bcc": [third]}
