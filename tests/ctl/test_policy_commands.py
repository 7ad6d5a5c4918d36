"""The commands for policies and operator policies print, refuse and end as rabbitmqctl's do."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.ctl.conftest import Ctl

HEADERS = "vhost\tname\tpattern\tapply-to\tdefinition\tpriority"
USAGE = (
    "leveretctl [--data-dir <folder>] [--quiet] set_policy [--vhost <vhost>] [--priority <priority>] "
    "[--apply-to <apply-to>] <name> <pattern> <definition>"
)
LENGTH = '{"max-length":5}'


@pytest.fixture
def clean(ctl_here: Ctl) -> Iterator[Ctl]:
    """As `ctl_here`; policies that a test leaves are cleared."""
    yield ctl_here
    for kind in ("policy", "operator_policy"):
        for row in json.loads(ctl_here(f"list_{kind[:-1]}ies", "--formatter", "json").stdout):
            assert ctl_here(f"clear_{kind}", row["name"]).returncode == 0


def printed(ctl: Ctl, *arguments: str) -> list[str]:
    """What a command prints that succeeds."""
    result = ctl(*arguments)
    assert (result.returncode, result.stderr) == (0, "")
    return result.stdout.splitlines()


def test_setting_and_clearing(clean: Ctl) -> None:
    banner = f'Setting policy "a" for pattern "^q" to "{LENGTH}" with priority "0" for vhost "/" ...'
    assert printed(clean, "set_policy", "a", "^q", LENGTH) == [banner]
    assert printed(clean, "-q", "set_policy", "--priority", "-3", "--apply-to", "queues", "b", "", LENGTH) == []
    assert printed(clean, "-s", "set_policy", "a", "^q", '{"overflow":"drop-head", "max-length":6}') == []
    assert printed(clean, "list_policies") == [
        'Listing policies for vhost "/" ...',
        HEADERS,
        f"/\tb\t\tqueues\t{LENGTH}\t-3",
        '/\ta\t^q\tall\t{"max-length":6,"overflow":"drop-head"}\t0',
    ]
    assert printed(clean, "clear_policy", "a") == ['Clearing policy "a" on vhost "/" ...']
    assert printed(clean, "-q", "clear_policy", "-p", "/", "b") == []
    assert printed(clean, "list_policies") == ['Listing policies for vhost "/" ...']


def test_operator_policies_are_others(clean: Ctl) -> None:
    banner = f'Setting operator policy override "a" for pattern "^q" to "{LENGTH}" with priority "7" for vhost "/" ...'
    assert printed(clean, "set_operator_policy", "--priority", "7", "a", "^q", LENGTH) == [banner]
    assert printed(clean, "list_operator_policies") == [
        'Listing operator policy overrides for vhost "/" ...',
        HEADERS,
        f"/\ta\t^q\tall\t{LENGTH}\t7",
    ]
    assert printed(clean, "-q", "list_policies") == []
    assert clean("clear_policy", "a").returncode == 69
    assert printed(clean, "clear_operator_policy", "a") == ['Clearing operator policy "a" on vhost "/" ...']
    assert printed(clean, "-q", "list_operator_policies") == []


def test_the_order_of_the_list(clean: Ctl) -> None:
    """Ascending by priority, and what would be tried first comes last."""
    for name, priority in (("m", "1"), ("a", "0"), ("z", "0"), ("é", "0")):
        printed(clean, "set_policy", "--priority", priority, name, "", LENGTH)
    rows = json.loads(clean("list_policies", "--formatter", "json").stdout)
    assert [row["name"] for row in rows] == ["é", "z", "a", "m"]


def test_other_formatters(clean: Ctl) -> None:
    printed(clean, "set_policy", "é", "\\.", '{"dead-letter-exchange":"é\\u0001\\""}')
    row = '{"vhost":"/","name":"é","pattern":"\\\\.","apply-to":"all","definition":'
    row += '"{\\"dead-letter-exchange\\":\\"é\\\\u0001\\\\\\"\\"}","priority":0}'
    assert printed(clean, "list_policies", "--formatter", "json") == ["[", row, "]"]
    assert printed(clean, "list_policies", "--formatter", "csv") == [
        '"vhost","name","pattern","apply-to","definition","priority"',
        '"/","é","\\.","all","{""dead-letter-exchange"":""é\\u0001\\""""}","0"',
    ]
    assert printed(clean, "list_policies", "--no-table-headers")[1].startswith("/\té\t")
    assert printed(clean, "list_policies", "-s")[0].startswith("/\té\t")
    [answer] = printed(clean, "clear_policy", "é", "--formatter", "json")
    assert json.loads(answer)["result"] == "ok"


@pytest.mark.parametrize("kind", ["policy", "operator_policy"])
@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (
            ["a", "(", LENGTH],
            'Validation failed\n\npattern should be regular expression but is invalid: {"missing )",1}\n',
        ),
        (
            ["a", "a)", LENGTH],
            'Validation failed\n\npattern should be regular expression but is invalid: {"unmatched parentheses",\n'
            f"{' ' * 54}1}}\n",
        ),
        (
            ["--apply-to", "bogus", "a", "x", LENGTH],
            "Validation failed\n\napply-to 'bogus' unrecognised; should be one of: 'queues', 'classic_queues',  "
            "'quorum_queues', 'streams', 'exchanges', or 'all'\n",
        ),
        (["a", "x", "{}"], "Validation failed\n\nno policy provided\n"),
        (["a", "x", "[]"], "Validation failed\n\ndefinition must be a dictionary: []\n"),
        (
            ["a", "x", '{"bogus":5,"other":"é"}'],
            'Validation failed\n\n[{<<"bogus">>,5},{<<"other">>,<<"é"/utf8>>}] are not recognised policy settings\n',
        ),
        (["a", "x", '{"max-length":-5}'], "Validation failed\n\n-5 is not a valid maximum length\n"),
        (
            ["a", "x", '{"max-length"'],
            "Could not parse JSON document: Expecting ':' delimiter: line 1 column 14 (char 13)",
        ),
        (["a", "x", '{"max-length":NaN}'], "Could not parse JSON document: unexpected NaN"),
        (["a", "x", "[" * 30_000], "Could not parse JSON document: it is nested too deeply"),
    ],
)
def test_what_is_refused(ctl_here: Ctl, kind: str, arguments: list[str], error: str) -> None:
    result = ctl_here("-q", f"set_{kind}", *arguments)
    assert (result.returncode, result.stdout, result.stderr) == (69, "", f"Error:\n{error}\n")
    assert printed(ctl_here, "-q", f"list_{kind[:-1]}ies") == []


def test_a_refusal_comes_behind_the_banner(ctl_here: Ctl) -> None:
    result = ctl_here("clear_policy", "nosuch")
    assert (result.returncode, result.stdout) == (69, 'Clearing policy "nosuch" on vhost "/" ...\n')
    assert result.stderr == "Error:\nParameter does not exist\n"


@pytest.mark.parametrize(
    "arguments",
    [["set_policy", "a", "x", LENGTH], ["set_operator_policy", "a", "x", LENGTH], ["list_policies"]],
)
def test_a_virtual_host_that_is_not_there(ctl_here: Ctl, arguments: list[str]) -> None:
    result = ctl_here("-q", "-p", "nosuch", *arguments)
    assert (result.returncode, result.stdout) == (65, "")
    assert result.stderr == "Virtual host 'nosuch' does not exist\n"


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["set_policy", "a", "b"], "not enough arguments."),
        (["set_policy", "a", "b", "c", "d"], "too many arguments."),
        (["set_policy", "--priority", "x", "a", "b", "c"], "Invalid options for this command:\n--priority : x"),
        (["set_policy", "--priority", "1.5", "a", "b", "c"], "Invalid options for this command:\n--priority : 1.5"),
        (["set_policy", "--global", "a", "b", "c"], "Invalid options for this command:\n--global : "),
    ],
)
def test_arguments_that_mean_nothing(ctl_here: Ctl, arguments: list[str], reason: str) -> None:
    result = ctl_here(*arguments)
    assert (result.returncode, result.stdout) == (64, "")
    given = ["Arguments given:", "\t" + " ".join(arguments), "", "Usage", "", USAGE]
    assert result.stderr == "\n".join([f"Error (argument validation): {reason}", *given, ""])


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["clear_policy"], "not enough arguments."),
        (["clear_operator_policy", "a", "b"], "too many arguments."),
        (["list_policies", "name"], "too many arguments."),
        (["list_operator_policies", "name"], "too many arguments."),
        (["list_policies", "--priority", "5"], "Invalid options for this command:"),
    ],
)
def test_too_many_arguments_or_too_few(ctl_here: Ctl, arguments: list[str], reason: str) -> None:
    result = ctl_here(*arguments)
    assert (result.returncode, result.stderr.splitlines()[0]) == (64, f"Error (argument validation): {reason}")


def test_help(ctl_here: Ctl) -> None:
    text = ctl_here("help", "set_policy").stdout
    for expected in (USAGE, "<pattern>\n\tregular expression", "--priority\n\t", "--apply-to\n\t"):
        assert expected in text
    assert "<column>" not in ctl_here("help", "list_policies").stdout
