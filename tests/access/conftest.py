"""A virtual host and users of the module's own, set up by the ctl command of the broker that is tested.

With LEVERET_TEST_PORT and LEVERET_TEST_CTL set (see tests/policies) that is a RabbitMQ: that is how these expectations
were checked against one, of version 3.10.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pika
import pytest
from pika.adapters.blocking_connection import BlockingConnection

from tests.behaviour.conftest import Broker
from tests.ctl.conftest import leveretctl_here
from tests.support.broker_process import BrokerProcess

PASSWORD = "secret"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.any_broker)


def text_of_refusal(text: str) -> str:
    """The text that the broker has for it: RabbitMQ 3.10 does not say which of the three permissions is missing."""
    return text.partition(" ")[2] if "LEVERET_TEST_PORT" in os.environ else text


class Access:
    """Users and virtual hosts of one module, which are gone when it has ended."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self._unique = uuid.uuid4().hex[:8]
        self._users: set[str] = set()
        self._vhosts: set[str] = set()
        self._connections: list[BlockingConnection] = []

    def ctl(self, *arguments: str) -> str:
        """Run a ctl command that must succeed; gives what it prints."""
        if isinstance(self.broker, BrokerProcess):
            result = leveretctl_here("-q", *arguments, data_dir=self.broker.data_dir)
        else:
            command = [*shlex.split(os.environ["LEVERET_TEST_CTL"]), "-q", *arguments]
            result = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stderr
        return result.stdout

    def user(self, hint: str, vhost: str | None = None, *patterns: str) -> str:
        """A new user, with permissions if patterns for configure, write and read are given."""
        name = f"{hint}-{self._unique}"
        self.ctl("add_user", name, PASSWORD)
        self._users.add(name)
        if vhost is not None:
            self.permit(name, vhost, *patterns)
        return name

    def permit(self, user: str, vhost: str, *patterns: str) -> None:
        """Set permissions; without patterns for configure, write and read they permit everything."""
        self.ctl("set_permissions", "-p", vhost, user, *(patterns or (".*", ".*", ".*")))

    def vhost(self, hint: str, *options: str) -> str:
        """A new virtual host in which guest may do everything."""
        name = f"{hint}-{self._unique}"
        self.ctl("add_vhost", name, *options)
        self._vhosts.add(name)
        self.permit("guest", name)
        return name

    def delete_user(self, name: str) -> None:
        """Delete a user."""
        self.ctl("delete_user", name)
        self._users.discard(name)

    def delete_vhost(self, name: str) -> None:
        """Delete a virtual host."""
        self.ctl("delete_vhost", name)
        self._vhosts.discard(name)

    def connect(self, user: str, vhost: str, password: str | None = None) -> BlockingConnection:
        """A connection, which is closed when the module has ended."""
        wanted = pika.ConnectionParameters("127.0.0.1", self.broker.port, vhost)
        wanted.credentials = pika.PlainCredentials(user, password or ("guest" if user == "guest" else PASSWORD))
        self._connections.append(pika.BlockingConnection(wanted))
        return self._connections[-1]

    def end(self) -> None:
        """Leave nothing behind."""
        for connection in self._connections:
            if connection.is_open:
                connection.close()
        for name in list(self._users):
            self.delete_user(name)
        for name in list(self._vhosts):
            self.delete_vhost(name)


@pytest.fixture(scope="module")
def access(broker: Broker) -> Iterator[Access]:
    access = Access(broker)
    yield access
    access.end()
