"""Every command of leveretctl as a program of its own, against a broker's process: see `stories`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import leveret as package
from leveret.cli.ctl_commands import COMMANDS
from tests.ctl.programs import Call, Programs, Step, World
from tests.ctl.stories import ENDS, NEVER_SUCCEED, STORIES
from tests.support.broker_process import BrokerProcess

ALTERNATIVES = {"set_disk_free_limit"}  # commands that are named as what to use for others
ENVIRONMENT = {"LEVERET_DEFAULT_PASS": "guest", "RABBITMQ_DEFAULT_VHOST": "/"}


def broker_in(folder: Path) -> BrokerProcess:
    """A broker that logs to a file."""
    process = BrokerProcess(folder, "--log-file", str(folder / "leveret.log"))
    process.environment = ENVIRONMENT
    return process


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Programs:
    return Programs(tmp_path_factory.mktemp("programs"))


@pytest.fixture(scope="module")
def leveret(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerProcess]:
    with broker_in(tmp_path_factory.mktemp("ctl")) as process:
        yield process


def tell(story: list[Step], broker: BrokerProcess, programs: Programs, folder: Path) -> None:
    """Do the steps of a story."""
    node = programs.run("leveretctl", "-q", "--formatter", "json", "status", LEVERET_DATA_DIR=str(broker.data_dir))
    found = re.search('"node_name":"([^"]+)"', node.stdout)
    assert found is not None
    known = {
        "node": found[1],
        "port": str(broker.port),
        "pid": str(broker.pid),
        "data_dir": str(broker.data_dir),
        "log": str(broker.data_dir.parent / "leveret.log"),
        "folder": str(folder),
        "version": package.__version__,
    }
    world = World(broker, programs, known)
    try:
        for step in story:
            step(world)
    finally:
        world.end()


@pytest.mark.parametrize("name", STORIES)
def test_stories(name: str, leveret: BrokerProcess, programs: Programs, tmp_path: Path) -> None:
    tell(STORIES[name], leveret, programs, tmp_path)


@pytest.mark.parametrize("name", ENDS)
def test_stories_that_end_the_broker(name: str, programs: Programs, tmp_path: Path) -> None:
    with broker_in(tmp_path) as process:
        tell(ENDS[name], process, programs, tmp_path)
        assert process.process is not None
        assert process.process.wait(10) == 0


def commands_in_help(programs: Programs, name: str) -> set[str]:
    """The commands that a program says it has."""
    printed = programs.run(name, "help").stdout.partition("\nCommands\n")[2].partition("\nOptions\n")[0]
    return set(re.findall(r"^   (\w+) ", printed, re.MULTILINE))


def test_every_command_has_a_story(programs: Programs) -> None:
    calls = [step for story in [*STORIES.values(), *ENDS.values()] for step in story if isinstance(step, Call)]
    plugins = {call.command for call in calls if call.program == "rabbitmq-plugins" and not call.status}
    others = {call.command for call in calls if call.program != "rabbitmq-plugins" and not call.status}
    assert others | NEVER_SUCCEED == commands_in_help(programs, "leveretctl")
    assert plugins | {"version"} == commands_in_help(programs, "rabbitmq-plugins")
    assert {call.command for call in calls if call.status} >= NEVER_SUCCEED


def test_what_is_documented_as_left_out_is_not_there() -> None:
    page = Path(__file__).parents[2] / "docs" / "leveretctl.md"
    _, _, left_out = page.read_text().partition("## What there is not")
    names = {name for line in left_out.splitlines() for name in re.findall(r"`(\w+)`", line)}
    assert len(names) > 20
    assert names & COMMANDS.keys() == ALTERNATIVES


def test_every_name_and_the_remote_way_are_in_the_stories() -> None:
    calls = [step for story in STORIES.values() for step in story if isinstance(step, Call)]
    names = {call.program for call in calls}
    assert names == {
        "leveretctl", "rabbitmqctl", "rabbitmq-diagnostics", "rabbitmq-queues", "rabbitmq-plugins", "rabbitmq-upgrade",
    }  # fmt: skip
    assert len({call.command for call in calls if call.remote and not call.status}) > 12
