"""Definitions: all that is declared and set in a broker, or in one virtual host of it, as RabbitMQ's JSON file.

`export` writes them, `importing` takes them in, `loading` does that with files at the start. A file may come from
RabbitMQ 3.x or 4.x as it is. What it says is added to what there is: queues, exchanges and bindings that are there stay
as they are; users, permissions, policies and parameters become what the file says. Importing a file again changes
nothing.
"""
