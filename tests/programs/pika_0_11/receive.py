"""examples/tutorials/receive.py as it was written for pika before 1.0, and for Python 3.6."""

import os

import pika

URL = os.environ.get("AMQP_URL", "amqp://guest:guest@localhost:5672/")


def on_message(channel, method, properties, body):
    print(f" [x] Received {body.decode()!r}")


def main():
    connection = pika.BlockingConnection(pika.URLParameters(URL))
    channel = connection.channel()
    channel.queue_declare(queue="hello")
    channel.basic_consume(on_message, queue="hello", no_ack=True)
    print(" [*] Waiting for messages. To exit press CTRL+C")
    channel.start_consuming()


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        print("Interrupted")
