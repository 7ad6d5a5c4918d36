"""A broker, its ctl command, and pika: what an operator sets, and what an application sees of it.

With LEVERET_TEST_PORT the broker is the one that listens there, and LEVERET_TEST_CTL is the command that controls it
(rabbitmqctl with what it needs): that is how these expectations are checked against a real RabbitMQ.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.behaviour.conftest import Broker, Names, channel, connect, connection, names, queue
from tests.ctl.conftest import leveretctl_here
from tests.support.broker_process import BrokerProcess

__all__ = ["channel", "connect", "connection", "names", "queue"]

Ctl = Callable[..., str]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.any_broker)


@pytest.fixture
def ctl(broker: Broker) -> Ctl:
    """Runs a ctl command that must succeed, and gives what it prints."""

    def run(*arguments: str) -> str:
        if isinstance(broker, BrokerProcess):
            result = leveretctl_here(*arguments, data_dir=broker.data_dir)
        else:
            command = shlex.split(os.environ["LEVERET_TEST_CTL"])
            result = subprocess.run(
                [*command, *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
            )
        assert result.returncode == 0, result.stderr
        return result.stdout

    return run


class Policies:
    """Policies of this test alone, for what it declares under its `names`."""

    def __init__(self, ctl: Ctl, names: Names) -> None:
        self._ctl = ctl
        self._unique = names.unique
        self._set: set[tuple[str, str]] = set()

    def name(self, hint: str) -> str:
        return f"{self._unique}.{hint}"

    def set(
        self,
        definition: dict[str, object],
        hint: str = "policy",
        pattern: str | None = None,
        priority: int = 0,
        apply_to: str = "all",
        operator: bool = False,
    ) -> str:
        """Set a policy, for everything of the test if there is no pattern; gives its name."""
        kind, name = "operator_policy" if operator else "policy", self.name(hint)
        self._set.add((kind, name))
        wanted = f"^test\\.{self._unique}\\." if pattern is None else pattern
        options = ["--priority", str(priority), "--apply-to", apply_to]
        self._ctl("-q", f"set_{kind}", *options, name, wanted, json.dumps(definition))
        return name

    def clear(self, hint: str = "policy", operator: bool = False) -> None:
        """Clear one of them."""
        kind, name = "operator_policy" if operator else "policy", self.name(hint)
        self._set.remove((kind, name))
        self._ctl("-q", f"clear_{kind}", name)

    def clear_all(self) -> None:
        """Leave no policy behind."""
        for kind, name in self._set:
            self._ctl("-q", f"clear_{kind}", name)


@pytest.fixture
def policies(ctl: Ctl, names: Names) -> Iterator[Policies]:
    found = Policies(ctl, names)
    yield found
    found.clear_all()
