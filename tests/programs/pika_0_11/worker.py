"""examples/tutorials/worker.py as it was written for pika before 1.0, and for Python 3.6."""

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
    channel.basic_consume(on_task, queue="task_queue")
    print(" [*] Waiting for messages. To exit press CTRL+C")
    channel.start_consuming()


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        print("Interrupted")
