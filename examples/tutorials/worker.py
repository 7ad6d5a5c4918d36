"""Tutorial 2, Work queues: do the tasks of the queue `task_queue`, one at a time.

A task is acknowledged when it is done, so that the broker gives it to another worker if this one dies on it. With a
prefetch of 1 a worker that is busy gets no further task while another is idle.
"""

import os
import time

import pika

URL = os.environ.get("AMQP_URL", "amqp://guest:guest@localhost:5672/")


def on_task(channel, method, properties, body):
    print(f" [x] Received {body.decode()!r}")
    time.sleep(body.count(b"."))
    channel.basic_ack(delivery_tag=method.delivery_tag)
    print(" [x] Done")


def main():
    connection = pika.BlockingConnection(pika.URLParameters(URL))
    channel = connection.channel()
    channel.queue_declare(queue="task_queue", durable=True)
    channel.basic_qos(prefetch_count=1)
    channel.basic_consume(queue="task_queue", on_message_callback=on_task)
    print(" [*] Waiting for messages. To exit press CTRL+C")
    channel.start_consuming()


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        print("Interrupted")
