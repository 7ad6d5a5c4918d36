"""No password is ever logged or shown: whichever way one comes, right or wrong, and with all that a log can tell."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pika
import pika.exceptions
import pytest

from tests.config.test_started_broker import wait_for_log
from tests.ctl.conftest import leveretctl_here
from tests.http.client import Api
from tests.support.broker_process import BrokerProcess
from tests.support.raw_client import RawClient, start_ok

SECRET = "S3cr3t"
FILE = f"""
default_pass = {SECRET}1
default_users.ann.password = {SECRET}2
ssl_options.password = {SECRET}3
log.default.level = debug
log.console.formatter = json
"""


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerProcess]:
    folder = tmp_path_factory.mktemp("secrets")
    (folder / "rabbitmq.conf").write_text(FILE)
    with BrokerProcess(folder, "--config", str(folder / "rabbitmq.conf")) as process:
        yield process


def logged(broker: BrokerProcess, text: str) -> str:
    """All of the log as soon as it has this; it never has a password."""
    wait_for_log(broker.log_path, text)
    content = broker.log_path.read_text()
    assert SECRET not in content
    return content


@pytest.mark.parametrize("user", ["guest", "nobody", "ann"])
def test_logins_by_amqp(broker: BrokerProcess, user: str) -> None:
    credentials = pika.PlainCredentials(user, f"{SECRET}wrong")
    parameters = pika.ConnectionParameters("127.0.0.1", broker.port, credentials=credentials)
    with pytest.raises(pika.exceptions.ProbableAuthenticationError):
        pika.BlockingConnection(parameters)
    logged(broker, f"PLAIN login refused: user '{user}' - invalid credentials")


@pytest.mark.parametrize("mechanism", ["PLAIN", "AMQPLAIN"])
def test_responses_that_make_no_sense(broker: BrokerProcess, mechanism: str) -> None:
    with RawClient(broker.port) as client:
        client.greet()
        client.send(start_ok(mechanism=mechanism, response=SECRET.encode()))
        client.expect_end()
    logged(broker, f"{mechanism} login refused: malformed {mechanism} response")


def test_the_http_api(broker: BrokerProcess) -> None:
    for user, password in (("guest", f"{SECRET}5"), ("nobody", f"{SECRET}6")):
        with closing(Api(broker.http_port, user, password)) as stranger:
            assert stranger.call("GET", "/api/whoami").status == 401
    api = Api(broker.http_port, password=f"{SECRET}1")
    assert api.call("PUT", "/api/users/bob", {"password": f"{SECRET}7", "tags": "management"}).status == 201
    for path, body in (
        ("/api/users/eve", f'{{"password": "{SECRET}8", }}'),
        ("/api/users/eve", json.dumps({"password_hash": SECRET, "tags": ""})),
        ("/api/users/eve", json.dumps({"password": f"{SECRET}8", "tags": 7})),
    ):
        assert api.call("PUT", path, body).status == 400
    definitions = {"users": [{"name": "eve", "password": f"{SECRET}9", "tags": 7}]}
    assert api.call("POST", "/api/definitions", definitions).status == 400
    assert api.call("PUT", "/api/queues/%2F/told").status == 201
    logged(broker, "queue 'told' added")  # at debug
    api.close()
    assert "user 'nobody' - invalid credentials, from 127.0.0.1" in logged(broker, "HTTP access denied: user 'guest'")


def test_leveretctl_and_a_reload(broker: BrokerProcess) -> None:
    outputs = []
    for arguments in (
        ("add_user", "carl", f"{SECRET}a"),
        ("add_user", "carl", f"{SECRET}b"),
        ("authenticate_user", "carl", f"{SECRET}wrong"),
        ("status",),
        ("environment",),
        ("--url", f"http://guest:{SECRET}wrong@127.0.0.1:{broker.http_port}", "list_queues"),
        ("--url", f"http://guest:{SECRET}1@127.0.0.1:1", "list_queues"),
        ("--url", f"ftp://guest:{SECRET}1@127.0.0.1", "list_queues"),
    ):
        result = leveretctl_here(*arguments, data_dir=broker.data_dir)
        outputs.append(result.stdout + result.stderr)
    assert SECRET not in "".join(outputs)
    configuration = Path(broker.arguments[1])
    configuration.write_text(FILE.replace("3t1", "3t1x"))
    os.kill(broker.pid, signal.SIGHUP)
    assert "default_pass has changed and waits for a restart" in logged(broker, "the configuration is loaded again")
    configuration.write_text(FILE)
