"""Tutorial 2, Work queues: hand a task to the workers. Every dot in its text is a second of work.

Queue and message are meant to outlive the broker: the queue is durable, the message persistent (delivery mode 2).
"""

import os
import sys

import pika

URL = os.environ.get("AMQP_URL", "amqp://guest:guest@localhost:5672/")


def main():
    message = " ".join(sys.argv[1:]) or "Hello World!"
    with pika.BlockingConnection(pika.URLParameters(URL)) as connection:
        channel = connection.channel()
        channel.queue_declare(queue="task_queue", durable=True)
        channel.basic_publish(
            exchange="",
            routing_key="task_queue",
            body=message,
            properties=pika.BasicProperties(delivery_mode=2),
        )
        print(f" [x] Sent {message!r}")


if __name__ == "__main__":
    main()
