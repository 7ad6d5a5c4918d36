"""What a connection has to say to its client: gathered through a tick, and taken by the owner at its end.

Frames are copied into `writer`; content too large to be worth copying stands apart in `_blocks`. The owner takes it all
with `take_output`, unless something has to be on disk before the client may hear of it (`holds`), and says with
`writable` whether the socket took it.
"""

from __future__ import annotations

from librt.strings import BytesWriter
from mypy_extensions import i64

from leveret.amqp.frame import method_frame
from leveret.amqp.methods import Method


class Output:
    """The output of one connection."""

    def __init__(self) -> None:
        self.writer = BytesWriter()
        self._blocks: list[bytes] = []
        self._blocks_size: i64 = 0
        self.is_dirty = False  # it stands in the broker's list of connections with output
        self.holds = 0  # commits and syncs that have to happen before the output may be taken
        self.writable = True  # False while the socket does not take what it was given
        self.throttled = False  # a consumer was passed over because too much output waits
        self.output_since_heartbeat = False

    def pending_output(self) -> i64:
        """Octets gathered and not taken yet."""
        return len(self.writer) + self._blocks_size

    def wake(self) -> None:
        """There is output: have it taken at the end of the tick."""
        raise NotImplementedError

    def send_method(self, channel: int, method: Method) -> None:
        """Write a method frame to the output."""
        self.writer.write(method_frame(channel, method.encode()))
        self.wake()

    def write_block(self, block: bytes) -> None:
        """Put a large piece into the output without copying it."""
        self._blocks.append(self.writer.getvalue())
        self._blocks.append(block)
        self._blocks_size += len(self.writer) + len(block)
        self.writer = BytesWriter()
        self.wake()

    def take_output(self) -> list[bytes]:
        """The pieces to send, in order; they are the owner's from now on."""
        self.output_since_heartbeat = True
        if self._blocks_size:
            pieces = self._blocks
            pieces.append(self.writer.getvalue())
            self._blocks = []
            self._blocks_size = 0
        else:
            pieces = [self.writer.getvalue()]
        self.writer = BytesWriter()
        return pieces
