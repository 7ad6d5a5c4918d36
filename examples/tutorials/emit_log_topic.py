"""Tutorial 5, Topics: send a log line under a routing key such as `kern.critical`, the first argument."""

import os
import sys

import pika

URL = os.environ.get("AMQP_URL", "amqp://guest:guest@localhost:5672/")


def main():
    routing_key = sys.argv[1] if len(sys.argv) > 1 else "anonymous.info"
    message = " ".join(sys.argv[2:]) or "Hello World!"
    with pika.BlockingConnection(pika.URLParameters(URL)) as connection:
        channel = connection.channel()
        channel.exchange_declare(exchange="topic_logs", exchange_type="topic")
        channel.basic_publish(exchange="topic_logs", routing_key=routing_key, body=message)
        print(f" [x] Sent {routing_key!r}:{message!r}")


if __name__ == "__main__":
    main()
