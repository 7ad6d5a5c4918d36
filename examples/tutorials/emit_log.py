"""Tutorial 3, Publish/Subscribe: send a log line to everyone who listens at this moment."""

import os
import sys

import pika

URL = os.environ.get("AMQP_URL", "amqp://guest:guest@localhost:5672/")


def main():
    message = " ".join(sys.argv[1:]) or "info: Hello World!"
    with pika.BlockingConnection(pika.URLParameters(URL)) as connection:
        channel = connection.channel()
        channel.exchange_declare(exchange="logs", exchange_type="fanout")
        channel.basic_publish(exchange="logs", routing_key="", body=message)
        print(f" [x] Sent {message!r}")


if __name__ == "__main__":
    main()
