"""Tutorial 6, RPC: ask the server for a Fibonacci number, 30 or the argument, and wait for the answer."""

import os
import sys
import uuid

import pika

URL = os.environ.get("AMQP_URL", "amqp://guest:guest@localhost:5672/")


class FibonacciClient:
    """Sends requests over one connection and takes the answers from an exclusive queue of its own."""

    def __init__(self, connection):
        self.connection = connection
        self.channel = connection.channel()
        self.reply_queue = self.channel.queue_declare(queue="", exclusive=True).method.queue
        self.channel.basic_consume(queue=self.reply_queue, on_message_callback=self.on_reply, auto_ack=True)
        self.replies = {}

    def on_reply(self, channel, method, properties, body):
        self.replies[properties.correlation_id] = body

    def call(self, n):
        correlation_id = str(uuid.uuid4())
        self.channel.basic_publish(
            exchange="",
            routing_key="rpc_queue",
            body=str(n),
            properties=pika.BasicProperties(reply_to=self.reply_queue, correlation_id=correlation_id),
        )
        while correlation_id not in self.replies:
            self.connection.process_data_events(time_limit=None)
        return int(self.replies.pop(correlation_id))


def main():
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 30
    with pika.BlockingConnection(pika.URLParameters(URL)) as connection:
        client = FibonacciClient(connection)
        print(f" [x] Requesting fib({n})")
        print(f" [.] Got {client.call(n)}")


if __name__ == "__main__":
    main()
