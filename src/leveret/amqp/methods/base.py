"""What all methods have in common: class and method ids, a name, encoding, comparison, a printable form.

A method is a plain record. Its fields stand in the order of the wire, and so do the parameters that make it. Reserved
arguments (the ticket, out-of-band, known-hosts and their like) are skipped when read and written empty.
"""

from __future__ import annotations

from typing import ClassVar, Final

from leveret.amqp.wire import Writer

_SECRET_FIELDS: Final = frozenset(("challenge", "response", "new_secret"))


class Method:
    """One method. `name` is the specification's, for instance `queue.declare-ok`."""

    FIELDS: ClassVar[tuple[str, ...]] = ()

    def __init__(self, class_id: int, method_id: int, name: str) -> None:
        self.class_id = class_id
        self.method_id = method_id
        self.name = name

    def encode_arguments(self, writer: Writer) -> None:
        """Write the arguments; nothing for a method that has none. Raises ValueError for what the wire cannot hold."""

    def encode(self) -> bytes:
        """Return the payload of a method frame: class id, method id, arguments."""
        writer = Writer()
        writer.short(self.class_id)
        writer.short(self.method_id)
        self.encode_arguments(writer)
        return writer.getvalue()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Method) and self.encode() == other.encode()

    def __repr__(self) -> str:
        shown: list[str] = []
        for field in self.FIELDS:
            value: object = getattr(self, field)
            shown.append(f"{field}=***" if field in _SECRET_FIELDS else f"{field}={value!r}")
        return f"{type(self).__name__}({', '.join(shown)})"
