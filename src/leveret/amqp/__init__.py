"""The AMQP 0-9-1 wire: frames, methods, field tables, content properties and reply codes.

This room is sans I/O: bytes come in by a call and go out as a value. It knows no broker, no socket and no clock, so
every rule in it can be checked with bytes alone. Where the specification and RabbitMQ differ, RabbitMQ's reading is
taken, since that is what existing clients were written against.
"""
