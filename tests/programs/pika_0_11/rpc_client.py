"""examples/tutorials/rpc_client.py as it was written for pika before 1.0, and for Python 3.6."""

import os
import uuid

import pika

URL = os.environ.get("AMQP_URL", "amqp://guest:guest@localhost:5672/")


class FibonacciClient:
    def __init__(self, connection):
        self.connection = connection
        self.channel = connection.channel()
        self.reply_queue = self.channel.queue_declare(exclusive=True).method.queue
        self.channel.basic_consume(self.on_reply, queue=self.reply_queue, no_ack=True)
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
    with pika.BlockingConnection(pika.URLParameters(URL)) as connection:
        client = FibonacciClient(connection)
        print(" [x] Requesting fib(30)")
        print(f" [.] Got {client.call(30)}")


if __name__ == "__main__":
    main()
