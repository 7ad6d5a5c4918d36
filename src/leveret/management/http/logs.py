"""`/logs` and `/livelog`: the last lines of the log, to download and to follow, as LavinMQ has them.

They are for administrators: lines have names of users, virtual hosts and queues, and addresses of clients.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Final

from leveret.management.http.access import administrator
from leveret.management.http.answers import Answer, Streamed, encoded
from leveret.management.http.call import Call
from leveret.management.http.resource import Resource
from leveret.server.recent_log import Follower, Line

TEXT: Final = "text/plain; charset=utf-8"
EVENTS: Final = "text/event-stream"
SIGN_OF_LIFE: Final = b":\n\n"
SILENCE: Final = 30.0  # seconds without a line until a sign of life, which shows whether the client is still there


async def get_logs(call: Call) -> object:
    """The last lines as a file, in the form of the log."""
    lines = [f"{line.text}\n".encode("utf-8", "backslashreplace") for line in call.node.recent_log.lines()]
    return Answer(200, lines, {"content-type": TEXT, "content-disposition": "attachment; filename=logs.txt"})


async def get_live_log(call: Call) -> object:
    """The last lines and those to come, as server-sent events; after `Last-Event-Id` if the client says what it saw."""
    seen = call.headers.get("last-event-id", "")
    after = int(seen) if seen.isascii() and seen.isdigit() and len(seen) < 20 else 0
    return Streamed(live_log(call, after), {"content-type": EVENTS, "cache-control": "no-cache"})


async def live_log(call: Call, after: int) -> AsyncGenerator[bytes]:
    """The events, until the client goes, or the broker, or until the user may not see them any more."""
    recent, follower = call.node.recent_log, Follower()
    gone = asyncio.ensure_future(call.disconnected())
    recent.followers.add(follower)
    try:
        while call.is_still_allowed() and not gone.done():
            ended = recent.ended
            follower.changed.clear()
            lines = recent.lines(after)
            if lines:
                after = lines[-1].number
            yield b"".join([event(line) for line in lines]) or SIGN_OF_LIFE
            if ended:
                break
            changed = asyncio.ensure_future(follower.changed.wait())
            await asyncio.wait((changed, gone), timeout=SILENCE, return_when=asyncio.FIRST_COMPLETED)
            changed.cancel()
    finally:
        recent.followers.discard(follower)
        gone.cancel()


def event(line: Line) -> bytes:
    """A line as a server-sent event."""
    return f"id: {line.number}\ndata: {encoded([line.level, line.source, line.message])}\n\n".encode()


RESOURCES: Final = (
    Resource("/logs", administrator, get=get_logs, kind="text/plain"),
    Resource("/livelog", administrator, get=get_live_log, kind=EVENTS),
)
