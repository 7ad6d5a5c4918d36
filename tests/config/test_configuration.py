"""What counts where: flags over environment over file over defaults, and which file it is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from leveret.server import configuration
from leveret.server.configuration import Configuration, InvalidConfiguration, configure
from leveret.server.settings import SETTINGS, Settings


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "leveret.toml"
    path.write_text("heartbeat = 10\nchannel_max = 11\nframe_max = 8192\n")
    return path


def test_without_anything_all_is_default() -> None:
    found = configure()
    assert (found.settings, found.warnings, found.files) == (Settings(), (), ())
    assert set(found.sources) == set(SETTINGS)
    assert set(found.sources.values()) == {"default"}


def test_flags_count_more_than_the_environment_and_that_more_than_a_file(file: Path) -> None:
    environment = {"LEVERET_CHANNEL_MAX": "21", "LEVERET_FRAME_MAX": "16KiB"}
    found = configure({"frame_max": "32KiB"}, environment, str(file))
    values = (found.settings.heartbeat, found.settings.channel_max, found.settings.frame_max)
    assert values == (10, 21, 32768)
    assert found.sources["heartbeat"] == f"{file}:1"
    assert found.sources["channel_max"] == "$LEVERET_CHANNEL_MAX"
    assert found.sources["frame_max"] == "--frame-max"
    assert found.sources["port"] == "default"


@pytest.mark.parametrize(
    ("environment", "name", "value"),
    [
        ({"RABBITMQ_DEFAULT_USER": "bob"}, "default_user", "bob"),
        ({"RABBITMQ_DEFAULT_PASS": "secret"}, "default_pass", "secret"),
        ({"RABBITMQ_DEFAULT_VHOST": "shop"}, "default_vhost", "shop"),
        ({"RABBITMQ_NODE_PORT": "5673"}, "port", 5673),
        ({"RABBITMQ_NODE_IP_ADDRESS": "0.0.0.0"}, "bind", ("0.0.0.0",)),
        ({"RABBITMQ_NODENAME": "rabbit@here"}, "node_name", "rabbit@here"),
        ({"RABBITMQ_VM_MEMORY_HIGH_WATERMARK": "0.3"}, "memory_limit", 0.3),
        ({"RABBITMQ_LOG_BASE": "/x"}, "log_dir", Path("/x")),
        ({"LEVERET_DEFAULT_USER": "ann", "RABBITMQ_DEFAULT_USER": "bob"}, "default_user", "ann"),
        ({"LEVERET_BIND": "127.0.0.1, ::1"}, "bind", ("127.0.0.1", "::1")),
        ({"LEVERET_EPHEMERAL": "true"}, "ephemeral", True),
        ({"LEVERET_DATA_DIR": "/x"}, "data_dir", Path("/x")),
        ({"LEVERET_DATA_DIR": ""}, "data_dir", None),
        ({"LEVERET_PORT": "tcp://10.0.0.1:5672"}, "port", 5672),  # Kubernetes makes it for a service named leveret
    ],
)
def test_the_environment(environment: dict[str, str], name: str, value: object) -> None:
    assert getattr(configure(environment=environment).settings, name) == value


def test_a_bad_value_in_the_environment_or_a_flag_names_its_place() -> None:
    with pytest.raises(InvalidConfiguration) as raised:
        configure({"port": "x"}, {"LEVERET_HEARTBEAT": "y", "RABBITMQ_NODE_PORT": "z"})
    assert [error.split(":")[0] for error in raised.value.errors] == [
        "$RABBITMQ_NODE_PORT",
        "$LEVERET_HEARTBEAT",
        "--port",
    ]


def test_an_unknown_variable_is_told_only_if_another_was_meant() -> None:
    environment = {"LEVERET_HEARTBEET": "5", "LEVERET_SERVICE_HOST": "10.0.0.1", "LEVERET_TEST_PORT": "5", "X": "y"}
    assert configure(environment=environment).warnings == (
        "environment: 'LEVERET_HEARTBEET' is unknown and ignored; did you mean 'LEVERET_HEARTBEAT'?",
    )


def test_a_variable_of_rabbitmqs_that_does_nothing_is_told() -> None:
    environment = {
        "RABBITMQ_ERLANG_COOKIE": "s3cret",
        "RABBITMQ_MNESIA_BASE": "/var/lib/rabbitmq/mnesia",
        "RABBITMQ_PORT_5672_TCP_ADDR": "10.0.0.1",  # of Kubernetes, for a service named rabbitmq
        "RABBITMQ_DEFAULT_USER": "shop",
    }
    assert configure(environment=environment).warnings == (
        "environment: 'RABBITMQ_ERLANG_COOKIE' is ignored: there is no Erlang",
        "environment: 'RABBITMQ_MNESIA_BASE' is ignored: LEVERET_DATA_DIR is the data folder",
    )


def test_a_variable_may_name_a_file_with_the_value(tmp_path: Path) -> None:
    """As RabbitMQ's images had it, for the secrets of Docker and Kubernetes."""
    secret = tmp_path / "password"
    secret.write_text("  s3cret\n")
    found = configure(environment={"RABBITMQ_DEFAULT_PASS_FILE": str(secret)})
    assert found.settings.default_pass == "  s3cret"
    assert found.sources["default_pass"] == "$RABBITMQ_DEFAULT_PASS_FILE"
    both = {"RABBITMQ_DEFAULT_PASS_FILE": str(secret), "RABBITMQ_DEFAULT_PASS": "near"}
    assert configure(environment=both).settings.default_pass == "near"
    assert configure(environment={**both, "LEVERET_DEFAULT_PASS_FILE": str(secret)}).settings.default_pass == "  s3cret"
    with pytest.raises(InvalidConfiguration) as raised:
        configure(environment={"RABBITMQ_DEFAULT_USER_FILE": str(tmp_path / "missing")})
    assert raised.value.errors == (f"$RABBITMQ_DEFAULT_USER_FILE: {tmp_path}/missing: No such file or directory",)


def test_what_has_no_effect_yet_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SETTINGS, "heartbeat", replace(SETTINGS["heartbeat"], planned="hearts"))
    (warning,) = configure(environment={"LEVERET_HEARTBEAT": "7"}).warnings
    assert warning == "$LEVERET_HEARTBEAT: heartbeat has no effect yet: it waits for hearts"
    assert configure(environment={"LEVERET_HEARTBEAT": "60"}).warnings == ()


# Which file


@pytest.mark.parametrize(
    ("name", "text", "is_toml"),
    [
        ("a", "heartbeat = 5\n[log]\nlevel = 'info'\n", True),
        ("a.conf", "heartbeat = 5\n[log]\nlevel = 'info'\n", True),
        ("a", "listeners.tcp.default = 5673\n", False),  # both languages have this line, and one of them the key
        ("a", "log.console = true\nlog.console.level = info", False),
        ("a", "bind = ['::1']\n", True),
        ("a", "data_dir = '/x'\nheartbeat = 5\n", True),
        ("a", "default_user = bob\n", False),
        ("a.toml", "heartbeat = 5\n", True),
        ("rabbitmq.conf", "heartbeat = 5\n", False),
        ("a", "heartbeat = 5\n", True),
    ],
)
def test_a_file_is_told_by_what_is_in_it(tmp_path: Path, name: str, text: str, is_toml: bool) -> None:
    path = tmp_path / name
    path.write_text(text)
    _, is_rabbitmq = configuration.read(path, text, {})
    assert is_rabbitmq is not is_toml
    found = configure(file=str(path))
    assert found.files == (path,)
    assert str(path) in " ".join(found.sources.values())
    assert not any("unknown" in warning for warning in found.warnings)


def test_a_file_whose_name_ends_in_toml_is_toml_even_if_it_is_broken(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text("heartbeat = five")
    assert failed(path) == [f"{path}:1: Invalid value"]


def failed(path: Path, environment: dict[str, str] | None = None) -> list[str]:
    with pytest.raises(InvalidConfiguration) as raised:
        configure(environment=environment, file=str(path))
    return list(raised.value.errors)


def test_a_file_that_cannot_be_read_stops_the_start(tmp_path: Path) -> None:
    missing = tmp_path / "missing.toml"
    assert failed(missing) == [f"{missing}: No such file or directory"]
    empty = tmp_path / "empty"
    empty.mkdir()
    assert failed(empty) == [f"{empty}: there is no leveret.toml in it, and no rabbitmq.conf"]
    binary = tmp_path / "binary.conf"
    binary.write_bytes(b"heartbeat = \xff")
    assert failed(binary) == [f"{binary}: this is not a text in UTF-8"]


def heartbeat(found: Configuration) -> int:
    return found.settings.heartbeat


def test_the_environment_may_name_the_file(file: Path, tmp_path: Path) -> None:
    other = tmp_path / "rabbitmq.conf"
    other.write_text("heartbeat = 12\n")
    extensionless = str(other.with_suffix(""))
    assert heartbeat(configure(environment={"LEVERET_CONFIG": str(file)})) == 10
    assert heartbeat(configure(environment={"RABBITMQ_CONFIG_FILE": str(other)})) == 12
    assert heartbeat(configure(environment={"RABBITMQ_CONFIG_FILE": extensionless})) == 12
    assert heartbeat(configure(environment={"LEVERET_CONFIG": str(file), "RABBITMQ_CONFIG_FILE": str(other)})) == 10
    assert heartbeat(configure(environment={"LEVERET_CONFIG": str(file)}, file=str(other))) == 12


def test_rabbitmqs_variable_may_name_more_files(file: Path, tmp_path: Path) -> None:
    more = tmp_path / "more"
    more.mkdir()
    (more / "1.conf").write_text("heartbeat = 13\n")
    (more / "2.conf").write_text("heartbeat = 14\n")
    (more / "3.txt").write_text("heartbeat = 15\n")
    other = tmp_path / "rabbitmq.conf"
    other.write_text("heartbeat = 12\nchannel_max = 12\n")
    found = configure(environment={"RABBITMQ_CONFIG_FILES": str(more)}, file=str(other))
    assert (heartbeat(found), found.settings.channel_max) == (14, 12)
    assert heartbeat(configure(environment={"RABBITMQ_CONFIG_FILES": str(more / "*1.conf")}, file=str(other))) == 13
    assert heartbeat(configure(environment={"RABBITMQ_CONFIG_FILES": str(more)})) == 14
    assert heartbeat(configure(environment={"RABBITMQ_CONFIG_FILES": str(more)}, file=str(file))) == 10


def test_without_a_name_the_usual_places_are_looked_at(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "rabbitmq.conf"
    monkeypatch.setattr(configuration, "PLACES", (file, other))
    assert heartbeat(configure()) == 10
    other.write_text("heartbeat = 12\n")
    assert heartbeat(configure()) == 10
    file.unlink()
    assert heartbeat(configure()) == 12
    other.unlink()
    assert heartbeat(configure()) == 60


def test_a_folder_with_both_has_leveret_toml(file: Path, tmp_path: Path) -> None:
    (tmp_path / "rabbitmq.conf").write_text("heartbeat = 12\n")
    assert heartbeat(configure(file=str(tmp_path))) == 10
