"""leveret.toml: tables and dotted keys, values of every type, and messages that name the line."""

from __future__ import annotations

from pathlib import Path

import pytest

from leveret.server.configuration import Configuration, InvalidConfiguration, configure
from leveret.server.vhost_default_kinds import UserSetting

WHOLE = """
bind = ["127.0.0.1", "::1"]
port = 5673
data_dir = '/var/lib/leveret'
memory_limit = 0.5
disk_free_limit = "2GiB"
ephemeral = false
management.port = 15673   # a dotted key

[tcp]
"backlog" = 100

[log]
level = "debug"
connection.level = "warning"
  [log.console]
  formatter = "json"
  [log.file]
  path = "/var/log/leveret.log"

[default_permissions]
read = "^(a|b)$"

[default_users.alice]
password = "s3cret"
tags = ["monitoring", "policymaker"]
[default_users."bob.b"]
vhost_pattern = "^dev-"
"""


def read(tmp_path: Path, text: str) -> Configuration:
    path = tmp_path / "leveret.toml"
    path.write_text(text)
    return configure(file=str(path))


def errors(tmp_path: Path, text: str) -> list[str]:
    with pytest.raises(InvalidConfiguration) as raised:
        read(tmp_path, text)
    return [error.removeprefix(f"{tmp_path}/") for error in raised.value.errors]


def warnings(tmp_path: Path, text: str) -> list[str]:
    return [warning.removeprefix(f"{tmp_path}/") for warning in read(tmp_path, text).warnings]


def test_a_whole_file(tmp_path: Path) -> None:
    configuration = read(tmp_path, WHOLE)
    found = configuration.settings
    assert (found.bind, found.port, found.data_dir) == (("127.0.0.1", "::1"), 5673, Path("/var/lib/leveret"))
    assert (found.memory_limit, found.disk_free_limit, found.ephemeral) == (0.5, 2 << 30, False)
    assert (found.tcp_backlog, found.log_level, found.log_connection_level) == (100, "debug", "warning")
    assert (found.log_console_formatter, found.log_file) == ("json", Path("/var/log/leveret.log"))
    assert found.management_port == 15673
    assert found.default_permissions_read == "^(a|b)$"
    assert found.default_users == (
        UserSetting("alice", "s3cret", ("monitoring", "policymaker")),
        UserSetting("bob.b", vhost_pattern="^dev-"),
    )
    lines = WHOLE.split("\n")
    for name, line in (
        ("port", "port ="),
        ("tcp_backlog", '"backlog"'),
        ("log_file", "  path ="),
        ("log_level", "lev"),
    ):
        number = next(n for n, each in enumerate(lines, 1) if each.startswith(line))
        assert configuration.sources[name] == f"{tmp_path}/leveret.toml:{number}"


def test_an_empty_file_changes_nothing(tmp_path: Path) -> None:
    assert read(tmp_path, "").settings == configure().settings


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("port = ", ":1: Invalid value"),
        ("\nport 5672", ":2: Expected '=' after a key in a key/value pair"),
        ("[log\n", ":1: Expected ']' at the end of a table declaration"),
        ("port = 1\nport = 2", ":2: Cannot overwrite a value"),
        ("\nport = 70000", ":2: port: '70000' is not a number between 0 and 65535"),
        ("port = true", ":1: port: 'true' is not a number between 0 and 65535"),
        ("port = 5672.5", ":1: port: '5672.5' is not a number between 0 and 65535"),
        ("port = [1]", ":1: port: one value is needed, not several"),
        ("port = 2020-01-01", ":1: port: a text, a number, true or false is needed"),
        ('bind = ["a,b"]', ":1: bind: no value may have a comma in it"),
        ("[log]\nlevel = 'loud'", ":2: log.level: 'loud' is not one of debug, info, notice"),
        ("default_users.bob.configure = '('", ":1: default_users.bob.configure: '(' is not a regular expression"),
    ],
)
def test_what_is_not_right_stops_the_start_and_names_its_line(tmp_path: Path, text: str, told: str) -> None:
    (error,) = errors(tmp_path, text)
    assert error.startswith(f"leveret.toml{told}")


def test_unknown_keys_and_tables_are_warned_of(tmp_path: Path) -> None:
    text = "prt = 5672\n[log.consol]\nlevel = 'info'\n[default_users]\nalice = 'x'\n[x]\n"
    assert warnings(tmp_path, text) == [
        "leveret.toml:1: 'prt' is unknown and ignored; did you mean 'port'?",
        "leveret.toml:3: 'log.consol.level' is unknown and ignored; did you mean 'log.console.level'?",
        "leveret.toml:5: 'default_users.alice' is unknown and ignored",
    ]


def test_a_key_whose_line_is_not_found_has_its_file(tmp_path: Path) -> None:
    assert errors(tmp_path, "tcp = {nodelay = 5}") == ["leveret.toml: tcp.nodelay: '5' is not true or false"]


def test_no_message_has_a_password_in_it(tmp_path: Path) -> None:
    told = errors(
        tmp_path, "default_pass = ''\n[tls]\npassword = ['hunter2']\n[default_users]\nx.password = 5\nx.read = '('"
    )
    assert len(told) == 3
    assert "hunter2" not in "\n".join(told)
