"""Looks at the queues of a scenario from outside: their counts, whether they are there, and in the end their deletion.

It has a connection of its own, with a channel for each queue, since asking for a queue that is not there closes the
channel. A queue that is exclusive answers only on the connection that declared it, so there it is asked.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from tests.differential.session import Session
from tests.support.raw_client import declare_queue, method, shortstr

FIRST_CHANNEL = 10
SPARE_CHANNEL = 1
DEADLINE = 5.0
PASSIVE = 1
NOT_FOUND, RESOURCE_LOCKED = 404, 405
MISSING = "missing"


class Probe:
    """Asks for queues by passive declares. `watch` names one; one that turns out to be missing is forgotten."""

    def __init__(self, port: int) -> None:
        self.own = Session(port, {})
        self.own.open(SPARE_CHANNEL)
        self.queues: dict[str, str] = {}
        self.channels: dict[str, int] = {}
        self.exclusive: dict[str, int] = {}  # the queue's owner, by the number of its connection

    def watch(self, name: str, given: str) -> None:
        """From now on this queue may be there."""
        self.queues[name] = given
        self.channels.setdefault(name, FIRST_CHANNEL + len(self.channels))

    def counts(self, sessions: Sequence[Session]) -> dict[str, str]:
        """The ready messages and the consumers of each queue that may be there."""
        found: dict[str, str] = {}
        waiting = dict.fromkeys(self.queues)
        while waiting:
            for name in waiting:
                session = self._session(name, sessions)
                self._open(session, self.channels[name])
                session.send(declare_queue(self.channels[name], self.queues[name], PASSIVE))
            for name in list(waiting):
                answer = self._answer(name, sessions)
                if answer is not None:
                    found[name] = answer
                    del waiting[name]
        for name, answer in found.items():
            if answer == MISSING:
                self._forget(name)
        return dict(sorted(found.items()))

    def places(self, sessions: Sequence[Session]) -> dict[str, Session]:
        """The queues that are there, each with a connection that may use it."""
        return {name: self._place(name, sessions) for name in sorted(self.queues)}

    def wait_until_missing(self, given: str) -> None:
        """Wait until a queue is gone that only another connection may use."""
        deadline = time.monotonic() + DEADLINE
        while time.monotonic() < deadline:
            self._open(self.own, SPARE_CHANNEL)
            self.own.send(declare_queue(SPARE_CHANNEL, given, PASSIVE))
            assert self.own.reply(SPARE_CHANNEL, "queue.declare-ok") is None
            if self.own.take(SPARE_CHANNEL)[-1].details["code"] != RESOURCE_LOCKED:
                return
            time.sleep(0.001)
        raise AssertionError("the broker has not noticed the end of a connection")

    def delete_all(self, sessions: Sequence[Session], exchanges: Sequence[str]) -> None:
        """Delete every queue and these exchanges."""
        places = self.places(sessions)
        for name, session in places.items():
            self._open(session, self.channels[name])
            session.send(method(self.channels[name], (50, 40), b"\0\0" + shortstr(self.queues[name]) + b"\0"))
        for name, session in places.items():
            session.reply(self.channels[name], "queue.delete-ok")
            self._forget(name)
        self._open(self.own, SPARE_CHANNEL)
        self.own.send(b"".join(method(1, (40, 20), b"\0\0" + shortstr(name) + b"\0") for name in exchanges))
        for _ in exchanges:
            assert self.own.reply(SPARE_CHANNEL, "exchange.delete-ok")

    def _forget(self, name: str) -> None:
        self.queues.pop(name, None)
        self.exclusive.pop(name, None)

    def _session(self, name: str, sessions: Sequence[Session]) -> Session:
        owner = self.exclusive.get(name)
        return self.own if owner is None else sessions[owner]

    def _place(self, name: str, sessions: Sequence[Session]) -> Session:
        """Where a queue may be consumed; the probe's own connection has no marker channel, the others have."""
        owner = self.exclusive.get(name)
        return sessions[0 if owner is None else owner]

    @staticmethod
    def _open(session: Session, channel: int) -> None:
        if channel not in session.open_channels:
            session.open(channel)

    def _answer(self, name: str, sessions: Sequence[Session]) -> str | None:
        """What a queue's passive declare gave; None if another connection has to be asked."""
        session, channel = self._session(name, sessions), self.channels[name]
        reply = session.reply(channel, "queue.declare-ok")
        if reply is not None:
            return f"{reply.details['messages']} ready, {reply.details['consumers']} consumers"
        if session.ended:
            raise AssertionError(f"the connection that was asked for {name} has ended: {session.arrived}")
        close = session.take(channel)[-1]
        owner = self.exclusive.get(name, -1) + 1
        if close.details.get("code") == RESOURCE_LOCKED and owner < len(sessions):
            self.exclusive[name] = owner
            return None
        self.exclusive.pop(name, None)
        return MISSING if close.details.get("code") == NOT_FOUND else str(close.details.get("text"))
