"""A real RabbitMQ as Debian's or Fedora's package has it, started for a test or a benchmark and ended with it.

Nothing of it touches any other RabbitMQ of the machine: node name, ports, Erlang's port mapper, cookie, folders and
configuration are its own, and everything listens on loopback only. Root may not run it, so it changes to the package's
user then. Nothing is ever installed: without the package `rabbitmq_server` gives None, and whoever asks says so.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support.raw_client import ConnectionEnded, RawClient

# Debian's own wrapper in /usr/sbin changes the user by itself, and not the way that is needed here.
SERVERS = ("/usr/lib/rabbitmq/bin/rabbitmq-server", "/usr/lib64/rabbitmq/bin/rabbitmq-server")
START_TIMEOUT = 60.0  # seconds; RabbitMQ takes its time on a busy machine
STOP_TIMEOUT = 2.0


class CannotStart(Exception):
    """RabbitMQ did not start; the text is what it said."""


@dataclass(frozen=True)
class RabbitMQ:
    """A RabbitMQ that serves on 127.0.0.1. `http_port` is the management plugin's, 0 without it."""

    version: str
    port: int
    http_port: int
    pid: int
    ready_s: float


def free_ports(count: int) -> list[int]:
    """TCP ports of loopback that are free now, all different."""
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]


def rabbitmq_server() -> str | None:
    """The program that runs RabbitMQ in the foreground, or None where it isn't installed."""
    return next((path for path in SERVERS if os.access(path, os.X_OK)), None)


def rabbitmq_user() -> str | None:
    """Whom to run RabbitMQ as: root has to become the package's user, anybody else stays who they are."""
    known = {user.pw_name for user in pwd.getpwall()}
    return "rabbitmq" if os.geteuid() == 0 and "rabbitmq" in known else None


def environment(folder: Path, port: int, distribution_port: int, epmd_port: int) -> dict[str, str]:
    """What keeps this node apart from any other: its name, ports, folders, cookie (in HOME) and configuration."""
    return {
        "PATH": os.environ["PATH"],
        "LANG": "C.UTF-8",
        "HOME": str(folder),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "ERL_EPMD_PORT": str(epmd_port),
        "RABBITMQ_NODENAME": f"leveret{os.getpid()}-{port}@localhost",
        "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODE_PORT": str(port),
        "RABBITMQ_DIST_PORT": str(distribution_port),
        "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
        "RABBITMQ_LOG_BASE": str(folder / "log"),
        "RABBITMQ_PID_FILE": str(folder / "pid"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
        "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
        "RABBITMQ_ADVANCED_CONFIG_FILE": str(folder / "none"),
        "RABBITMQ_CONF_ENV_FILE": "/dev/null",
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
    }


def configure(folder: Path, plugins: Sequence[str], configuration: str) -> None:
    """Write the two files that say what is not default; without plugins and configuration there are none."""
    if plugins:
        (folder / "enabled_plugins").write_text(f"[{', '.join(plugins)}].\n")
    if configuration:
        (folder / "rabbitmq.conf").write_text(configuration)


def wait_for_connection(port: int, process: subprocess.Popen[str], log: Path) -> None:
    """Wait until a client gets its connection and its channel open. Raises CannotStart."""
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with RawClient(port) as client:
                client.log_in(channels=[1]).log_out()
            return
        except (OSError, ConnectionEnded):
            time.sleep(0.01)
    raise CannotStart(f"RabbitMQ did not start:\n{log.read_text()}")


def stop(process: subprocess.Popen[str]) -> None:
    """End the process and the rest of its process group at once: nobody needs its data any more."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def end_port_mapper(surroundings: dict[str, str]) -> None:
    """End this node's epmd, which refuses as long as it has not noticed that the node is gone."""
    deadline = time.monotonic() + STOP_TIMEOUT
    command = ["epmd", "-kill"]
    while subprocess.run(command, env=surroundings, capture_output=True, check=False).returncode:
        if time.monotonic() > deadline:
            return
        time.sleep(0.01)


@contextlib.contextmanager
def rabbitmq(folder: Path, plugins: Sequence[str] = (), configuration: str = "") -> Iterator[RabbitMQ]:
    """A RabbitMQ that keeps everything in `folder`, which an other user must be able to reach.

    It has its default configuration but for what `configuration` adds, in the form of rabbitmq.conf. With the plugin
    rabbitmq_management it serves the HTTP API too. Raises CannotStart.
    """
    program = rabbitmq_server()
    if program is None:
        raise CannotStart("RabbitMQ is not installed")
    port, distribution_port, epmd_port, http_port = free_ports(4)
    if "rabbitmq_management" in plugins:
        configuration += f"management.tcp.ip = 127.0.0.1\nmanagement.tcp.port = {http_port}\n"
    else:
        http_port = 0
    configure(folder, plugins, configuration)
    surroundings = environment(folder, port, distribution_port, epmd_port)
    user = rabbitmq_user()
    if user is not None:
        shutil.chown(folder, user, user)
    log = folder / "rabbitmq.log"
    begun = time.perf_counter()
    with log.open("w") as output:
        process = subprocess.Popen(
            [program],
            cwd=folder,
            env=surroundings,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            user=user,
            group=user,
            extra_groups=None if user is None else [],
        )
    try:
        wait_for_connection(port, process, log)
        ready_s = time.perf_counter() - begun
        version = re.search(r"RabbitMQ (\d+\.\d+\.\d+)", log.read_text())
        yield RabbitMQ("unknown" if version is None else version[1], port, http_port, process.pid, ready_s)
    finally:
        stop(process)
        end_port_mapper(surroundings)
