"""Every program of examples/tutorials, run with the newest pika and with the oldest that connects on Python 3.11."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel

from tests.programs import pika_versions
from tests.programs.conftest import Run
from tests.programs.pika_versions import Pika
from tests.programs.program import Program, wait_until

pytestmark = pytest.mark.any_broker

TUTORIALS = Path(__file__).parents[2] / "examples" / "tutorials"
SEND = TUTORIALS / "send.py"
RECEIVE = TUTORIALS / "receive.py"
NEW_TASK = TUTORIALS / "new_task.py"
WORKER = TUTORIALS / "worker.py"
EMIT_LOG = TUTORIALS / "emit_log.py"
RECEIVE_LOGS = TUTORIALS / "receive_logs.py"
EMIT_LOG_DIRECT = TUTORIALS / "emit_log_direct.py"
RECEIVE_LOGS_DIRECT = TUTORIALS / "receive_logs_direct.py"
EMIT_LOG_TOPIC = TUTORIALS / "emit_log_topic.py"
RECEIVE_LOGS_TOPIC = TUTORIALS / "receive_logs_topic.py"
RPC_SERVER = TUTORIALS / "rpc_server.py"
RPC_CLIENT = TUTORIALS / "rpc_client.py"
PUBLISHER_CONFIRMS = TUTORIALS / "publisher_confirms.py"

WAITING = " [*] Waiting for messages. To exit press CTRL+C"
WAITING_FOR_LOGS = " [*] Waiting for logs. To exit press CTRL+C"


@pytest.fixture(scope="module", params=["newest", "1.0.0"])
def pika_version(request: pytest.FixtureRequest) -> Pika:
    if request.param == "newest":
        return pika_versions.installed()
    chosen = pika_versions.of_version(request.param)
    assert chosen.version() == request.param
    return chosen


def finish(program: Program, *lines: str) -> None:
    """The program prints exactly these lines and ends well."""
    program.expect(*lines)
    program.expect_end()
    assert not program.errors, str(program)


def left_over(channel: BlockingChannel, queue: str) -> int:
    """The messages in the queue, once its consumers are gone and what they have not acknowledged is back in it."""
    wait_until(lambda: channel.queue_declare(queue, passive=True).method.consumer_count == 0)
    found: int = channel.queue_declare(queue, passive=True).method.message_count
    return found


def waiting(program: Program, line: str = WAITING) -> Program:
    """The program, once it has said that it waits: it consumes from then on."""
    program.expect(line)
    return program


# 1. Hello World


def test_hello_world(run: Run) -> None:
    receiver = waiting(run(RECEIVE))
    finish(run(SEND), " [x] Sent 'Hello World!'")
    receiver.expect(" [x] Received 'Hello World!'")
    receiver.interrupt()


def test_messages_wait_for_a_receiver(run: Run) -> None:
    for _ in range(2):
        finish(run(SEND), " [x] Sent 'Hello World!'")
    receiver = waiting(run(RECEIVE))
    receiver.expect(" [x] Received 'Hello World!'", " [x] Received 'Hello World!'")
    receiver.interrupt()


# 2. Work queues


def test_a_task_is_persistent_in_a_durable_queue(run: Run, channel: BlockingChannel) -> None:
    finish(run(NEW_TASK), " [x] Sent 'Hello World!'")
    finish(run(NEW_TASK, "A", "task", "of", "three", "seconds..."), " [x] Sent 'A task of three seconds...'")
    for body in (b"Hello World!", b"A task of three seconds..."):
        _, properties, found = channel.basic_get("task_queue", auto_ack=True)
        assert (found, properties.delivery_mode) == (body, 2)
    channel.queue_declare("task_queue", durable=True)
    with pytest.raises(pika.exceptions.ChannelClosedByBroker) as refused:
        channel.queue_declare("task_queue", durable=False)
    assert refused.value.reply_code == 406


def test_a_task_is_acknowledged_when_it_is_done(run: Run, channel: BlockingChannel) -> None:
    worker = waiting(run(WORKER))
    finish(run(NEW_TASK, "Work."), " [x] Sent 'Work.'")
    worker.expect(" [x] Received 'Work.'", " [x] Done")
    worker.interrupt()
    assert left_over(channel, "task_queue") == 0


def test_the_task_of_a_killed_worker_goes_to_another(run: Run, channel: BlockingChannel) -> None:
    killed = waiting(run(WORKER))
    finish(run(NEW_TASK, "Work..."), " [x] Sent 'Work...'")
    killed.expect(" [x] Received 'Work...'")
    killed.kill()
    killed.expect_silence_until_end()
    assert left_over(channel, "task_queue") == 1
    other = waiting(run(WORKER))
    other.expect(" [x] Received 'Work...'", " [x] Done")
    other.interrupt()
    assert left_over(channel, "task_queue") == 0


def test_the_task_of_a_killed_worker_goes_to_one_that_waits(run: Run, channel: BlockingChannel) -> None:
    killed = waiting(run(WORKER))
    other = waiting(run(WORKER))
    run(NEW_TASK, "First..").expect(" [x] Sent 'First..'")
    killed.expect(" [x] Received 'First..'")
    killed.kill()
    other.expect(" [x] Received 'First..'", " [x] Done")
    other.interrupt()
    assert left_over(channel, "task_queue") == 0


def test_two_workers_take_turns(run: Run) -> None:
    workers = [waiting(run(WORKER)) for _ in range(2)]
    for number in range(6):
        finish(run(NEW_TASK, f"Task {number}"), f" [x] Sent 'Task {number}'")
        workers[number % 2].expect(f" [x] Received 'Task {number}'", " [x] Done")
    for worker in workers:
        worker.interrupt()


def test_a_busy_worker_gets_no_further_task(run: Run) -> None:
    busy = waiting(run(WORKER))
    other = waiting(run(WORKER))
    slow = "Slow" + 60 * "."
    run(NEW_TASK, slow).expect(f" [x] Sent '{slow}'")
    busy.expect(f" [x] Received '{slow}'")
    for number in range(4):
        finish(run(NEW_TASK, f"Task {number}"), f" [x] Sent 'Task {number}'")
    for number in range(4):
        other.expect(f" [x] Received 'Task {number}'", " [x] Done")
    other.interrupt()
    busy.kill()
    busy.expect_silence_until_end()


# 3. Publish/Subscribe


def test_a_log_line_reaches_every_receiver(run: Run) -> None:
    finish(run(EMIT_LOG, "nobody", "listens"), " [x] Sent 'nobody listens'")
    receivers = [waiting(run(RECEIVE_LOGS), WAITING_FOR_LOGS) for _ in range(2)]
    finish(run(EMIT_LOG), " [x] Sent 'info: Hello World!'")
    finish(run(EMIT_LOG, "info: This", "is the log"), " [x] Sent 'info: This is the log'")
    for receiver in receivers:
        receiver.expect(" [x] 'info: Hello World!'", " [x] 'info: This is the log'")
        receiver.interrupt()


# 4. Routing


def test_log_lines_are_routed_by_severity(run: Run) -> None:
    some = waiting(run(RECEIVE_LOGS_DIRECT, "warning", "error"), WAITING_FOR_LOGS)
    every = waiting(run(RECEIVE_LOGS_DIRECT, "info", "warning", "error"), WAITING_FOR_LOGS)
    finish(run(EMIT_LOG_DIRECT), " [x] Sent 'info':'Hello World!'")
    finish(run(EMIT_LOG_DIRECT, "debug", "unseen"), " [x] Sent 'debug':'unseen'")
    finish(run(EMIT_LOG_DIRECT, "warning", "Hot"), " [x] Sent 'warning':'Hot'")
    finish(run(EMIT_LOG_DIRECT, "error", "It", "burns"), " [x] Sent 'error':'It burns'")
    every.expect(" [x] 'info':'Hello World!'", " [x] 'warning':'Hot'", " [x] 'error':'It burns'")
    some.expect(" [x] 'warning':'Hot'", " [x] 'error':'It burns'")
    for receiver in (every, some):
        receiver.interrupt()


# 5. Topics


def test_log_lines_are_routed_by_pattern(run: Run) -> None:
    sent = ["kern.info", "cron.critical", "kern", "kern.disk.critical", "anonymous.info", "kern.critical"]
    expected = {
        ("#",): sent,
        ("kern.*",): ["kern.info", "kern.critical"],
        ("*.critical",): ["cron.critical", "kern.critical"],
        ("kern.#",): ["kern.info", "kern", "kern.disk.critical", "kern.critical"],
        ("kern.*", "*.critical"): ["kern.info", "cron.critical", "kern.critical"],
    }
    receivers = {patterns: run(RECEIVE_LOGS_TOPIC, *patterns) for patterns in expected}
    for receiver in receivers.values():
        waiting(receiver, WAITING_FOR_LOGS)
    for key in sent:
        # Without arguments the key is anonymous.info and the text Hello World!
        arguments = [] if key == "anonymous.info" else [key, "Hello", "World!"]
        finish(run(EMIT_LOG_TOPIC, *arguments), f" [x] Sent {key!r}:'Hello World!'")
    for patterns, keys in expected.items():
        receivers[patterns].expect(*(f" [x] {key!r}:'Hello World!'" for key in keys))
        receivers[patterns].interrupt()


@pytest.mark.parametrize(
    ("path", "usage"),
    [
        (RECEIVE_LOGS_DIRECT, "Usage: receive_logs_direct.py [info] [warning] [error]\n"),
        (RECEIVE_LOGS_TOPIC, "Usage: receive_logs_topic.py [binding_key]...\n"),
    ],
    ids=["direct", "topic"],
)
def test_receivers_without_arguments_say_how_they_are_used(run: Run, path: Path, usage: str) -> None:
    program = run(path)
    program.expect_end(status=1)
    assert program.errors == [usage]


# 6. RPC


def test_rpc(run: Run) -> None:
    server = waiting(run(RPC_SERVER), " [x] Awaiting RPC requests")
    finish(run(RPC_CLIENT), " [x] Requesting fib(30)", " [.] Got 832040")
    server.expect(" [.] fib(30)")
    server.interrupt()


def test_each_rpc_client_gets_its_own_answer(run: Run) -> None:
    server = waiting(run(RPC_SERVER), " [x] Awaiting RPC requests")
    clients = {number: run(RPC_CLIENT, str(number)) for number in (10, 11, 12)}
    for number, answer in ((10, 55), (11, 89), (12, 144)):
        finish(clients[number], f" [x] Requesting fib({number})", f" [.] Got {answer}")
    assert {server.read_line() for _ in clients} == {f" [.] fib({number})" for number in clients}
    server.interrupt()


# 7. Publisher confirms


def test_publisher_confirms(run: Run) -> None:
    program = run(PUBLISHER_CONFIRMS, "1234")
    for strategy in ("individually", "in batch", "and handled confirms asynchronously"):
        line = program.read_line() or "the program's end"
        assert re.fullmatch(rf"Published 1,234 messages {strategy} in [\d,]+ ms", line), f"{line} {program}"
    program.expect_end()
    assert not program.errors, str(program)


# The broker that is used when nothing else is said

SHOW_WHERE_IT_CONNECTS = """
import runpy, sys, pika
def connect(parameters):
    print(parameters.host, parameters.port, parameters.virtual_host, parameters.credentials.username)
    sys.exit()
pika.BlockingConnection = connect
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def test_programs_connect_to_the_default_broker(pika_version: Pika) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "AMQP_URL"}
    programs = sorted(TUTORIALS.glob("*.py"))
    assert len(programs) == 13
    for program in programs:
        arguments = ["-c", SHOW_WHERE_IT_CONNECTS, str(program)]
        if program in (RECEIVE_LOGS_DIRECT, RECEIVE_LOGS_TOPIC):
            arguments.append("info")
        shown = subprocess.run(
            [sys.executable, *arguments],
            env={**environment, **pika_version.environment},
            capture_output=True,
            text=True,
        )
        assert shown.stdout == "localhost 5672 / guest\n", f"{program} {shown.stderr}"
