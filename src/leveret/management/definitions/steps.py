"""What the objects of a definitions file have in common: they are read, checked against what there will be, and
applied.

Everything is read and checked before the first is applied, so that a file with a mistake in it changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from leveret.broker.broker import Broker
from leveret.broker.vhost import PREDECLARED

PREDECLARED_NAMES: Final = {"", *(name for name, _, _ in PREDECLARED)}
LONGEST_NAME: Final = 255  # octets


class InvalidDefinitions(Exception):
    """Definitions that can't be taken in; the text names the object that is wrong."""


class Fields:
    """The fields of one object of a file. `what` tells it to people: "queue 'q' in vhost '/'"."""

    def __init__(self, what: str, values: object, vhost: str | None = None) -> None:
        """`vhost` is the virtual host that a file is taken into that has only one. Raises InvalidDefinitions."""
        if not isinstance(values, dict):
            raise InvalidDefinitions(f"{what} is not an object")
        self.values: Final[dict[str, object]] = values
        self.vhost: Final = vhost
        self.what = what

    def wrong(self, reason: str) -> InvalidDefinitions:
        """The error for this object."""
        return InvalidDefinitions(f"{self.what}: {reason}")

    def text(self, name: str, default: str | None = None) -> str:
        """A field that is a text; without a default it has to be there."""
        value = self.values.get(name)
        if value is None and default is not None:
            return default
        if not isinstance(value, str):
            raise self.wrong(f"{name} is missing" if value is None else f"{name} is not a string")
        if not is_text(value):
            raise self.wrong(f"{name} is not UTF-8")
        return value

    def short_text(self, name: str) -> str:
        """A name or routing key, of 255 octets at most, as AMQP has them."""
        value = self.text(name)
        if len(value.encode("utf-8", "surrogateescape")) > LONGEST_NAME:
            raise self.wrong(f"{name} is longer than {LONGEST_NAME} octets")
        return value

    def flag(self, name: str, default: bool) -> bool:
        """A field that is true or false."""
        value = self.values.get(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise self.wrong(f"{name} is neither true nor false")
        return value

    def number(self, name: str, default: int) -> int:
        """A field that is an integer."""
        value = self.values.get(name)
        if value is None:
            return default
        if not isinstance(value, int) or isinstance(value, bool):
            raise self.wrong(f"{name} is not a number")
        return value

    def object(self, name: str) -> dict[str, object]:
        """A field that is an object, empty if it isn't there. Older versions wrote an empty one as []."""
        value = self.values.get(name)
        if value is None or value == []:
            return {}
        if not isinstance(value, dict):
            raise self.wrong(f"{name} is not an object")
        return value

    def strings(self, name: str) -> list[str] | None:
        """A field that is a list of strings, or one string of several words; None if it isn't there."""
        value = self.values.get(name)
        if value is None:
            return None
        if isinstance(value, str):
            return value.replace(",", " ").split()
        if not isinstance(value, list) or not all(isinstance(each, str) and is_text(each) for each in value):
            raise self.wrong(f"{name} is not a list of strings")
        return list(value)

    def vhost_name(self) -> str:
        """The virtual host that the object is in."""
        if self.vhost is not None:
            return self.vhost
        if "vhost" not in self.values:
            raise self.wrong("vhost is missing, as in files of one virtual host, which are imported into one")
        return self.text("vhost")


def is_text(value: str) -> bool:
    """Whether a text of JSON is one: half of a surrogate pair is none, unless it stands for an octet of a name."""
    try:
        value.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return False
    return True


class Outlook:
    """What there will be when all that is before an object has been applied."""

    def __init__(self, broker: Broker) -> None:
        self.broker: Final = broker
        self.users: Final = {user.name for user in broker.users.all()}
        self.vhosts: Final = set(broker.vhosts)
        self.exchanges: Final[dict[tuple[str, str], str]] = {}  # the types of those to come, by virtual host and name
        self.queues: Final[set[tuple[str, str]]] = set()  # those to come
        self.left_out: Final[set[tuple[str, str, str]]] = set()  # kind, virtual host and name
        self.warnings: Final[list[str]] = []

    def check_user(self, fields: Fields, name: str) -> None:
        """InvalidDefinitions if there will be no such user."""
        if name not in self.users:
            raise fields.wrong(f"there is no user '{name}'")

    def check_vhost(self, fields: Fields, name: str) -> None:
        """InvalidDefinitions if there will be no such virtual host."""
        if name not in self.vhosts:
            raise fields.wrong(f"there is no virtual host '{name}'")

    def has_exchange(self, vhost: str, name: str) -> bool:
        """Whether there will be an exchange of that name; those that each virtual host begins with are."""
        found = self.broker.vhosts.get(vhost)
        if found is not None:
            return name in found.exchanges or (vhost, name) in self.exchanges
        return name in PREDECLARED_NAMES or (vhost, name) in self.exchanges

    def has_queue(self, vhost: str, name: str) -> bool:
        """Whether there will be a queue of that name."""
        found = self.broker.vhosts.get(vhost)
        return (vhost, name) in self.queues or (found is not None and name in found.queues)

    def leave_out(self, kind: str, vhost: str, name: str, reason: str) -> None:
        """An object is not taken in, which is no error."""
        self.left_out.add((kind, vhost, name))
        self.warnings.append(f"{kind} '{name}' in vhost '{vhost}' is left out: {reason}")


class Step:
    """One object of a file."""

    def __init__(self, fields: Fields) -> None:
        """Raises InvalidDefinitions for an object that is wrong in itself."""
        self.fields: Final = fields

    def check(self, outlook: Outlook) -> bool:
        """Whether it is to be applied; the outlook knows of it from then on. Raises InvalidDefinitions."""
        raise NotImplementedError

    def apply(self, broker: Broker) -> bool:
        """Make it so; False if it is so already. Raises InvalidDefinitions if that is not possible any more."""
        raise NotImplementedError


class Category:
    """One key of a file: what its objects are called, and how they are read."""

    def __init__(self, key: str, kind: str, step: type[Step], of_vhost: bool) -> None:
        self.key: Final = key
        self.kind: Final = kind
        self.step: Final = step
        self.of_vhost: Final = of_vhost  # whether a file of one virtual host has them

    def read(self, document: object, vhost: str | None) -> Sequence[object]:
        """The objects that the file has of it. Raises InvalidDefinitions."""
        if not isinstance(document, dict):
            raise InvalidDefinitions("definitions are a JSON object")
        objects = document.get(self.key)
        if objects is None or (vhost is not None and not self.of_vhost):
            return ()
        if not isinstance(objects, list):
            raise InvalidDefinitions(f"{self.key} is not a list")
        return objects
