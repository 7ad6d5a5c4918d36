"""The commands for users, virtual hosts and permissions print, refuse and end as rabbitmqctl's do.

What they printed and how they ended was compared with rabbitmqctl 3.10's, but for the commands of later versions.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.ctl.conftest import Ctl
from tests.support.broker_process import BrokerProcess

DONE = (
    "Done. Don't forget to grant the user permissions to some virtual hosts! "
    "See 'rabbitmqctl help set_permissions' to learn more."
)


@pytest.fixture
def clean(ctl_here: Ctl) -> Iterator[Ctl]:
    """As `ctl_here`; users, virtual hosts and permissions that a test leaves are gone afterwards."""
    yield ctl_here
    for user in json.loads(ctl_here("list_users", "--formatter", "json").stdout):
        if user["user"] != "guest":
            ctl_here("delete_user", user["user"])
    for vhost in json.loads(ctl_here("list_vhosts", "--formatter", "json").stdout):
        if vhost["name"] != "/":
            ctl_here("disable_vhost_deletion_protection", vhost["name"])
            ctl_here("delete_vhost", vhost["name"])
    ctl_here("clear_topic_permissions", "guest")


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


def test_users(clean: Ctl) -> None:
    assert printed(clean, "add_user", "alice", "secret") == ['Adding user "alice" ...', DONE]
    assert printed(clean, "-q", "add_user", "bob", "") == []
    assert printed(clean, "set_user_tags", "alice", "monitoring", "free tag") == [
        'Setting tags for user "alice" to [monitoring, free tag] ...'
    ]
    users = ["user\ttags", "alice\t[monitoring, free tag]", "bob\t[]", "guest\t[administrator]"]
    assert printed(clean, "list_users") == ["Listing users ...", *users]
    assert printed(clean, "-s", "list_users") == users[1:]
    assert printed(clean, "-q", "list_users", "--no-table-headers") == users[1:]
    assert json.loads(clean("list_users", "--formatter", "json").stdout)[:2] == [
        {"user": "alice", "tags": ["monitoring", "free tag"]},
        {"user": "bob", "tags": []},
    ]
    assert printed(clean, "--formatter", "csv", "list_users")[:2] == [
        '"user","tags"',
        '"alice","[monitoring, free tag]"',
    ]
    assert printed(clean, "set_user_tags", "alice") == ['Setting tags for user "alice" to [] ...']
    assert printed(clean, "delete_user", "bob") == ['Deleting user "bob" ...']
    assert printed(clean, "-s", "list_users") == ["alice\t[]", "guest\t[administrator]"]


def test_passwords(clean: Ctl) -> None:
    printed(clean, "add_user", "alice", "secret")
    assert printed(clean, "authenticate_user", "alice", "secret") == ['Authenticating user "alice" ...', "Success"]
    assert printed(clean, "change_password", "alice", "other") == ['Changing password for user "alice" ...']
    wrong = "Error:\nError: failed to authenticate user \"alice\"\nuser 'alice' - invalid credentials\n"
    assert refusal(clean, "authenticate_user", "alice", "secret") == (65, wrong)
    assert printed(clean, "-q", "authenticate_user", "alice", "other") == ["Success"]
    assert printed(clean, "clear_password", "alice") == ['Clearing password for user "alice" ...']
    assert refusal(clean, "authenticate_user", "alice", "other") == (65, wrong)
    printed(clean, "change_password", "alice", "")
    status, error = refusal(clean, "authenticate_user", "alice", "")
    assert status == 65
    assert "user 'alice' attempted to log in with a blank password" in error


def test_a_hash_is_what_a_user_may_have(clean: Ctl) -> None:
    [hashed] = printed(clean, "-q", "hash_password", "secret")
    octets = base64.b64decode(hashed)
    assert octets[4:] == hashlib.sha256(octets[:4] + b"secret").digest()
    assert printed(clean, "-q", "hash_password", "secret") != [hashed]  # the salt is another
    assert len(base64.b64decode(json.loads(clean("--formatter", "json", "hash_password", "x").stdout)["message"])) == 36
    printed(clean, "add_user", "alice", hashed, "--pre-hashed-password")
    assert printed(clean, "-q", "authenticate_user", "alice", "secret") == ["Success"]
    status, error = refusal(clean, "add_user", "bob", "no hash", "--pre-hashed-password")
    assert (status, error) == (65, "Error:\na hash of rabbit_password_hashing_sha256 has 36 octets in base64\n")


def with_input(leveret: BrokerProcess, text: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run leveretctl with something to read."""
    return subprocess.run(
        [sys.executable, "-m", "leveret.cli.leveretctl", *arguments],
        env={**os.environ, "LEVERET_DATA_DIR": str(leveret.data_dir)},
        input=text,
        capture_output=True,
        encoding="utf-8",
        check=False,
        timeout=30,
    )


def test_passwords_from_standard_input(clean: Ctl, leveret: BrokerProcess) -> None:
    result = with_input(leveret, "pässword\n", "add_user", "alice")
    assert (result.returncode, result.stdout) == (0, f'Adding user "alice" ...\nPassword: \n{DONE}\n')
    assert with_input(leveret, "pässword", "-q", "authenticate_user", "alice").stdout == "Success\n"
    assert with_input(leveret, "other\n", "authenticate_user", "alice").returncode == 65
    assert with_input(leveret, "other\r\n", "-q", "change_password", "alice").returncode == 0
    assert printed(clean, "-q", "authenticate_user", "alice", "other") == ["Success"]
    missing = "Error:\nPassword is not provided via argument or stdin\n"
    for command, status in (("add_user", 65), ("change_password", 70), ("authenticate_user", 70)):
        result = with_input(leveret, "", command, "bob")
        assert (result.returncode, result.stderr) == (status, missing)
    assert len(base64.b64decode(with_input(leveret, "x\n", "-q", "hash_password").stdout)) == 36


def test_virtual_hosts(clean: Ctl) -> None:
    assert printed(clean, "list_vhosts") == ["Listing vhosts ...", "name", "/"]
    assert printed(clean, "add_vhost", "one") == ['Adding vhost "one" ...']
    assert printed(clean, "add_vhost", "one") == ['Adding vhost "one" ...']
    metadata = ["--description", "a b", "--tags", "t1, t2", "--default-queue-type", "quorum"]
    assert printed(clean, "-q", "add_vhost", "two", *metadata) == []
    columns = ["name", "description", "tags", "default_queue_type", "tracing", "protected_from_deletion"]
    assert printed(clean, "-q", "list_vhosts", *columns) == [
        "\t".join(columns),
        "/\tDefault virtual host\t[]\tundefined\tfalse\tfalse",
        "one\t\t[]\tundefined\tfalse\tfalse",
        "two\ta b\t[t1, t2]\tquorum\tfalse\tfalse",
    ]
    updated = printed(clean, "update_vhost_metadata", "one", "-d", "x", "--tags", "q")
    assert updated == ['Updating metadata of vhost "one" ...']
    printed(clean, "update_vhost_metadata", "two", "--default-queue-type", "classic")
    tagged = printed(clean, "set_vhost_tags", "two", "m", "n")
    assert tagged == ['Setting tags for virtual host "two" to [m, n] ...']
    rows = json.loads(clean("list_vhosts", *columns[:4], "cluster_state", "--formatter", "json").stdout)
    [node] = rows[0].pop("cluster_state")
    assert rows[1] == {
        "name": "one",
        "description": "x",
        "tags": ["q"],
        "default_queue_type": "undefined",
        "cluster_state": {node: "running"},
    }
    assert rows[2]["description"] == "a b"
    assert (rows[2]["tags"], rows[2]["default_queue_type"]) == (["m", "n"], "classic")
    assert printed(clean, "delete_vhost", "one") == ['Deleting vhost "one" ...']
    assert printed(clean, "-s", "list_vhosts") == ["/", "two"]


def test_a_protected_virtual_host(clean: Ctl) -> None:
    printed(clean, "add_vhost", "one")
    banner = 'Protecting virtual host "one" from removal by updating its metadata...'
    assert printed(clean, "enable_vhost_deletion_protection", "one") == [banner]
    status, error = refusal(clean, "delete_vhost", "one")
    assert status == 69
    assert error.startswith("Error:\nCannot delete virtual host 'one': it is protected from deletion.")
    banner = 'Removing deletion protection for virtual host "one" by updating its metadata...'
    assert printed(clean, "disable_vhost_deletion_protection", "one") == [banner]
    printed(clean, "delete_vhost", "one")


def test_permissions(clean: Ctl) -> None:
    printed(clean, "add_user", "alice", "secret")
    printed(clean, "add_vhost", "one")
    assert printed(clean, "list_user_permissions", "alice") == ['Listing permissions for user "alice" ...', ""]
    assert printed(clean, "set_permissions", "alice", "^a", "", ".*") == [
        'Setting permissions for user "alice" in vhost "/" ...'
    ]
    listed = ["user\tconfigure\twrite\tread", "alice\t^a\t\t.*", "guest\t.*\t.*\t.*"]
    assert printed(clean, "list_permissions") == ['Listing permissions for vhost "/" ...', *listed]
    assert json.loads(clean("list_permissions", "--formatter", "json").stdout)[0] == {
        "user": "alice",
        "configure": "^a",
        "write": "",
        "read": ".*",
    }
    assert printed(clean, "set_permissions_globally", "alice", "c", "w", "r") == [
        'Setting permissions for user "alice" in all virtual hosts ...'
    ]
    listed = ["vhost\tconfigure\twrite\tread", "/\tc\tw\tr", "one\tc\tw\tr"]
    assert printed(clean, "-q", "list_user_permissions", "alice") == listed
    assert printed(clean, "-s", "list_permissions", "-p", "one") == ["alice\tc\tw\tr"]
    cleared = ['Clearing permissions for user "alice" in vhost "one" ...']
    assert printed(clean, "clear_permissions", "-p", "one", "alice") == cleared
    assert printed(clean, "clear_permissions", "-p", "one", "alice") == cleared
    assert printed(clean, "-s", "list_user_permissions", "alice") == ["/\tc\tw\tr"]
    assert printed(clean, "--formatter", "json", "list_permissions", "-p", "one") == ["[]"]


def test_topic_permissions(clean: Ctl) -> None:
    printed(clean, "add_user", "alice", "secret")
    assert printed(clean, "list_topic_permissions") == ['Listing topic permissions for vhost "/" ...', ""]
    assert printed(clean, "set_topic_permissions", "alice", "amq.topic", "^{username}", ".*") == [
        'Setting topic permissions on "amq.topic" for user "alice" in vhost "/" ...'
    ]
    printed(clean, "set_topic_permissions", "alice", "", "w", "r")
    printed(clean, "set_topic_permissions", "alice", "to come", "w", "r")
    listed = ["alice\t\tw\tr", "alice\tamq.topic\t^{username}\t.*", "alice\tto come\tw\tr"]
    assert printed(clean, "-q", "list_topic_permissions") == ["user\texchange\twrite\tread", *listed]
    of_user = [line.replace("alice", "/") for line in listed]
    banner = 'Listing topic permissions for user "alice" ...'
    assert printed(clean, "list_user_topic_permissions", "alice") == [banner, *of_user]
    assert json.loads(clean("list_user_topic_permissions", "alice", "--formatter", "json").stdout)[1] == {
        "vhost": "/",
        "exchange": "amq.topic",
        "write": "^{username}",
        "read": ".*",
    }
    assert printed(clean, "clear_topic_permissions", "alice", "amq.topic") == [
        'Clearing topic permissions on "amq.topic" for user "alice" in vhost "/" ...'
    ]
    assert printed(clean, "-s", "list_topic_permissions") == [listed[0], listed[2]]
    cleared = printed(clean, "clear_topic_permissions", "alice")
    assert cleared == ['Clearing topic permissions for user "alice" in vhost "/" ...']
    assert printed(clean, "--formatter", "json", "list_topic_permissions") == ["[]"]


@pytest.mark.parametrize(
    ("arguments", "status", "error"),
    [
        (["add_user", "guest", "x"], 70, 'Error:\nUser "guest" already exists\n'),
        (["add_user", "guest", "x", "--pre-hashed-password"], 70, 'Error:\nUser "guest" already exists\n'),
        (["delete_user", "nobody"], 67, 'Error:\nUser "nobody" does not exist\n'),
        (["change_password", "nobody", "x"], 67, 'Error:\nUser "nobody" does not exist\n'),
        (["clear_password", "nobody"], 69, 'Error:\n{:no_such_user, "nobody"}\n'),
        (["set_user_tags", "nobody", "x"], 67, 'Error:\nUser "nobody" does not exist\n'),
        (
            ["authenticate_user", "nobody", "x"],
            65,
            "Error:\nError: failed to authenticate user \"nobody\"\nuser 'nobody' - invalid credentials\n",
        ),
        (["delete_vhost", "nowhere"], 65, "Virtual host 'nowhere' does not exist\n"),
        (["update_vhost_metadata", "nowhere", "-d", ""], 65, "Virtual host 'nowhere' does not exist\n"),
        (["set_vhost_tags", "nowhere", "x"], 65, 'Error:\nVirtual host "nowhere" does not exist\n'),
        (["enable_vhost_deletion_protection", "nowhere"], 65, "Virtual host 'nowhere' does not exist\n"),
        (["set_permissions", "nobody", "a", "b", "c"], 67, "Error:\nUser nobody does not exist\n"),
        (["set_permissions", "-p", "nowhere", "nobody", "a", "b", "c"], 67, "Error:\nUser nobody does not exist\n"),
        (
            ["set_permissions", "-p", "nowhere", "guest", "a", "b", "c"],
            69,
            "Error:\nVirtual host nowhere does not exist\n",
        ),
        (
            ["set_permissions", "-p", "nowhere", "nobody", "*", "b", "c"],
            69,
            "Error:\n{:invalid_regexp, '*', {'nothing to repeat', 0}}\n",
        ),
        (["set_permissions", "guest", "a", "(", "c"], 69, "Error:\n{:invalid_regexp, '(', {'missing )', 1}}\n"),
        (
            ["set_permissions", "guest", "a", "b", "[a"],
            69,
            "Error:\n{:invalid_regexp, '[a', {'missing terminating ] for character class', 2}}\n",
        ),
        (["set_permissions_globally", "nobody", "a", "b", "c"], 67, "Error:\nUser nobody does not exist\n"),
        (["clear_permissions", "nobody"], 67, "Error:\nUser nobody does not exist\n"),
        (["clear_permissions", "-p", "nowhere", "guest"], 69, "Error:\nVirtual host nowhere does not exist\n"),
        (["list_permissions", "-p", "nowhere"], 65, "Virtual host 'nowhere' does not exist\n"),
        (["list_user_permissions", "nobody"], 69, 'Error:\n{:no_such_user, "nobody"}\n'),
        (["set_topic_permissions", "nobody", "x", "a", "b"], 67, "Error:\nUser nobody does not exist\n"),
        (
            ["set_topic_permissions", "-p", "nowhere", "guest", "x", "a", "b"],
            69,
            "Error:\nVirtual host nowhere does not exist\n",
        ),
        (
            ["set_topic_permissions", "guest", "x", "*", "("],
            69,
            "Error:\n{:invalid_regexp, \"*\", {'nothing to repeat', 0}}\n",
        ),
        (["clear_topic_permissions", "nobody"], 67, "Error:\nUser nobody does not exist\n"),
        (["clear_topic_permissions", "-p", "nowhere", "guest"], 69, "Error:\nVirtual host nowhere does not exist\n"),
        (["list_topic_permissions", "-p", "nowhere"], 65, "Virtual host 'nowhere' does not exist\n"),
        (["list_user_topic_permissions", "nobody"], 69, 'Error:\n{:no_such_user, "nobody"}\n'),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_is_refused(ctl_here: Ctl, arguments: list[str], status: int, error: str) -> None:
    assert refusal(ctl_here, *arguments) == (status, error)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["add_user"], "not enough arguments."),
        (["add_user", "a", "b", "c"], "too many arguments."),
        (["add_user", "", "x"], "Bad argument: user cannot be an empty string"),
        (["delete_user"], "not enough arguments."),
        (["authenticate_user"], "not enough arguments."),
        (["list_users", "x"], "too many arguments."),
        (["hash_password", "a", "b"], "too many arguments."),
        (["add_vhost", "a", "b"], "too many arguments."),
        (
            ["add_vhost", "a", "--default-queue-type", "bogus"],
            "Bad argument: Default queue type must be one of: quorum, classic. Provided: bogus",
        ),
        (["update_vhost_metadata", "/"], "not enough arguments."),
        (["list_vhosts", "bogus"], "Info key(s) bogus are not supported"),
        (["set_vhost_tags"], "not enough arguments."),
        (["set_permissions", "guest", "a", "b"], "not enough arguments."),
        (["list_permissions", "x"], "too many arguments."),
        (["list_user_permissions"], "not enough arguments."),
        (["list_user_permissions", "a", "b"], "too many arguments."),
        (["clear_topic_permissions", "a", "b", "c"], "too many arguments."),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_arguments_that_mean_nothing(ctl_here: Ctl, arguments: list[str], reason: str) -> None:
    status, error = refusal(ctl_here, *arguments)
    assert error.splitlines()[0] == f"Error (argument validation): {reason}"
    assert status == (65 if reason.startswith("Bad argument") else 64)


def test_answers_in_json(clean: Ctl) -> None:
    [answer] = printed(clean, "--formatter", "json", "add_user", "alice", "secret")
    node = json.loads(answer)["node"]
    assert json.loads(answer) == {"message": DONE, "node": node, "status": "ok"}
    assert printed(clean, "--formatter", "json", "authenticate_user", "alice", "secret") == ['{"message":"Success"}']
    for arguments in (
        ["change_password", "alice", "x"],
        ["set_user_tags", "alice", "x"],
        ["set_permissions", "alice", "a", "b", "c"],
        ["add_vhost", "one"],
        ["delete_vhost", "one"],
        ["delete_user", "alice"],
    ):
        assert json.loads(clean("--formatter", "json", *arguments).stdout) == {"node": node, "result": "ok"}


def test_as_a_program_of_its_own(clean: Ctl, ctl: Ctl) -> None:
    """One command of each kind: the others differ in words alone."""
    assert printed(ctl, "add_user", "alice", "secret") == ['Adding user "alice" ...', DONE]
    assert printed(ctl, "-q", "authenticate_user", "alice", "secret") == ["Success"]
    assert printed(ctl, "-q", "set_permissions", "alice", "a", "b", "c") == []
    assert printed(ctl, "-s", "list_user_permissions", "alice") == ["/\ta\tb\tc"]
    assert printed(ctl, "add_vhost", "one", "-d", "ä") == ['Adding vhost "one" ...']
    assert printed(ctl, "-s", "list_vhosts", "name", "description") == ["/\tDefault virtual host", "one\tä"]
    assert refusal(ctl, "delete_user", "nobody") == (67, 'Error:\nUser "nobody" does not exist\n')


def test_help(ctl_here: Ctl) -> None:
    text = ctl_here("help", "add_vhost").stdout
    assert "--default-queue-type" in text
    assert "<vhost>" in text
    assert "must be one of cluster_state, default_queue_type" in ctl_here("help", "list_vhosts").stdout
    assert "<column>" not in ctl_here("help", "list_user_permissions").stdout
    for name in ("set_user_tags", "hash_password", "set_topic_permissions", "clear_topic_permissions"):
        assert ctl_here("help", name).returncode == 0
