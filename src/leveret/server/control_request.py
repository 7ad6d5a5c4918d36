"""What the requests of the control socket have in common: their kinds and words, and how they are refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from leveret.broker.vhost import VirtualHost

Request: TypeAlias = Mapping[str, object]
# A change gives the virtual host whose policies have to be applied anew, if it is to one's policies.
Change: TypeAlias = Callable[[Request], VirtualHost | None]
Operation: TypeAlias = Callable[[Request], dict[str, object]]  # gives what there is to say of what was done

REFUSED: Final = "refused"  # what was asked for is not valid, or not there
NO_VHOST: Final = "vhost"
USAGE: Final = "usage"


class ChangeRefused(Exception):
    """A change that is not made; the text is RabbitMQ's. `kind` tells leveretctl how to show it."""

    def __init__(self, text: str, kind: str = REFUSED) -> None:
        super().__init__(text)
        self.kind: Final = kind


class BadRequest(Exception):
    """A request that can't be answered; says why."""


def text_of(request: Request, key: str) -> str:
    """A text of the request, or BadRequest."""
    value = request.get(key)
    if not isinstance(value, str):
        raise BadRequest(f"{key} is a string")
    return value


def no_such_vhost(name: str) -> ChangeRefused:
    """The error for a virtual host that is not there."""
    return ChangeRefused(f"Virtual host '{name}' does not exist", NO_VHOST)


def no_such_user(name: str) -> str:
    """The text for a user who is not there, as rabbitmqctl prints it."""
    return f'{{:no_such_user, "{name}"}}'
