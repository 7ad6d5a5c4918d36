"""Hello world, work queue and RPC with pika from before 1.0, whose basic_consume had other arguments.

The senders are those of examples/tutorials, which run with every version; what consumes is in the folder pika_0_11.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.programs import pika_versions
from tests.programs.conftest import Run
from tests.programs.pika_versions import Pika

pytestmark = pytest.mark.any_broker

TUTORIALS = Path(__file__).parents[2] / "examples" / "tutorials"
PROGRAMS = Path(__file__).parent / "pika_0_11"
WAITING = " [*] Waiting for messages. To exit press CTRL+C"


@pytest.fixture(scope="module", params=["0.11.0 on Python 3.6", "0.12.0"])
def pika_version(request: pytest.FixtureRequest) -> Pika:
    if request.param == "0.12.0":
        chosen = pika_versions.with_callable_restored("0.12.0")
    else:
        interpreter = pika_versions.python_3_6()
        if interpreter is None:
            pytest.skip("pika 0.11.0 needs Python 3.6 or older: python3.6 is neither in PATH nor in pyenv's versions")
        chosen = pika_versions.of_version("0.11.0", interpreter)
    assert chosen.version() == request.param.split()[0]
    return chosen


def test_hello_world(run: Run) -> None:
    receiver = run(PROGRAMS / "receive.py")
    receiver.expect(WAITING)
    sender = run(TUTORIALS / "send.py")
    sender.expect(" [x] Sent 'Hello World!'")
    sender.expect_end()
    receiver.expect(" [x] Received 'Hello World!'")
    receiver.interrupt()


def test_the_task_of_a_killed_worker_goes_to_another(run: Run) -> None:
    killed = run(PROGRAMS / "worker.py")
    killed.expect(WAITING)
    sender = run(TUTORIALS / "new_task.py", "Work..")
    sender.expect(" [x] Sent 'Work..'")
    sender.expect_end()
    killed.expect(" [x] Received 'Work..'")
    killed.kill()
    killed.expect_silence_until_end()
    other = run(PROGRAMS / "worker.py")
    other.expect(WAITING, " [x] Received 'Work..'", " [x] Done")
    other.interrupt()


def test_rpc(run: Run) -> None:
    server = run(PROGRAMS / "rpc_server.py")
    server.expect(" [x] Awaiting RPC requests")
    client = run(PROGRAMS / "rpc_client.py")
    client.expect(" [x] Requesting fib(30)", " [.] Got 832040")
    client.expect_end()
    server.expect(" [.] fib(30)")
    server.interrupt()
