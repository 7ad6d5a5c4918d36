"""`leveret config check` and `leveret config show`, as programs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from leveret.server.settings import SETTINGS

FILES = Path(__file__).parent / "files"


def config(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("LEVERET_", "RABBITMQ_"))}
    result = subprocess.run(
        [sys.executable, "-m", "leveret", "config", *arguments],
        env={**inherited, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
    )
    assert "Traceback" not in result.stderr, result.stderr
    return result


def test_check_is_right_with_warnings(tmp_path: Path) -> None:
    path = FILES / "kubernetes"
    (tmp_path / "definitions.json").write_text("{}")
    definitions = str(tmp_path / "definitions.json")
    result = config("check", "--config", str(path), "--load-definitions", definitions, SECRET_PASSWORD="s3cret")
    assert result.returncode == 0
    assert result.stdout.startswith(f"the configuration is right: {path / 'rabbitmq.conf'}, ")
    told = result.stderr.splitlines()
    key = "cluster_formation.peer_discovery_backend"
    assert f"warning: {path / 'rabbitmq.conf'}:6: '{key}' is ignored: there is no cluster" in told
    assert all(line.startswith("warning: ") for line in told)


def test_check_without_a_file() -> None:
    result = config("check")
    assert (result.returncode, result.stdout, result.stderr) == (0, "the configuration is right: no file\n", "")


def test_check_tells_all_errors(tmp_path: Path) -> None:
    path = tmp_path / "rabbitmq.conf"
    path.write_text("heartbeat = x\nfrob = 5\nchannel_max = y\n")
    result = config("check", "--config", str(path))
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.splitlines() == [
        f"leveret: {path}:1: heartbeat: 'x' is not a number of seconds between 0 and 65535",
        f"leveret: {path}:3: channel_max: 'y' is not a number, -1 or infinity",
    ]


def test_check_reads_the_files_that_the_configuration_names(tmp_path: Path) -> None:
    path = tmp_path / "rabbitmq.conf"
    path.write_text(
        """
        listeners.tcp = none
        load_definitions = /nowhere/definitions.json
        ssl_options.certfile = /nowhere/tls.pem
        management.ssl.port = 15671
        management.ssl.certfile = /nowhere/http.pem
        """
    )
    result = config("check", "--config", str(path))
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.splitlines() == [
        "leveret: cannot listen for the HTTP API with TLS: the certificate /nowhere/http.pem with the key "
        "/nowhere/http.pem can't be read: No such file or directory",
        "leveret: there is nothing to listen on: bind is none, and there is no unix_socket",
        "leveret: cannot load definitions from /nowhere/definitions.json: No such file or directory",
    ]
    result = config("check", "--config", str(path), "--tls-bind", "127.0.0.1")
    assert "leveret: cannot listen for TLS: the certificate /nowhere/tls.pem with the key" in result.stderr
    assert "nothing to listen on" not in result.stderr
    path.write_text(f"listeners.tcp.1 = 5672\nload_definitions = {path}")
    result = config("check", "--config", str(path))
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith(f"leveret: cannot load definitions from {path}: not JSON: ")


def test_show_has_every_setting_with_its_source_and_no_password() -> None:
    path = FILES / "single.conf"
    result = config("show", "--config", str(path), "--heartbeat", "7", RABBITMQ_DEFAULT_USER="ann")
    assert result.returncode == 0
    rows = {line.split("  ")[0]: line for line in result.stdout.splitlines()}
    assert set(rows) == {"setting", *(setting.key for setting in SETTINGS.values())}
    assert rows["heartbeat"].split() == ["heartbeat", "7", "--heartbeat"]
    assert rows["default_user"].split() == ["default_user", "ann", "$RABBITMQ_DEFAULT_USER"]
    assert rows["channel_max"].split() == ["channel_max", "128", f"{path}:35"]
    assert rows["max_message_size"].split() == ["max_message_size", "128MiB", f"{path}:37"]
    assert rows["sync"].split() == ["sync", "always", "default"]
    assert rows["default_pass"].split() == ["default_pass", "********", f"{path}:24"]
    assert "ss word" not in result.stdout + result.stderr


def test_show_for_programs() -> None:
    path = FILES / "kubernetes"
    result = config("show", "--formatter", "json", "--config", str(path), SECRET_PASSWORD="s3cret")
    assert (result.returncode, result.stderr) == (0, "")
    shown = json.loads(result.stdout)
    settings = shown["settings"]
    assert set(settings) == {setting.key for setting in SETTINGS.values()}
    assert settings["port"] == {"value": 5672, "source": f"{path}/conf.d/10-operatorDefaults.conf:5"}
    assert settings["ephemeral"] == {"value": False, "source": "default"}
    assert settings["log.file.path"] == {"value": None, "source": "default"}
    assert settings["load_definitions"]["value"] == "/app/load_definition.json"
    assert settings["default_pass"]["value"] == "********"
    (user,) = settings["default_users"]["value"]
    assert (user["name"], user["password"], user["tags"]) == ("app", "********", ["monitoring", "policymaker"])
    assert shown["files"][0] == str(path / "rabbitmq.conf")
    assert any("there is no cluster" in warning for warning in shown["warnings"])
    assert "hunter2" not in result.stdout
    assert "s3cret" not in result.stdout


def test_a_bad_flag_is_one_line() -> None:
    result = config("show", "--port", "x")
    assert result.returncode == 2
    assert result.stderr.splitlines() == [
        "leveret config show: argument --port: 'x' is not a number between 0 and 65535 (see leveret config show --help)"
    ]
