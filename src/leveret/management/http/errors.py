"""Requests that are not granted, in the forms in which RabbitMQ says so: `{"error": ..., "reason": ...}`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from leveret.amqp.reply_codes import ACCESS_REFUSED, NOT_ALLOWED, NOT_FOUND, AMQPError

REALM: Final = "RabbitMQ Management"
LINE_WIDTH: Final = 78  # of a term that Erlang's printer leaves on one line


class Refused(Exception):
    """A request that is answered with an error. The reason is JSON: mostly a text, sometimes a list.

    Without an `error` the answer has no body.
    """

    def __init__(
        self, status: int, error: str = "", reason: object = "", headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(status, error, reason)
        self.status: Final = status
        self.error: Final = error
        self.reason: Final = reason
        self.headers: Final = {} if headers is None else headers


def malformed() -> Refused:
    """400 for what is no HTTP as it should be."""
    return Refused(400)


def not_authenticated(reason: str = "") -> Refused:
    """401 for somebody who is not known; without a reason they only have to say who they are."""
    challenge = {"www-authenticate": f'Basic realm="{REALM}"'}
    return Refused(401, "not_authorized" if reason else "", reason, challenge)


def method_not_allowed(methods: Sequence[str]) -> Refused:
    """405 for a method that is known, but not to what the path names."""
    return Refused(405, headers={"allow": ", ".join(methods)})


def bad_request(reason: object) -> Refused:
    """400: the request makes no sense or can't be granted."""
    return Refused(400, "bad_request", reason)


def object_not_found() -> Refused:
    """404 for what the path names."""
    return Refused(404, "Object Not Found", "Not Found")


def not_found(reason: str) -> Refused:
    """404 for what the request needs: `vhost_not_found`, or AMQP's text."""
    return Refused(404, "not_found", reason)


def not_authorised(reason: str) -> Refused:
    """401 for a user whose password was right, but who may not do this. RabbitMQ has no 403."""
    return Refused(401, "not_authorised", reason)


def precondition_failed(reason: str) -> Refused:
    """412 for what may not be done as things are."""
    return Refused(412, "precondition_failed", reason)


def key_missing(keys: list[str]) -> Refused:
    """400 for a body that lacks keys, in the form of RabbitMQ: a printed Erlang term."""
    terms = [f"{{key_missing,{key}}}" for key in keys]
    line = f"[{','.join(terms)}]"
    return bad_request(line if len(line) <= LINE_WIDTH else f"[{f',{chr(10)} '.join(terms)}]")


def from_method(error: AMQPError) -> Refused:
    """What RabbitMQ makes of an AMQP error of a declare, delete or bind."""
    explanation = error.explanation
    if error.code == NOT_FOUND:
        return not_found(explanation)
    if error.code in (ACCESS_REFUSED, NOT_ALLOWED):
        return not_authorised("Access refused.")
    return bad_request(explanation)


def from_channel(error: AMQPError) -> Refused:
    """What RabbitMQ makes of an AMQP error that closes the channel it publishes or gets on."""
    return bad_request(f"{error.code} {error.text}")


def escaped(reason: str) -> str:
    """A reason with what is HTML in it made harmless, as RabbitMQ does where a user has a say in it."""
    return reason.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
