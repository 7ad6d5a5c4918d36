"""What was answered is still there after a kill: policies act on what comes back, and limits hold."""

from __future__ import annotations

import json
import signal

import pika

from tests.behaviour.expectations import channel_closed, ready_count
from tests.ctl.conftest import leveretctl
from tests.support.broker_process import BrokerProcess


def test_policies_and_limits_survive_a_kill(fresh_broker: BrokerProcess) -> None:
    def ctl(*arguments: str) -> str:
        result = leveretctl("-q", *arguments, data_dir=fresh_broker.data_dir)
        assert (result.returncode, result.stderr) == (0, "")
        return result.stdout

    def lists() -> list[str]:
        names = ("list_policies", "list_operator_policies", "list_vhost_limits", "list_user_limits")
        columns = ("name", "policy", "operator_policy", "effective_policy_definition")
        return [*map(ctl, names), ctl("list_queues", *columns), ctl("list_exchanges", "name", "policy")]

    with pika.BlockingConnection(pika.URLParameters(fresh_broker.url)) as connection:
        channel = connection.channel()
        channel.queue_declare("orders", durable=True)
        channel.queue_declare("caught", durable=True)
        channel.queue_bind("caught", "amq.fanout")
        ctl(
            "set_policy",
            "é",
            "^(orders|amq.direct)$",
            json.dumps({"max-length": 3, "alternate-exchange": "amq.fanout"}),
        )
        ctl("set_policy", "cleared", "caught", '{"max-length": 1}')
        ctl("clear_policy", "cleared")
        ctl("set_operator_policy", "--priority", "-7", "limit", "ord", '{"max-length": 2}')
        ctl("set_vhost_limits", '{"max-queues": 2, "max-connections": -1}')
        ctl("set_user_limits", "guest", '{"max-channels": 50}')
    before = lists()
    assert "cleared" not in before[0]
    fresh_broker.stop(signal.SIGKILL)
    fresh_broker.start()
    assert lists() == before
    with pika.BlockingConnection(pika.URLParameters(fresh_broker.url)) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        for _ in range(5):
            channel.basic_publish("", "orders", b"")
        channel.basic_publish("amq.direct", "nobody", b"", mandatory=True)
        assert (ready_count(channel, "orders"), ready_count(channel, "caught")) == (2, 1)
        with channel_closed(
            406, "PRECONDITION_FAILED - cannot declare queue 'x': queue limit in vhost '/' (2) is reached"
        ):
            channel.queue_declare("x")
