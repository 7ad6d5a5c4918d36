"""The commands for limits of virtual hosts and users print, refuse and end as rabbitmqctl's do."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.ctl.conftest import Ctl


@pytest.fixture
def clean(ctl_here: Ctl) -> Iterator[Ctl]:
    """As `ctl_here`; limits that a test leaves are cleared."""
    yield ctl_here
    ctl_here("set_vhost_limits", "{}")
    ctl_here("clear_user_limits", "guest", "all")


def printed(ctl: Ctl, *arguments: str) -> list[str]:
    """What a command prints that succeeds."""
    result = ctl(*arguments)
    assert (result.returncode, result.stderr) == (0, "")
    return result.stdout.splitlines()


def refusal(ctl: Ctl, *arguments: str) -> tuple[int, str]:
    """Exit status and error of a command that prints nothing else."""
    result = ctl("-q", *arguments)
    assert result.stdout == ""
    return result.returncode, result.stderr


def test_limits_of_a_virtual_host(clean: Ctl) -> None:
    limits = '{"max-queues":7,"max-connections":-1}'
    assert printed(clean, "set_vhost_limits", limits) == [f'Setting vhost limits to "{limits}" for vhost "/" ...']
    banner = 'Listing limits for vhost "/" ...'
    shown = '{"max-connections":-1,"max-queues":7}'
    assert printed(clean, "list_vhost_limits") == [banner, shown]
    assert printed(clean, "-s", "list_vhost_limits", "-p", "/") == [shown]
    everywhere = ["Listing limits for all vhosts ...", "vhost\tlimits", f"/\t{shown}"]
    assert printed(clean, "list_vhost_limits", "--global") == everywhere
    # setting is not adding
    assert printed(clean, "-q", "set_vhost_limits", '{"max-connections":5}') == []
    assert printed(clean, "-q", "list_vhost_limits") == ['{"max-connections":5}']
    assert printed(clean, "clear_vhost_limits") == ['Clearing vhost "/" limits ...']
    assert printed(clean, "list_vhost_limits") == [banner]
    assert printed(clean, "list_vhost_limits", "--global") == everywhere[:1]
    assert refusal(clean, "clear_vhost_limits") == (69, "Error:\nParameter does not exist\n")


def test_limits_of_a_user(clean: Ctl) -> None:
    banner = 'Listing limits for user "guest" ...'
    assert printed(clean, "list_user_limits") == [banner, "{}"]
    assert printed(clean, "list_user_limits", "--global") == ["Listing limits for all users ..."]
    limits = '{"max-connections":5}'
    expected = [f'Setting user limits to "{limits}" for user "guest" ...']
    assert printed(clean, "set_user_limits", "guest", limits) == expected
    # setting is adding
    assert printed(clean, "-q", "set_user_limits", "guest", '{"max-channels":-2}') == []
    shown = '{"max-channels":-2,"max-connections":5}'
    assert printed(clean, "list_user_limits", "--user", "guest") == [banner, shown]
    assert printed(clean, "-q", "list_user_limits", "--global") == ["user\tlimits", f"guest\t{shown}"]
    cleared = 'Clearing "max-channels" limit for user "guest" ...'
    assert printed(clean, "clear_user_limits", "guest", "max-channels") == [cleared]
    assert printed(clean, "-q", "clear_user_limits", "guest", "bogus") == []
    assert printed(clean, "-q", "list_user_limits") == [limits]
    assert printed(clean, "clear_user_limits", "guest", "all") == ['Clearing all limits for user "guest" ...']
    assert printed(clean, "-q", "list_user_limits") == ["{}"]


def test_limits_in_json(clean: Ctl) -> None:
    assert printed(clean, "list_vhost_limits", "--formatter", "json") == ["[]"]
    [answer] = printed(clean, "set_vhost_limits", '{"max-queues":7}', "--formatter", "json")
    node = json.loads(answer)["node"]
    assert json.loads(answer) == {"node": node, "result": "ok"}
    [answer] = printed(clean, "list_vhost_limits", "--formatter", "json")
    assert json.loads(answer) == {"node": node, "result": "ok", "value": '{"max-queues":7}'}
    rows = json.loads(clean("list_vhost_limits", "--global", "--formatter", "json").stdout)
    assert rows == [{"vhost": "/", "limits": '{"max-queues":7}'}]
    assert printed(clean, "list_user_limits", "--formatter", "json") == ['{"message":"{}"}']
    assert printed(clean, "-q", "list_user_limits", "--formatter", "pretty_table") == [
        "┌────────┐",
        "│ Output │",
        "├────────┤",
        "│ {}     │",
        "└────────┘",
    ]


@pytest.mark.parametrize(
    ("arguments", "status", "error"),
    [
        (
            ["set_vhost_limits", '{"bogus":7,"max-queues":"x"}'],
            69,
            'Error:\nValidation failed\n\nUnrecognised terms [{<<"bogus">>,7}] in limits\n'
            'max-queues should be a number, actually was <<"x">>\n\n',
        ),
        (
            ["set_user_limits", "guest", '{"max-channels":"x"}'],
            69,
            'Error:\nmax-channels should be a number, actually was <<"x">>\n',
        ),
        (
            ["set_user_limits", "guest", '{"bogus":3}'],
            69,
            'Error:\nUnrecognised terms [{<<"bogus">>,3}] in user-limits\n',
        ),
        (
            ["set_vhost_limits", "5"],
            69,
            "Error:\nValidation failed\n\ndefinition must be a dictionary: 5\n\n",
        ),
        (["set_vhost_limits", "-p", "nosuch", "{}"], 65, "Virtual host 'nosuch' does not exist\n"),
        (["list_vhost_limits", "-p", "nosuch"], 65, "Virtual host 'nosuch' does not exist\n"),
        (["clear_vhost_limits", "-p", "nosuch"], 69, "Error:\nParameter does not exist\n"),
        (["set_user_limits", "nosuch", "{}"], 69, 'Error:\n{:no_such_user, "nosuch"}\n'),
        (["list_user_limits", "--user", "nosuch"], 69, 'Error:\n{:no_such_user, "nosuch"}\n'),
        (["clear_user_limits", "nosuch", "all"], 69, 'Error:\n{:no_such_user, "nosuch"}\n'),
    ],
)
def test_what_is_refused(ctl_here: Ctl, arguments: list[str], status: int, error: str) -> None:
    assert refusal(ctl_here, *arguments) == (status, error)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["set_vhost_limits"], "not enough"),
        (["set_vhost_limits", "{}", "extra"], "too many"),
        (["clear_vhost_limits", "extra"], "too many"),
        (["list_vhost_limits", "extra"], "too many"),
        (["set_user_limits", "guest"], "not enough"),
        (["clear_user_limits", "guest"], "not enough"),
        (["clear_user_limits", "a", "b", "c"], "too many"),
        (["list_user_limits", "extra"], "too many"),
    ],
)
def test_arguments_that_mean_nothing(ctl_here: Ctl, arguments: list[str], reason: str) -> None:
    status, error = refusal(ctl_here, *arguments)
    assert (status, error.splitlines()[0]) == (64, f"Error (argument validation): {reason} arguments.")
