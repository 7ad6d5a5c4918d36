"""What survives: the message log and the definitions, behind the interface that the broker is given.

Nothing outside of this room knows a file's name or format.
"""
