"""Metrics for Prometheus, under the names of RabbitMQ's plugin rabbitmq_prometheus."""
