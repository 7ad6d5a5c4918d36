"""Reply codes, reply texts and the protocol errors that carry them.

A reply text is `NAME - explanation`, never longer than a short string may be. Clients parse both the code and the
text, so both follow RabbitMQ (rabbit_binary_generator:map_exception). The specification's words are kept for the two
grades of error: a soft error closes the channel, a hard error closes the connection. The grade is chosen by who
raises the error and not by its code, because RabbitMQ also sends some codes both ways.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from leveret.amqp.text import shortened

REPLY_SUCCESS: Final = 200
CONTENT_TOO_LARGE: Final = 311
NO_ROUTE: Final = 312
NO_CONSUMERS: Final = 313
CONNECTION_FORCED: Final = 320
INVALID_PATH: Final = 402
ACCESS_REFUSED: Final = 403
NOT_FOUND: Final = 404
RESOURCE_LOCKED: Final = 405
PRECONDITION_FAILED: Final = 406
FRAME_ERROR: Final = 501
SYNTAX_ERROR: Final = 502
COMMAND_INVALID: Final = 503
CHANNEL_ERROR: Final = 504
UNEXPECTED_FRAME: Final = 505
RESOURCE_ERROR: Final = 506
NOT_ALLOWED: Final = 530
NOT_IMPLEMENTED: Final = 540
INTERNAL_ERROR: Final = 541

NAMES: Final[dict[int, str]] = {
    REPLY_SUCCESS: "REPLY_SUCCESS",
    CONTENT_TOO_LARGE: "CONTENT_TOO_LARGE",
    NO_ROUTE: "NO_ROUTE",
    NO_CONSUMERS: "NO_CONSUMERS",
    CONNECTION_FORCED: "CONNECTION_FORCED",
    INVALID_PATH: "INVALID_PATH",
    ACCESS_REFUSED: "ACCESS_REFUSED",
    NOT_FOUND: "NOT_FOUND",
    RESOURCE_LOCKED: "RESOURCE_LOCKED",
    PRECONDITION_FAILED: "PRECONDITION_FAILED",
    FRAME_ERROR: "FRAME_ERROR",
    SYNTAX_ERROR: "SYNTAX_ERROR",
    COMMAND_INVALID: "COMMAND_INVALID",
    CHANNEL_ERROR: "CHANNEL_ERROR",
    UNEXPECTED_FRAME: "UNEXPECTED_FRAME",
    RESOURCE_ERROR: "RESOURCE_ERROR",
    NOT_ALLOWED: "NOT_ALLOWED",
    NOT_IMPLEMENTED: "NOT_IMPLEMENTED",
    INTERNAL_ERROR: "INTERNAL_ERROR",
}

_REPLY_TEXT_LIMIT: Final = 255
_CUT_AT: Final = 252


def reply_text(code: int, explanation: str) -> str:
    """Return `NAME - explanation`, or the bare name when there is no explanation.

    More than 255 bytes of UTF-8 become at most 252 and `...`, as in RabbitMQ; unlike RabbitMQ the cut never falls
    inside a character, because some clients refuse a reply text that is not UTF-8. An unknown code is shown as its
    number.
    """
    name = NAMES.get(code, str(code))
    text = f"{name} - {explanation}" if explanation else name
    if len(text.encode("utf-8", "surrogateescape")) <= _REPLY_TEXT_LIMIT:
        return text
    return shortened(text, _CUT_AT) + "..."


def octets_text(octets: bytes) -> str:
    """Return octets the way RabbitMQ shows them in reply texts: `<<0,50,255>>`.

    Only as many octets are written out as could ever fit into a reply text.
    """
    return "<<" + ",".join([str(octet) for octet in octets[:_REPLY_TEXT_LIMIT]]) + ">>"


class AMQPError(Exception):
    """A violation of the protocol or of a broker's rule, to be told to the client that caused it.

    `class_id` and `method_id` name the method that failed; both are 0 when no method is known.
    """

    def __init__(self, code: int, explanation: str, class_id: int = 0, method_id: int = 0) -> None:
        super().__init__(code, explanation)
        self.code = code
        self.explanation = explanation
        self.class_id = class_id
        self.method_id = method_id

    @property
    def text(self) -> str:
        """The reply text that goes to the client."""
        return reply_text(self.code, self.explanation)

    def __str__(self) -> str:
        return f"{self.code} {self.text}"


class SoftError(AMQPError):
    """An error that closes the channel."""


class HardError(AMQPError):
    """An error that closes the connection."""


def with_method(error: AMQPError, method: i64) -> AMQPError:
    """Note which method an error came from, if it doesn't say so."""
    if error.class_id == 0:
        error.class_id, error.method_id = int(method >> 16), int(method & 0xFFFF)
    return error
