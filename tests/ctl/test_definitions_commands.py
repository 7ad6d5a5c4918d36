"""Definitions as files: exported and imported by leveretctl, and loaded when a broker starts."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pika
import pytest

from tests.ctl.conftest import Ctl, leveretctl
from tests.support.broker_process import BrokerProcess

SHOP = Path(__file__).parents[1] / "management" / "files" / "rabbitmq-3.10.json"


def exported(ctl: Ctl, *arguments: str) -> Any:
    result = ctl("export_definitions", *arguments, "-")
    assert (result.returncode, result.stderr) == (0, "")
    return json.loads(result.stdout)


def test_a_file_of_rabbitmq_is_imported_once(ctl_here: Ctl, tmp_path: Path) -> None:
    result = ctl_here("import_definitions", str(SHOP))
    assert result.returncode == 0
    first, second = result.stdout.splitlines()
    assert first == f'Importing definitions in JSON from a file at "{SHOP}" ...'
    assert second.startswith("Definitions were imported: ") and " 0 objects" not in second
    assert [line.split(":")[0] for line in result.stderr.splitlines()] == ["Warning"] * 3
    again = ctl_here("import_definitions", str(SHOP), "--format", "json")
    assert again.stdout.splitlines()[1] == "Definitions were imported: 0 objects were added or changed"
    names = {queue["name"] for queue in exported(ctl_here)["queues"]}
    assert {"shop.orders", "shop.ünïcode 漢字"} <= names

    file = tmp_path / "broker.json"
    result = ctl_here("export_definitions", str(file))
    assert result.stdout == f'Exporting definitions in JSON to a file at "{file}" ...\n'
    assert json.loads(file.read_text("utf-8")) == exported(ctl_here)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    of_shop = exported(ctl_here, "-p", "shop/eu")
    assert of_shop["original_vhost_name"] == "shop/eu" and "users" not in of_shop
    result = ctl_here("-q", "import_definitions", "-p", "/", str(SHOP))
    assert (result.returncode, result.stdout) == (0, "")
    assert "shop.orders" in {queue["name"] for queue in exported(ctl_here, "--vhost", "/")["queues"]}


def test_a_stream_of_definitions(ctl: Ctl, ctl_here: Ctl) -> None:
    before = exported(ctl_here)
    result = subprocess.run(
        [sys.executable, "-m", "leveret.cli.leveretctl", "import_definitions", "--skip-if-unchanged"],
        input='{"queues": [{"name": "streamed", "vhost": "/"}]}',
        capture_output=True,
        text=True,
        env=environment_of(ctl),
        check=False,
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.splitlines() == [
        "Importing definitions in JSON from standard input ...",
        "Definitions were imported: 1 objects were added or changed",
    ]
    after = exported(ctl_here)
    assert len(after["queues"]) == len(before["queues"]) + 1
    assert "imported_definition_hash_value" not in {each["name"] for each in after["global_parameters"]}


def environment_of(ctl: Ctl) -> dict[str, str]:
    status = json.loads(ctl("status", "--formatter", "json").stdout)
    return {**os.environ, "LEVERET_DATA_DIR": status["data_directory"]}


def test_what_was_imported_last_is_skipped_if_that_is_wanted(ctl_here: Ctl, tmp_path: Path) -> None:
    file = tmp_path / "f.json"
    file.write_text('{"vhosts": [{"name": "skipped"}]}')
    for expected in (1, 0):
        result = ctl_here("import_definitions", "--skip-if-unchanged", str(file))
        assert result.stdout.splitlines()[1] == f"Definitions were imported: {expected} objects were added or changed"


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ('{"queues": [', "not JSON: "),
        ('{"queues": [{"name": "q", "vhost": "nowhere"}]}', "queue 'q' in vhost 'nowhere': there is no virtual host"),
        ('{"queues": [{"name": "q"}]}', "queue number 1: vhost is missing"),
    ],
)
def test_what_can_not_be_imported(ctl_here: Ctl, tmp_path: Path, content: str, text: str) -> None:
    file = tmp_path / "f.json"
    file.write_text(content)
    result = ctl_here("-q", "import_definitions", str(file))
    assert result.returncode == 65 and result.stderr.startswith(f"Error:\n{text}")


def test_arguments_that_mean_nothing(ctl_here: Ctl, tmp_path: Path) -> None:
    for arguments, text in (
        (("import_definitions", "/no/such/file"), "Bad argument: File /no/such/file does not exist"),
        (("import_definitions", str(tmp_path)), f"Bad argument: cannot read {tmp_path}: Is a directory"),
        (("export_definitions", "/no/such/file"), "Bad argument: Directory /no/such does not exist"),
        (("export_definitions", str(tmp_path)), f"Bad argument: cannot write {tmp_path}: Is a directory"),
        (("export_definitions", "--format", "erlang", "-"), "Bad argument: Format should be json"),
        (("export_definitions",), "not enough arguments."),
    ):
        result = ctl_here(*arguments)
        assert result.returncode == (65 if text.startswith("Bad argument") else 64)
        assert f"Error (argument validation): {text}" in result.stderr
    result = ctl_here("export_definitions", "-p", "nowhere", "-")
    assert (result.returncode, result.stderr) == (65, "Virtual host 'nowhere' does not exist\n")


# at the start


def test_a_new_broker_has_its_users_from_the_definitions_that_it_loads(tmp_path: Path) -> None:
    folder = tmp_path / "definitions"
    folder.mkdir()
    (folder / "10-shop.json").write_bytes(SHOP.read_bytes())
    (folder / "20-more.json").write_text('{"queues": [{"name": "more", "vhost": "shop/eu"}]}')
    with BrokerProcess(tmp_path, "--load-definitions", str(folder), "--skip-if-unchanged") as process:
        log_in(process.port, "shop-app", "hunter2").close()
        with pytest.raises(pika.exceptions.AMQPConnectionError):
            log_in(process.port, "guest", "guest", "/")
        content = json.loads(leveretctl("export_definitions", "-", data_dir=process.data_dir).stdout)
        assert [vhost["name"] for vhost in content["vhosts"]] == ["shop/eu"]
        assert "more" in {queue["name"] for queue in content["queues"]}
        log = process.log_path.read_text()
        assert log.count("imported definitions:") == 1
        process.stop()
        process.start()
        assert process.log_path.read_text().count("are those that were loaded last") == 1
        log_in(process.port, "shop-app", "hunter2").close()


def log_in(port: int, user: str, password: str, vhost: str = "shop/eu") -> pika.BlockingConnection:
    return pika.BlockingConnection(
        pika.ConnectionParameters("127.0.0.1", port, vhost, pika.PlainCredentials(user, password))
    )


def test_a_broker_that_can_not_load_its_definitions_does_not_start(tmp_path: Path) -> None:
    folder = tmp_path / "definitions"
    folder.mkdir()
    (folder / "10.json").write_text('{"vhosts": [{"name": "kept?"}]}')
    (folder / "20.json").write_text('{"queues": [{"name": "q", "vhost": "nowhere"}]}')
    command = [
        sys.executable,
        "-m",
        "leveret",
        "serve",
        "--port",
        "0",
        "--management-port",
        "0",
        "--prometheus-port",
        "0",
    ]
    command += ["--data-dir", str(tmp_path / "data"), "--load-definitions", str(folder)]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1] == (
        f"leveret: cannot load definitions from {folder}/20.json: "
        "queue 'q' in vhost 'nowhere': there is no virtual host 'nowhere'"
    )
    (folder / "20.json").unlink()
    with BrokerProcess(tmp_path, "--load-definitions", str(folder)) as process:
        content = json.loads(leveretctl("export_definitions", "-", data_dir=process.data_dir).stdout)
        assert [vhost["name"] for vhost in content["vhosts"]] == ["kept?"]
        assert "imported definitions: 1 objects" in process.log_path.read_text()
