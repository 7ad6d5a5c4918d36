"""The suites: where their tests are, what is run of them, and how they are told which broker to talk to."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

from tests.conformance.brokers import Certificates

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Place:
    """Where the broker of a suite is. `address` is one of loopback at which the default port is the broker's own."""

    port: int
    tls_port: int
    http_url: str
    address: str
    containers: str  # where the stand-in for Docker answers
    certificates: Certificates


@dataclass(frozen=True)
class Suite:
    """`archive` unpacks to a folder in which pytest is given `paths`; `short` of these fit into a minute.

    `added` are files that the tests import and that the archive lacks: where they go, and which of ours it is.
    """

    name: str
    archive: str
    paths: tuple[str, ...]
    short: tuple[str, ...]
    added: tuple[tuple[str, str], ...] = ()
    plugins: tuple[str, ...] = ()

    @property
    def folder(self) -> str:
        return self.archive.removesuffix(".tar.gz").removesuffix("-py3-none-any.whl")

    def surroundings(self, place: Place) -> dict[str, str]:
        """The variables that tell this suite its broker, under the names that it has for them."""
        match self.name:
            case "aiormq":
                return {
                    "LEVERET_CONFORMANCE_PORT": str(place.port),
                    "LEVERET_CONFORMANCE_TLS_PORT": str(place.tls_port),
                }
            case "aio-pika":
                return {"DOCKER_HOST": place.containers}
            case "amqp" | "kombu":
                return {
                    "RABBITMQ_HOST": "127.0.0.1",
                    "RABBITMQ_5672_TCP": str(place.port),
                    "RABBITMQ_5671_TCP": str(place.tls_port),
                }
            case "dramatiq":
                return {"RABBITMQ_PORT": str(place.port)}
            case _:
                account = {"AMQP_USERNAME": "guest", "AMQP_PASSWORD": "guest"}
                return account | {
                    "AMQP_HOST": place.address,
                    "AMQP_URI": f"amqp://guest:guest@{place.address}:5672/%2F",
                    "AMQP_HTTP_URL": place.http_url,
                    "AMQP_SSL_HOST": place.address,
                    "AMQP_SSL_URI": f"amqps://guest:guest@{place.address}:5671/%2F",
                    "AMQP_CAFILE": str(place.certificates.authority),
                    "AMQP_CERTFILE": str(place.certificates.client),
                    "AMQP_KEYFILE": str(place.certificates.client_key),
                }


SUITES = (  # the longest first
    Suite(
        "aio-pika",
        "aio_pika-10.2.1.tar.gz",
        ("tests",),
        tuple(
            f"tests/test_{name}.py"
            for name in (
                "connect",
                "consumer_publish_errors",
                "json_rpc",
                "master",
                "message",
                "nowait",
                "queue_iterator_close",
                "rpc",
            )
        ),
        plugins=("aiomisc_pytest",),
    ),
    Suite(
        "aiormq",
        "aiormq-7.2.4.tar.gz",
        ("tests",),
        ("tests/test_nowait.py", "tests/test_consumer_publish.py", "tests/test_publish_cancel.py"),
        added=(("conftest.py", "aiormq_conftest.py"),),
        plugins=("aiomisc_pytest",),
    ),
    Suite(
        "amqpstorm",
        "amqpstorm-3.1.4-py3-none-any.whl",
        ("amqpstorm/tests",),
        tuple(f"amqpstorm/tests/functional/{name}" for name in ("management", "test_queue.py", "test_web_based.py")),
    ),
    Suite(
        "dramatiq",
        "dramatiq-2.2.1.tar.gz",
        ("tests/test_rabbitmq.py", "tests/test_broker.py"),
        ("tests/test_rabbitmq.py", "tests/test_broker.py"),
        added=(("tests/conftest.py", "dramatiq_conftest.py"), ("tests/common.py", "dramatiq_common.py")),
    ),
    Suite("kombu", "kombu-5.7.0.tar.gz", ("t/integration/test_py_amqp.py",), ("t/integration/test_py_amqp.py",)),
    Suite("amqp", "amqp-5.4.2.tar.gz", ("t",), ("t",)),
)


def deselected() -> dict[str, dict[str, str]]:
    """For each suite the tests that are left out, and why. `*` in a name is any text."""
    with (HERE / "deselected.toml").open("rb") as file:
        return tomllib.load(file)
