"""Tutorial 7, Publisher confirms: three ways to know that the broker has taken what was published.

50,000 messages, or as many as the argument says, are published

- individually: each is confirmed before the next is sent; the simplest and the slowest,
- in batches: after each hundred the program waits until the broker has confirmed all of them,
- asynchronously: the program goes on publishing and handles the confirms as they come.

pika's blocking channel waits for the confirm of every message, so the last two use its SelectConnection.
"""

import os
import sys
import time

import pika

URL = os.environ.get("AMQP_URL", "amqp://guest:guest@localhost:5672/")
BATCH_SIZE = 100
MESSAGES_A_TURN = 500


def publish_individually(count):
    with pika.BlockingConnection(pika.URLParameters(URL)) as connection:
        channel = connection.channel()
        queue = channel.queue_declare(queue="", exclusive=True).method.queue
        channel.confirm_delivery()
        started = time.perf_counter()
        for number in range(count):
            # Returns when the broker has confirmed the message, and raises NackError if it refused to take it.
            channel.basic_publish(exchange="", routing_key=queue, body=str(number))
        return time.perf_counter() - started


class Publisher:
    """Publishes `count` messages and measures the seconds until the last one is confirmed.

    `outstanding` holds the messages that are not confirmed yet by delivery tag: the broker numbers what is published
    on a channel 1, 2, 3 and so on, and names these numbers in its confirms.
    """

    def __init__(self, count):
        self.count = count
        self.published = 0
        self.outstanding = {}
        self.lowest_tag = 1
        self.refused = 0
        self.seconds = 0.0
        self.failure: Exception | None = None
        self.connection = pika.SelectConnection(
            pika.URLParameters(URL),
            on_open_callback=self.on_connection_open,
            on_open_error_callback=self.on_connection_ended,
            on_close_callback=self.on_connection_ended,
        )

    def run(self):
        self.connection.ioloop.start()
        if self.failure:
            raise self.failure
        if self.refused:
            raise RuntimeError(f"the broker refused {self.refused} messages")
        return self.seconds

    def on_connection_open(self, connection):
        connection.channel(on_open_callback=self.on_channel_open)

    def on_channel_open(self, channel):
        self.channel = channel
        channel.add_on_close_callback(self.on_channel_closed)
        channel.queue_declare(queue="", exclusive=True, callback=self.on_queue_declared)

    def on_queue_declared(self, frame):
        self.queue = frame.method.queue
        self.channel.confirm_delivery(self.on_confirm, callback=self.on_confirms_selected)

    def on_confirms_selected(self, frame):
        self.started = time.perf_counter()
        self.publish()

    def publish(self):
        raise NotImplementedError

    def publish_some(self, limit):
        for _ in range(min(limit, self.count - self.published)):
            body = str(self.published)
            self.published += 1
            self.outstanding[self.published] = body
            self.channel.basic_publish(exchange="", routing_key=self.queue, body=body)

    def is_complete(self):
        return self.published == self.count and not self.outstanding

    def on_confirm(self, frame):
        tag = frame.method.delivery_tag
        # With `multiple` the confirm speaks of every message up to this one.
        first = self.lowest_tag if frame.method.multiple else tag
        waiting = len(self.outstanding)
        for settled in range(first, tag + 1):
            self.outstanding.pop(settled, None)
        if isinstance(frame.method, pika.spec.Basic.Nack):
            self.refused += waiting - len(self.outstanding)
        if frame.method.multiple:
            self.lowest_tag = tag + 1
        if self.is_complete():
            self.seconds = time.perf_counter() - self.started
            self.connection.close()
        else:
            self.on_progress()

    def on_progress(self):
        """Called after a confirm, while there are more to come."""

    def on_channel_closed(self, channel, reason):
        if self.connection.is_open:
            self.failure = reason
            self.connection.close()

    def on_connection_ended(self, connection, reason):
        if not self.is_complete():
            self.failure = self.failure or reason
        self.connection.ioloop.stop()


class BatchPublisher(Publisher):
    def publish(self):
        self.publish_some(BATCH_SIZE)

    def on_progress(self):
        if not self.outstanding:
            self.publish()


class AsynchronousPublisher(Publisher):
    def publish(self):
        # A bounded number at a time, so that the loop gets to read the confirms in between.
        self.publish_some(MESSAGES_A_TURN)
        if self.published < self.count:
            self.connection.ioloop.call_later(0, self.publish)


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 50_000
    seconds = publish_individually(count)
    print(f"Published {count:,} messages individually in {seconds * 1000:,.0f} ms")
    seconds = BatchPublisher(count).run()
    print(f"Published {count:,} messages in batch in {seconds * 1000:,.0f} ms")
    seconds = AsynchronousPublisher(count).run()
    print(f"Published {count:,} messages and handled confirms asynchronously in {seconds * 1000:,.0f} ms")


if __name__ == "__main__":
    main()
