"""A resource: what a path names, and what can be done with it.

A request is answered in the order of RabbitMQ: is there such a method at all (501) and here (405), who asks and may
they (401), do they take JSON (406), is there what the path names (404); then the method itself. A PUT answers 201 for
what is new and 204 for what was there, and with DELETE has no body. Whatever is `Refused` on the way is the answer.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final, TypeAlias

from leveret.broker.users import User
from leveret.management.http.access import anybody, authenticate
from leveret.management.http.answers import (
    JSON,
    Answer,
    Receive,
    Send,
    Streamed,
    of_json,
    of_refusal,
    send_answer,
    send_stream,
)
from leveret.management.http.call import Call
from leveret.management.http.columns import asked_for, extracted
from leveret.management.http.errors import Refused, method_not_allowed, object_not_found
from leveret.management.node import Node

log: Final = logging.getLogger("leveret.management")

Handler: TypeAlias = Callable[[Call], Awaitable[object]]

KNOWN_METHODS: Final = ("HEAD", "GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
NOBODY: Final = User("", "", "", ())


def always(_call: Call) -> bool:
    """Whether there is what a path without arguments names."""
    return True


class Resource:
    """What one path names.

    A handler gives what is to be answered as JSON, None for an answer without a body, or an Answer or a Streamed one,
    which are of another `kind` if that is told.
    """

    def __init__(
        self,
        path: str,
        access: Callable[[Call], None] = anybody,
        exists: Callable[[Call], bool] = always,
        *,
        public: bool = False,
        kind: str = JSON,
        get: Handler | None = None,
        post: Handler | None = None,
        put: Handler | None = None,
        delete: Handler | None = None,
    ) -> None:
        self.path: Final = path
        self._access: Final = access
        self._exists: Final = exists
        self._public: Final = public  # nobody has to say who they are
        self._kind: Final = kind
        handlers = {"HEAD": get, "GET": get, "POST": post, "PUT": put, "DELETE": delete}
        self._handlers: Final = {method: handler for method, handler in handlers.items() if handler is not None}
        self.methods: Final = (*self._handlers, "OPTIONS")

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request, as an ASGI application in one whose state has the node."""
        try:
            answer: Answer | Streamed = await self._answer(scope, receive)
        except Refused as refused:
            answer = of_refusal(refused)
        except Exception:
            log.exception("internal error in %s %s", scope["method"], self.path)
            answer = of_refusal(Refused(500, "internal_server_error", "internal error"))
        if isinstance(answer, Streamed):
            await send_stream(answer, receive, send, scope["method"] != "HEAD")
        else:
            await send_answer(answer, send, scope["method"] != "HEAD")

    async def _answer(self, scope: MutableMapping[str, Any], receive: Receive) -> Answer | Streamed:
        method = scope["method"]
        if method not in KNOWN_METHODS:
            raise Refused(501)
        if method not in self.methods:
            raise method_not_allowed(self.methods)
        if method == "OPTIONS":
            return Answer(200, headers={"allow": ", ".join(self.methods)})
        node: Node = scope["app"].state.node
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in reversed(scope["headers"])}
        user = NOBODY
        if not self._public:
            user = await authenticate(node, headers.get("authorization"), scope["client"][0])
        query = scope["query_string"].decode("latin-1")
        call = Call(node, user, method, scope["path_params"], query, headers, receive, self._access)
        call.check_access()
        if not accepts(headers.get("accept"), self._kind):
            raise Refused(406)
        return await self._handle(call)

    async def _handle(self, call: Call) -> Answer | Streamed:
        exists = self._exists(call)
        if not exists and call.method not in ("PUT", "POST"):
            raise object_not_found()
        value = await self._handlers[call.method](call)
        if isinstance(value, (Answer, Streamed)):
            return value
        if value is None:
            return Answer(201 if call.method == "PUT" and not exists else 204)
        return of_json(extracted(value, asked_for(call.query)))


def accepts(header: str | None, kind: str) -> bool:
    """Whether an Accept header lets us answer with this."""
    acceptable = (kind, f"{kind.partition('/')[0]}/*", "*/*")
    if header is None or header.strip() == "":
        return True
    for entry in header.split(","):
        accepted, *parameters = [part.strip().lower() for part in entry.split(";")]
        if accepted in acceptable and "q=0" not in parameters:
            return True
    return False
