"""A story: requests one after the other, each with the status and the JSON that it has to be answered with."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from tests.http.client import Api, Reply

HASH = re.compile(rb'~[A-Za-z0-9_-]{6,12}(?=")')  # of a binding's arguments, which no two brokers make alike
JSON = {"content-type": "application/json"}  # without which RabbitMQ refuses some bodies
NOT_FOUND = {"error": "Object Not Found", "reason": "Not Found"}
REFUSED = {"error": "not_authorised", "reason": "Access refused."}


class Step(NamedTuple):
    """One request with its answer; the path is that below /api."""

    method: str
    path: str
    body: Any
    status: int
    json: Any


def bad(reason: Any) -> dict[str, Any]:
    return {"error": "bad_request", "reason": reason}


def object_missing(reason: str) -> dict[str, Any]:
    return {"error": "not_found", "reason": reason}


def comparable(reply: Reply) -> Any:
    """What an answer says, with all hashes alike."""
    return Reply(reply.status, reply.headers, HASH.sub(b"~HASH", reply.body)).json


def play(api: Api, step: Step) -> tuple[int, Any]:
    """Do one step; gives the status and the JSON of the answer."""
    reply = api.call(step.method, f"/api{step.path}", step.body, JSON)
    return reply.status, comparable(reply)
