"""RabbitMQ's management API over HTTP: its paths, verbs, status codes, JSON and errors (reference: A.19).

`application` puts the groups of resources together, one module each; `serving` runs it in the broker's event loop. A
`Call` is one request that has been authenticated. Reading takes slices of two milliseconds, between which the broker
works; what changes something is made in a tick and answered when it is on the disk. What AMQP can do too (declaring,
binding, publishing, getting) goes through a channel of its own, so that checks, texts and permissions are the same.

Nothing of the broker's start imports this package, which takes a tenth of a second to load.
"""
