"""Tutorial 5, Topics: print the log lines whose routing key matches one of the patterns given as arguments.

In a pattern `*` stands for exactly one word and `#` for any number of words: `kern.*`, `*.critical`, `#`.
"""

import os
import sys

import pika

URL = os.environ.get("AMQP_URL", "amqp://guest:guest@localhost:5672/")


def on_log(channel, method, properties, body):
    print(f" [x] {method.routing_key!r}:{body.decode()!r}")


def main():
    binding_keys = sys.argv[1:]
    if not binding_keys:
        sys.stderr.write("Usage: receive_logs_topic.py [binding_key]...\n")
        sys.exit(1)
    connection = pika.BlockingConnection(pika.URLParameters(URL))
    channel = connection.channel()
    channel.exchange_declare(exchange="topic_logs", exchange_type="topic")
    queue = channel.queue_declare(queue="", exclusive=True).method.queue
    for binding_key in binding_keys:
        channel.queue_bind(exchange="topic_logs", queue=queue, routing_key=binding_key)
    channel.basic_consume(queue=queue, on_message_callback=on_log, auto_ack=True)
    print(" [*] Waiting for logs. To exit press CTRL+C")
    channel.start_consuming()


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        print("Interrupted")
