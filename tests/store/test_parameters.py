"""Parameters are kept with their JSON as it was, and go with their virtual host."""

from __future__ import annotations

from pathlib import Path

from leveret.store.definition_changes import Changes
from tests.store.test_definitions import commit, load

VALUES = [{"a": [1, 2.5, None, True]}, [], "text 😀 ü", 5, False, None, {"": {}}]


def test_values_come_back(tmp_path: Path) -> None:
    changes = Changes()
    changes.set_vhost("/")
    for number, value in enumerate(VALUES):
        changes.set_parameter("/", "component", f"p{number}", value)
        changes.set_global_parameter(f"g{number}", value)
    commit(tmp_path, changes)
    loaded = load(tmp_path)
    expected = {("component", f"p{number}"): value for number, value in enumerate(VALUES)}
    assert loaded.parameters == {"/": expected}
    kept = {name: value for name, value in loaded.global_parameters.items() if name.startswith("g")}
    assert list(map(repr, kept.values())) == list(map(repr, VALUES))


def test_parameters_are_replaced_and_removed(tmp_path: Path) -> None:
    changes = Changes()
    for vhost in ("a", "b"):
        changes.set_vhost(vhost)
        changes.set_parameter(vhost, "c", "n", 1)
        changes.set_parameter(vhost, "c", "other", 1)
    changes.set_parameter("a", "c", "n", 2)
    changes.clear_parameter("a", "c", "other")
    changes.clear_parameter("a", "c", "never there")
    changes.set_global_parameter("x", 1)
    changes.set_global_parameter("x", 2)
    changes.set_global_parameter("y", 1)
    changes.clear_global_parameter("y")
    changes.delete_vhost("b")
    commit(tmp_path, changes)
    loaded = load(tmp_path)
    assert loaded.parameters == {"a": {("c", "n"): 2}}
    assert {name: value for name, value in loaded.global_parameters.items() if name in "xy"} == {"x": 2}
