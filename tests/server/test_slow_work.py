"""Passwords with slow hashes over real sockets: the event loop goes on while they are checked."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections.abc import Awaitable, Callable

import bcrypt
import pytest

from leveret.amqp.frame import PROTOCOL_HEADER, method_frame
from leveret.amqp.methods import ConnectionStartOk
from leveret.broker.broker import Broker
from leveret.broker.passwords import BCRYPT
from leveret.server.slow_work import THREADS, WorkInThreads
from leveret.server.tick import Tick
from tests.broker.driver import Frames, Received

PATIENCE = 10.0  # seconds


class Scene:
    """A broker whose user has a slow password, with its tick and threads."""

    def __init__(self) -> None:
        self.broker = Broker("test", "leveret@test", lambda: 0.0, os.urandom)
        self.tick = Tick(self.broker, asyncio.get_running_loop())
        self.threads = WorkInThreads(self.tick)
        self.broker.slow_work = self.threads
        self.broker.users.put("slow", bcrypt.hashpw(b"secret", bcrypt.gensalt(10)).decode(), BCRYPT, ())
        self.sockets: list[socket.socket] = []

    def client(self, password: str) -> socket.socket:
        ours, theirs = socket.socketpair()
        theirs.setblocking(False)
        self.sockets.append(theirs)
        self.tick.add(ours, "peer", "local", True)
        start_ok = ConnectionStartOk({}, "PLAIN", f"\0slow\0{password}".encode(), "en_US")
        theirs.sendall(PROTOCOL_HEADER + method_frame(0, start_ok.encode()))
        return theirs

    def end(self) -> None:
        for client in list(self.tick.clients.values()):
            client.close()
        for sock in self.sockets:
            sock.close()
        self.threads.close()


async def answers(sock: socket.socket, count: int) -> list[Received]:
    """So many methods that the broker sends, less if it hangs up."""
    frames = Frames()
    found: list[Received] = []
    async with asyncio.timeout(PATIENCE):
        while len(found) < count:
            data = await asyncio.get_running_loop().sock_recv(sock, 65536)
            if not data:
                break
            found += frames.feed(data)
    return found


def in_a_loop(test: Callable[[Scene], Awaitable[None]]) -> None:
    async def run() -> None:
        scene = Scene()
        try:
            await test(scene)
        finally:
            scene.end()

    asyncio.run(run())


def test_right_and_wrong_passwords() -> None:
    async def test(scene: Scene) -> None:
        clients = [scene.client("secret" if number % 2 else "wrong") for number in range(6)]
        for number, client in enumerate(clients):
            names = [received.method.name for received in await answers(client, 2)]
            assert names == ["connection.start", *(["connection.tune"] if number % 2 else [])]

    in_a_loop(test)


def test_the_event_loop_goes_on() -> None:
    """While as many passwords are checked as there are threads, and more wait, the loop runs again and again."""

    async def test(scene: Scene) -> None:
        clients = [scene.client("secret") for _ in range(2 * THREADS)]
        waiting = [asyncio.ensure_future(answers(client, 2)) for client in clients]
        turns = 0
        while not all(each.done() for each in waiting):
            turns += any(connection.waiting for connection in scene.broker.connections)
            await asyncio.sleep(0)
        assert turns > 100
        assert [len(each.result()) for each in waiting] == [2] * len(waiting)

    in_a_loop(test)


class Panic(BaseException):
    """What a library in Rust raises when it panics: no Exception."""


@pytest.mark.parametrize("error", [ValueError, Panic])
def test_work_that_fails_comes_to_its_end(error: type[BaseException]) -> None:
    async def test(scene: Scene) -> None:
        done = asyncio.Event()

        def fail() -> None:
            raise error("not a hash")

        scene.threads.submit(fail, done.set)
        async with asyncio.timeout(PATIENCE):
            await done.wait()

    in_a_loop(test)


def test_closing_drops_what_waits() -> None:
    """What has begun comes to its end; what waits in line, or comes later, is never begun."""

    async def test(scene: Scene) -> None:
        begun: list[int] = []
        ended: list[int] = []
        all_begun, go_on = threading.Barrier(THREADS + 1), threading.Event()

        def submit(number: int) -> None:
            def run() -> None:
                begun.append(number)
                all_begun.wait(PATIENCE)
                go_on.wait(PATIENCE)

            scene.threads.submit(run, lambda: ended.append(number))

        for number in range(2 * THREADS):
            submit(number)
        all_begun.wait(PATIENCE)
        scene.threads.close()
        submit(2 * THREADS)
        go_on.set()
        for thread in threading.enumerate():
            if thread.name.startswith("slow work"):
                thread.join(PATIENCE)
        async with asyncio.timeout(PATIENCE):
            while len(ended) < THREADS:
                await asyncio.sleep(0)
        assert sorted(begun) == sorted(ended) == list(range(THREADS))

    in_a_loop(test)
