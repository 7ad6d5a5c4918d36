"""What AMQP can do too, done the AMQP way: on a channel of its own, with a client's checks, texts and permissions.

The connection stands in no listing and in no log, and counts as none. It has no socket: what is written to it is read
here, or by nobody.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from leveret.amqp.frame import FRAME_METHOD, FRAME_OVERHEAD
from leveret.amqp.methods import BasicAck, BasicNack, BasicReturn, Method, decode_method
from leveret.amqp.reply_codes import AMQPError
from leveret.broker.channel import Channel
from leveret.broker.connection import Connection
from leveret.broker.limits import FRAME_MAX
from leveret.broker.vhost import VirtualHost
from leveret.management.http.call import Call
from leveret.management.http.errors import Refused, from_method, not_authorised

CHANNEL: Final = 1
POLL: Final = 0.001  # seconds between two looks for a confirm, which follows the disk
SETTLING: Final = (BasicAck, BasicNack)


class Session:
    """A channel that acts for the user of a call."""

    def __init__(self, call: Call, vhost: VirtualHost) -> None:
        self.vhost: Final = vhost
        connection = Connection(call.broker, "HTTP API", "HTTP API", True)
        connection.user = call.user.name
        connection.frame_max = FRAME_MAX
        connection.begin_internally(vhost)
        self._connection: Final = connection
        self.channel: Final = Channel(connection, CHANNEL)
        connection.add_channel(CHANNEL, self.channel)

    def close(self) -> None:
        """Let go of what the channel holds."""
        self._connection.close_socket()

    def received(self) -> list[Method]:
        """The methods that a client would have received since the last time; their content is left out."""
        if self._connection.holds:
            return []
        methods: list[Method] = []
        data = b"".join(self._connection.take_output())
        at = 0
        while at < len(data):
            end = at + FRAME_OVERHEAD + int.from_bytes(data[at + 3 : at + 7], "big")
            if data[at] == FRAME_METHOD:
                methods.append(decode_method(data[at + 7 : end - 1]))
            at = end
        return methods

    async def confirmed(self) -> tuple[bool, bool]:
        """Wait until the one message that was published is confirmed: whether it was routed, and taken."""
        returned = False
        while True:
            for method in self.received():
                if isinstance(method, BasicReturn):
                    returned = True
                elif isinstance(method, SETTLING):
                    return not returned, isinstance(method, BasicAck)
            await asyncio.sleep(POLL)


@contextmanager
def session(call: Call, vhost: VirtualHost, refusal: Callable[[AMQPError], Refused] = from_method) -> Iterator[Session]:
    """A session that is closed at the end; AMQP's errors become Refused. What follows at once belongs to its tick."""
    call.begin_change()
    opened = Session(call, vhost)
    try:
        yield opened
    except AMQPError as error:
        raise refusal(error) from None
    finally:
        call.begin_change()
        opened.close()


def vhost_to_enter(call: Call) -> VirtualHost:
    """The virtual host in which a connection would have to be opened. Refused as RabbitMQ refuses to open it."""
    vhost = call.find_vhost()
    if vhost is None or call.broker.permissions.find(call.user.name, vhost.name) is None:
        raise not_authorised("Access refused.")
    return vhost
