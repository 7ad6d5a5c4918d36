"""Requests that are not granted, in the forms in which RabbitMQ says so: `{"error": ..., "reason": ...}`."""

from __future__ import annotations

from typing import Final

from leveret.amqp.reply_codes import ACCESS_REFUSED, NOT_ALLOWED, NOT_FOUND, AMQPError

LINE_WIDTH: Final = 80  # of Erlang's printer


class Refused(Exception):
    """A request that is answered with an error. The reason is JSON: mostly a text, sometimes a list.

    Without an `error` the answer has no body. `close` ends the HTTP connection.
    """

    def __init__(self, status: int, error: str, reason: object, close: bool = False) -> None:
        super().__init__(status, error, reason)
        self.status: Final = status
        self.error: Final = error
        self.reason: Final = reason
        self.close: Final = close


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
