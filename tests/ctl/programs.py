"""leveretctl as a program of its own, by each of the names that it may be called by, and what is told to it in stories.

A story is a list of steps, each of them a call with the result that it has to have, or something a client does. The
first word of a call is the program's name, and `remote` before that has it ask the HTTP API. `$name` stands for what is
known of the broker.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from string import Template

import pika
import pika.exceptions
from pika.adapters.blocking_connection import BlockingChannel

from leveret.cli.ctl_program import program
from tests.support.broker_process import BrokerProcess

REMOTE = "remote"


class Programs:
    """Links of all names to one script, which runs leveretctl."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.nowhere = folder / "nowhere"
        self.own = folder / "leveretctl"
        self.own.write_text(
            f"#!{sys.executable}\nimport sys\nfrom leveret.cli.leveretctl import main\nsys.exit(main())\n"
        )
        self.own.chmod(0o755)

    def run(self, name: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a program, which never prints a traceback."""
        link = self.folder / name
        if not link.exists():
            link.symlink_to(self.own)
        environment = {key: value for key, value in os.environ.items() if not key.startswith("LEVERET_")}
        result = subprocess.run(
            [link, *arguments],
            env=environment | {"LEVERET_INTERPRETED": os.environ.get("LEVERET_INTERPRETED", "")} | variables,
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
        assert "Traceback" not in result.stderr, result.stderr
        return result


@dataclass
class World:
    """The broker of a story, its clients, and what `$name` stands for."""

    broker: BrokerProcess
    programs: Programs
    known: dict[str, str]
    clients: list[pika.BlockingConnection] = field(default_factory=list)

    def client(self) -> BlockingChannel:
        """A channel of a client that stays until the end of the story; $connection is its name."""
        connection = pika.BlockingConnection(pika.URLParameters(self.broker.url))
        self.clients.append(connection)
        sock = connection._impl._transport._sock  # type: ignore[attr-defined]
        here, there = sock.getsockname(), sock.getpeername()
        self.known["connection"] = f"{here[0]}:{here[1]} -> {there[0]}:{there[1]}"
        channel = connection.channel()
        channel.confirm_delivery()
        return channel

    def end(self) -> None:
        """Close what is still open."""
        for client in self.clients:
            with contextlib.suppress(pika.exceptions.AMQPError):  # closed by what the story does
                client.close()


class Call:
    """Running a program. Its whole output is `lines`, or has something in it that matches `has`."""

    def __init__(self, line: str, *lines: str, has: str = "", status: int = 0, error: str = "") -> None:
        self.line, self.lines, self.has, self.status, self.error = line, lines, has, status, error
        words = shlex.split(line)
        self.remote = words[0] == REMOTE
        self.program, *self.words = words[1:] if self.remote else words
        commands = [*program(self.program).commands, "help", "version"]
        self.command = next(word for word in self.words if word in commands)

    def __call__(self, world: World) -> None:
        """Run it, and look at what it says."""
        filled = [Template(word).safe_substitute(world.known) for word in self.words]
        url = f"http://guest:guest@127.0.0.1:{world.broker.http_port}"
        where = {"LEVERET_URL": url} if self.remote else {"LEVERET_DATA_DIR": str(world.broker.data_dir)}
        result = world.programs.run(self.program, *filled, **where)
        said = f"{self.line}\n{result.stdout}{result.stderr}"
        assert result.returncode == self.status, said
        assert Template(self.error).safe_substitute(world.known) in result.stderr, said
        assert bool(result.stderr) == bool(self.error), said
        if self.has:
            assert re.search(Template(self.has).safe_substitute(world.known), result.stdout, re.MULTILINE), said
        else:
            expected = [Template(line).safe_substitute(world.known) for line in self.lines]
            assert result.stdout.splitlines() == expected, said


Step = Callable[[World], None]


def connect(world: World) -> None:
    """A client comes."""
    world.client()


def publish(queue: str, *bodies: bytes, **arguments: str) -> Step:
    """A client declares a queue and publishes to it."""

    def step(world: World) -> None:
        channel = world.client()
        channel.queue_declare(queue, durable=True, arguments=dict(arguments))
        for body in bodies:
            channel.basic_publish("", queue, body)

    return step


def is_closed(reason: str) -> Step:
    """The last client is told that it is closed, and why."""

    def step(world: World) -> None:
        try:
            while True:
                world.clients[-1].process_data_events(5)
        except pika.exceptions.ConnectionClosedByBroker as closed:
            assert closed.reply_text == f"CONNECTION_FORCED - {reason}"

    return step


def is_refused(world: World) -> None:
    """Nobody listens for clients."""
    try:
        pika.BlockingConnection(pika.URLParameters(world.broker.url))
    except pika.exceptions.AMQPConnectionError:
        return
    raise AssertionError("a client was let in")
