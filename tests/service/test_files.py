"""The unit of systemd and the Dockerfile, as far as they can be checked without either: the commands are ours."""

from __future__ import annotations

import configparser
import json
import re
import shlex
from pathlib import Path

import pytest

from leveret.cli.leveret import parser
from leveret.server.settings import Settings
from tests.ctl.conftest import leveretctl_here
from tests.support.broker_process import BrokerProcess

ROOT = Path(__file__).parents[2]


def unit(name: str) -> configparser.ConfigParser:
    """A unit file; it may repeat a key, of which the last counts here."""
    read = configparser.ConfigParser(strict=False, interpolation=None)
    read.optionxform = str  # type: ignore[assignment,method-assign]
    read.read_string((ROOT / "contrib" / "systemd" / name).read_text())
    return read


def instructions(name: str) -> list[str]:
    """What the last stage of the Dockerfile says by one instruction, in its order."""
    text = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    last_stage = text[text.rindex("\nFROM ") :]
    return re.findall(rf"^{name} (.*)$", last_stage, re.MULTILINE)


def test_the_unit_starts_the_broker() -> None:
    service = unit("leveret.service")["Service"]
    command = shlex.split(service["ExecStart"].replace("$LEVERET_OPTIONS", ""))
    assert Path(command[0]).name == "leveret"
    assert parser().parse_args(command[1:]).command == "serve"
    assert service["Type"] == "notify" and service["User"] == "leveret"
    assert "LEVERET_DATA_DIR=/var/lib/" + service["StateDirectory"] in service["Environment"].split()


def test_what_the_documentation_writes_to_may_be_written_to() -> None:
    service = unit("leveret.service")["Service"]
    assert service["ProtectSystem"] == "strict"
    assert service["WorkingDirectory"] == "/var/lib/" + service["StateDirectory"]
    assert "log.dir = /var/log/" + service["LogsDirectory"] + "\n" in (ROOT / "docs" / "logging.md").read_text()
    socket = f"local:/run/{service['RuntimeDirectory']}/"
    assert socket in (ROOT / "docs" / "configuration.md").read_text()


def test_the_image_has_all_ports() -> None:
    (exposed,) = instructions("EXPOSE")
    settings = Settings(management_tls_port=15671)
    ports = (settings.port, settings.tls_port, settings.management_port, settings.prometheus_port)
    assert {int(port) for port in exposed.split()} == {*ports, settings.management_tls_port}


def test_the_image_has_the_names_that_leveretctl_goes_by() -> None:
    named = re.compile(r"for name in (.*?); do")
    (told,) = named.findall((ROOT / "docs" / "leveretctl.md").read_text())
    (linked,) = named.findall((ROOT / "Dockerfile").read_text())
    assert linked == told


def test_the_socket_belongs_to_the_service() -> None:
    socket = unit("leveret.socket")["Socket"]
    assert (ROOT / "contrib" / "systemd" / socket["Service"]).exists()
    assert socket["FileDescriptorName"] == "amqp"


def test_the_image_starts_the_broker_as_nobody_special() -> None:
    (entry,), (command,), (user,) = instructions("ENTRYPOINT"), instructions("CMD"), instructions("USER")
    assert json.loads(entry) == ["leveret"]
    assert parser().parse_args(json.loads(command)).bind == ["0.0.0.0"]
    assert user not in ("root", "0")
    assert instructions("VOLUME") == ["/var/lib/leveret"] and instructions("STOPSIGNAL") == ["SIGTERM"]


@pytest.mark.parametrize("running", [True, False])
def test_the_image_finds_out_whether_the_broker_lives(fresh_broker: BrokerProcess, running: bool) -> None:
    (check,) = instructions("HEALTHCHECK")
    command = json.loads(check[check.index("[") :])
    assert command[0] == "leveretctl"
    if not running:
        fresh_broker.stop()
    assert (leveretctl_here(*command[1:], data_dir=fresh_broker.data_dir).returncode == 0) is running
