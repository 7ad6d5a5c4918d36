"""The table of settings: no name stands for two, and what is shown of a value can be read again."""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from inspect import signature

import pytest

from leveret.broker.limits import NodeLimits
from leveret.cli import DEFAULT_DATA_DIR
from leveret.server import settings as table
from leveret.server.limit_settings import LimitSettings
from leveret.server.setting_kinds import Kind, shown_size
from leveret.server.settings import SETTINGS, Settings


@pytest.mark.parametrize("column", ["key", "environment", "rabbitmq"])
def test_no_name_stands_for_two_settings(column: str) -> None:
    names: list[str] = []
    for setting in SETTINGS.values():
        value = getattr(setting, column)
        names += [value] if isinstance(value, str) else value
    assert [name for name, count in Counter(names).items() if count > 1] == []


def test_no_key_is_a_table_too() -> None:
    keys = {setting.key for setting in SETTINGS.values()}
    assert [key for key in keys if any(other.startswith(f"{key}.") for other in keys)] == []


@pytest.mark.parametrize("name", list(SETTINGS))
def test_the_default_is_one_that_could_be_given(name: str) -> None:
    setting = SETTINGS[name]
    assert getattr(Settings(), name) == setting.default
    if setting.default is not None and setting.default != ():
        assert setting.parse(setting.kind.show(setting.default)) == setting.default


@pytest.mark.parametrize("name", list(SETTINGS))
def test_its_meaning_is_a_phrase(name: str) -> None:
    meaning = SETTINGS[name].meaning
    assert re.fullmatch(r"[A-Za-z].*[^.]", meaning, re.DOTALL), meaning


def test_secrets_are_not_shown() -> None:
    passwords = {name for name in SETTINGS if name.endswith("pass") or "password" in name}
    assert passwords == {name for name, setting in SETTINGS.items() if setting.secret}
    for name in passwords:
        assert SETTINGS[name].shown("hunter2") == "********"
        assert SETTINGS[name].flag == ""  # a flag can be read by everybody on the machine
        with pytest.raises(ValueError, match=r"^this is no TEXT$"):
            SETTINGS[name].parse("")


def test_the_limits_of_the_node_are_those_of_the_broker() -> None:
    assert {each.name for each in dataclasses.fields(LimitSettings)} == set(signature(NodeLimits).parameters)
    for name, parameter in signature(NodeLimits).parameters.items():
        assert SETTINGS[name].default == parameter.default


def test_leveretctl_has_the_same_data_folder() -> None:
    assert str(table.DEFAULT_DATA_DIR) == DEFAULT_DATA_DIR


@pytest.mark.parametrize(
    ("octets", "text"),
    [(0, "0"), (1, "1"), (1000, "1kB"), (1024, "1KiB"), (1 << 25, "32MiB"), (2_000_000_000, "2GB"), (12345, "12345")],
)
def test_sizes_are_shown_exactly(octets: int, text: str) -> None:
    assert shown_size(octets) == text
    kind: Kind[int] = SETTINGS["max_message_size"].kind
    if octets:
        assert kind.parse(text) == octets
