"""A call: one request of a known user, with what its path, its query and its body say."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import Any, Final
from urllib.parse import parse_qsl, unquote

from leveret.broker.users import User
from leveret.broker.vhost import VirtualHost
from leveret.management.history import Ranges
from leveret.management.http.access import is_administrator
from leveret.management.http.answers import Receive, disconnected
from leveret.management.http.errors import (
    Refused,
    bad_request,
    key_missing,
    not_authenticated,
    not_found,
    object_not_found,
)
from leveret.management.json_values import NotJson, decoded
from leveret.management.node import Node

LARGE: Final = 32768  # octets of a body that might hold up the broker while it is read
MOST_VALUES: Final = 100_000  # in a body, which need a tenth of a second to be looked at
NO_OBJECTS: Final = (b"", b"null", b"undefined")  # what RabbitMQ takes for an object without keys
DEFAULT_EXCHANGE: Final = "amq.default"  # what paths call it
OF_EXCHANGES: Final = ("exchange", "source", "destination")


class Call:
    """One request. `arguments` are the parts of the path, decoded; `headers` have names in lower case."""

    def __init__(
        self,
        node: Node,
        user: User,
        method: str,
        arguments: Mapping[str, str],
        query: str,
        headers: Mapping[str, str],
        receive: Receive,
        access: Callable[[Call], None],
    ) -> None:
        """`access` says whether the user may do this, or raises Refused."""
        self.node: Final = node
        self.broker: Final = node.broker
        self.user: Final = user
        self.method: Final = method
        self.headers: Final = headers
        self._arguments: Final = arguments
        self._query: Final = query
        self._receive: Final = receive
        self._access: Final = access

    def check_access(self) -> None:
        """Refused if the user may not do this."""
        self._access(self)

    def header(self, name: str) -> str:
        """A header in UTF-8, empty if there is none."""
        return self.headers.get(name, "").encode("latin-1").decode("utf-8", "surrogateescape")

    # what the path names

    def argument(self, name: str) -> str:
        """A part of the path; the default exchange's name is the empty one."""
        value = unquote(self._arguments[name], errors="surrogateescape")
        return "" if value == DEFAULT_EXCHANGE and name in OF_EXCHANGES else value

    @property
    def vhost_name(self) -> str | None:
        """The virtual host that the path names, or else the header x-vhost; None if neither does."""
        if "vhost" in self._arguments:
            return self.argument("vhost")
        return self.header("x-vhost") or None

    def find_vhost(self) -> VirtualHost | None:
        """The virtual host that is named, if it is there."""
        return None if self.vhost_name is None else self.broker.vhosts.get(self.vhost_name)

    def vhost(self) -> VirtualHost:
        """The virtual host that is named; Refused with 404 if it is not there."""
        vhost = self.find_vhost()
        if vhost is None:
            raise object_not_found()
        return vhost

    def vhost_to_change(self) -> VirtualHost:
        """As `vhost`, with RabbitMQ's other error, for what is declared, bound, published or deleted."""
        vhost = self.find_vhost()
        if vhost is None:
            raise not_found("vhost_not_found")
        return vhost

    def vhosts(self) -> Iterator[VirtualHost]:
        """Those whose things are listed: the one that is named, or all, as far as the user may use them.

        Refused with 404 if the one that is named is not there.
        """
        for vhost in [self.vhost()] if self.vhost_name is not None else list(self.broker.vhosts.values()):
            if is_administrator(self.user) or self.broker.permissions.find(self.user.name, vhost.name) is not None:
                yield vhost

    # the query

    @cached_property
    def query(self) -> Mapping[str, str]:
        """The parameters; of one that stands twice the first."""
        return dict(reversed(parse_qsl(self._query, keep_blank_values=True, errors="surrogateescape")))

    def is_set(self, name: str) -> bool:
        """Whether a parameter is `true`."""
        return self.query.get(name) == "true"

    @cached_property
    def ranges(self) -> Ranges:
        """The samples of rates that are asked for."""
        return self.node.rates.asked(self.query)

    @property
    def without_statistics(self) -> bool:
        """Whether the answer is to have no statistics: the settings say so, or the query."""
        return self.node.http.without_statistics or self.is_set("disable_stats")

    @property
    def with_queue_totals(self) -> bool:
        """Whether an answer without statistics is to have the lengths of queues all the same."""
        return self.node.http.queue_totals or self.is_set("enable_queue_totals")

    # the body

    async def body(self) -> bytes:
        """The body's octets.

        A body may be long in coming. Refused if the virtual host that is named has gone meanwhile, or the user, or what
        let them do this.
        """
        vhost = self.find_vhost()
        body = await self._received()
        self._check_again(vhost)
        return body

    def _check_again(self, vhost: VirtualHost | None) -> None:
        if self.broker.users.find(self.user.name) is not self.user:
            raise not_authenticated("Not_Authorized")
        self.check_access()
        if vhost is not None and self.find_vhost() is not vhost:
            raise not_found("vhost_not_found")

    def is_still_allowed(self) -> bool:
        """Whether the user is there, and may do this, after some time."""
        try:
            self.check_access()
        except Refused:
            return False
        return self.broker.users.find(self.user.name) is self.user

    async def disconnected(self) -> None:
        """Wait until the client is gone."""
        await disconnected(self._receive)

    async def _received(self) -> bytes:
        pieces: list[bytes] = []
        size = 0
        more = True
        while more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise bad_request("the body is not complete")
            pieces.append(message.get("body", b""))
            size += len(pieces[-1])
            if size > self.node.http.body_limit:
                raise bad_request("Exceeded HTTP request body size limit")
            more = message.get("more_body", False)
        return b"".join(pieces)

    async def json(self, *needed: str) -> dict[str, Any]:
        """The object that the body is, which has the keys that are needed. Refused if it is none, or lacks one."""
        vhost = self.find_vhost()
        body = await self._received()
        try:
            if len(body) > LARGE:
                value = await asyncio.to_thread(decoded, body, MOST_VALUES)
            else:
                value = {} if body in NO_OBJECTS else decoded(body, MOST_VALUES)
        except NotJson:
            raise bad_request("not_json") from None
        self._check_again(vhost)
        if isinstance(value, str):
            raise bad_request(
                "invalid payload: the request body JSON-decoded to a string. Is the input doubly-JSON-encoded?"
            )
        if not isinstance(value, dict):
            raise bad_request("not_json")
        if missing := [name for name in needed if name not in value]:
            raise key_missing(missing)
        return value

    # changes

    def begin_change(self) -> None:
        """Has to be called before something in the broker is changed, without waiting in between."""
        self.node.begin_tick()
        self.broker.events.act_as(self.user.name)

    async def committed(self) -> None:
        """What was changed so far is on the disk when this returns."""
        done = asyncio.Event()
        self.broker.store.when_committed(done.set)
        await done.wait()
