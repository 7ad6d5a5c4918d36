"""Tutorial 4, Routing: print the log lines of the severities that are named as arguments."""

import os
import sys

import pika

URL = os.environ.get("AMQP_URL", "amqp://guest:guest@localhost:5672/")


def on_log(channel, method, properties, body):
    print(f" [x] {method.routing_key!r}:{body.decode()!r}")


def main():
    severities = sys.argv[1:]
    if not severities:
        sys.stderr.write("Usage: receive_logs_direct.py [info] [warning] [error]\n")
        sys.exit(1)
    connection = pika.BlockingConnection(pika.URLParameters(URL))
    channel = connection.channel()
    channel.exchange_declare(exchange="direct_logs", exchange_type="direct")
    queue = channel.queue_declare(queue="", exclusive=True).method.queue
    for severity in severities:
        channel.queue_bind(exchange="direct_logs", queue=queue, routing_key=severity)
    channel.basic_consume(queue=queue, on_message_callback=on_log, auto_ack=True)
    print(" [*] Waiting for logs. To exit press CTRL+C")
    channel.start_consuming()


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        print("Interrupted")
