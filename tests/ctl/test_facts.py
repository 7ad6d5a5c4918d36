"""What rabbitmq-diagnostics tells of a node's surroundings."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pika
import pytest

from leveret.server.settings import SETTINGS
from tests.ctl.conftest import Ctl
from tests.support.broker_process import BrokerProcess
from tests.support.certificates import Authority, Issued
from tests.support.encrypted import TlsBroker
from tests.support.raw_client import RawClient

VARIABLES = {
    "LEVERET_TLS_PASSWORD": "hidden",
    "RABBITMQ_DEFAULT_PASS": "guest",
    "LEVERET_NODE_NAME": "shown",
    "SOMETHING_ELSE": "left out",
}


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def issued(authority: Authority) -> Issued:
    """A certificate whose file has its key too."""
    issued = authority.issue("server")
    issued.certfile.write_bytes(issued.certfile.read_bytes() + issued.keyfile.read_bytes())
    return issued


@pytest.fixture(scope="module")
def leveret(tmp_path_factory: pytest.TempPathFactory, authority: Authority, issued: Issued) -> Iterator[BrokerProcess]:
    folder = tmp_path_factory.mktemp("facts")
    broker = TlsBroker(folder, issued, "--tls-cacertfile", str(authority.certfile), "--log-file", str(folder / "log"))
    broker.environment = VARIABLES
    with broker:
        yield broker


def test_certificates(ctl_here: Ctl, authority: Authority, issued: Issued) -> None:
    [found] = json.loads(ctl_here("certificates", "--formatter", "json").stdout)
    own = issued.certfile.read_text().partition("-----BEGIN PRIVATE KEY")[0]
    assert found["certfile"] == own
    assert found["cacertfile"] == authority.certfile.read_text()
    assert (found["protocol"], found["interface"]) == ("amqp/ssl", "127.0.0.1")
    text = ctl_here("-q", "certificates").stdout
    assert own in text and authority.certfile.read_text() in text and "PRIVATE KEY" not in text


def test_tls(ctl_here: Ctl) -> None:
    assert json.loads(ctl_here("tls_versions", "--formatter", "json").stdout)["versions"][0] == "tlsv1.3"
    usual = ctl_here("-q", "cipher_suites").stdout.split()
    every = json.loads(ctl_here("cipher_suites", "--all", "--formatter", "json").stdout)
    assert set(usual) < set(every)


def test_variables_without_passwords(ctl_here: Ctl) -> None:
    variables = json.loads(ctl_here("os_env", "--formatter", "json").stdout)["variables"]
    assert {name: variables.get(name) for name in VARIABLES} == {
        "LEVERET_TLS_PASSWORD": "********",
        "RABBITMQ_DEFAULT_PASS": "********",
        "LEVERET_NODE_NAME": "shown",
        "SOMETHING_ELSE": None,
    }


def test_no_secret_has_a_flag_that_the_command_line_would_show() -> None:
    assert [setting.key for setting in SETTINGS.values() if setting.secret and setting.flag] == []


def test_the_log(leveret: BrokerProcess, ctl_here: Ctl) -> None:
    path = leveret.data_dir.parent / "log"
    for _ in range(3):
        RawClient(leveret.port).log_in().log_out()
    ctl_here("list_queues")
    written = path.read_text().splitlines()
    assert ctl_here("-q", "log_tail", "-N", "2").stdout.splitlines() == written[-2:]
    rows = json.loads(ctl_here("log_tail", "--number", "3", "--formatter", "json").stdout)
    assert rows == [{"message": line} for line in written[-3:]]
    assert ctl_here("-q", "log_tail", "-N", "0").stdout == ""
    assert ctl_here("-q", "log_location").stdout == f"{path}\n"
    found = json.loads(ctl_here("log_location", "-a", "--formatter", "json").stdout)
    assert str(path) in found["paths"] and len(found["paths"]) > 1


def test_policies_that_match(leveret: BrokerProcess, ctl_here: Ctl) -> None:
    with pika.BlockingConnection(pika.URLParameters(leveret.url)) as connection:
        connection.channel().queue_declare("line")
    for name, more in (("b", ()), ("a", ()), ("first", ("--priority", "2")), ("no", ("--apply-to", "exchanges"))):
        definition = '{"alternate-exchange":"x"}' if name == "no" else '{"max-length":1}'
        assert ctl_here("set_policy", name, "^l", definition, *more).returncode == 0
    listed = json.loads(ctl_here("list_policies_that_match", "line", "--formatter", "json").stdout)
    assert [policy["name"] for policy in listed["policies"]] == ["first", "a", "b"]
    assert listed["policies"][0] == {
        "vhost": "/",
        "name": "first",
        "pattern": "^l",
        "apply-to": "all",
        "definition": '{"max-length":1}',
        "priority": 2,
    }
    exchange = ctl_here("list_policies_that_match", "--object-type", "exchange", "l", "--formatter", "json").stdout
    assert {policy["name"] for policy in json.loads(exchange)["policies"]} == {"first", "a", "b", "no"}
    missing = json.loads(ctl_here("list_policies_that_match", "nosuch", "--formatter", "json").stdout)
    assert missing == {"result": "error", "message": "object (queue, exchange) not found", "policies": []}
    assert ctl_here("-q", "list_policies_that_match", "--object-type", "exchange", "x").stdout == ""
    assert ctl_here("list_policies_that_match", "--object-type", "user", "x").returncode == 64


def test_host_names(ctl_here: Ctl, tmp_path: Path) -> None:
    found = json.loads(ctl_here("resolve_hostname", "127.0.0.1", "--formatter", "json").stdout)
    assert (found["addresses"], found["address_family"], found["result"]) == (["127.0.0.1"], "IPv4", "ok")
    offline = ctl_here("resolve_hostname", "::1", "--offline", "--address-family", "ipv6", "--data-dir", str(tmp_path))
    assert offline.stdout == "Resolving hostname ::1 to ipv6 addresses...\n::1\n"
    wrong = ctl_here("resolve_hostname", "x", "--address-family", "ipv5")
    assert wrong.returncode == 65
    assert "unsupported IP address family ipv5. Valid values are: ipv4, ipv6" in wrong.stderr


def test_how_it_was_started(leveret: BrokerProcess, ctl_here: Ctl) -> None:
    shown = ctl_here("-q", "command_line_arguments").stdout
    assert re.fullmatch(rf"\S+ -m leveret serve --port 0 --data-dir {leveret.data_dir} .*\n", shown)
