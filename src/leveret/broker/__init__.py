"""What AMQP means: connections and channels as state machines, exchanges, bindings, queues, consumers.

Sans I/O: bytes come in through `Connection.feed`, go out through its output buffer, and time is whatever the owner last
told the `Broker`. Nothing here knows a socket, a file or an event loop.
"""
