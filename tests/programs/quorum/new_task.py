"""examples/tutorials/new_task.py as the newest RabbitMQ tutorial has it: the queue is declared as a quorum queue."""

import os
import sys

import pika

URL = os.environ.get("AMQP_URL", "amqp://guest:guest@localhost:5672/")


def main():
    message = " ".join(sys.argv[1:]) or "Hello World!"
    with pika.BlockingConnection(pika.URLParameters(URL)) as connection:
        channel = connection.channel()
        channel.queue_declare(queue="task_queue", durable=True, arguments={"x-queue-type": "quorum"})
        channel.basic_publish(
            exchange="",
            routing_key="task_queue",
            body=message,
            properties=pika.BasicProperties(delivery_mode=pika.DeliveryMode.Persistent),
        )
        print(f" [x] Sent {message!r}")


if __name__ == "__main__":
    main()
