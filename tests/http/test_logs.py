"""The last lines of the log through HTTP: as a file, and as a stream of events, as LavinMQ has them."""

from __future__ import annotations

import http.client
import json
import logging
import sys
from collections.abc import Iterator

import pika
import pytest

from leveret.server.log_output import TextFormatter, level_of
from leveret.server.recent_log import MOST_LINES, MOST_OCTETS, RecentLog
from tests.http.client import Api
from tests.support.broker_process import BrokerProcess

Event = tuple[int, list[str]]


class Stream:
    """A client of `/api/livelog`."""

    def __init__(self, api: Api, **headers: str) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", api.port, timeout=20)
        self._connection.request("GET", "/api/livelog", headers={**api.headers, **headers})
        self.response = self._connection.getresponse()
        assert self.response.status == 200

    def events(self) -> Iterator[Event]:
        number = 0
        while line := self.response.readline():
            name, _, value = line.decode().rstrip("\n").partition(": ")
            if name == "id":
                number = int(value)
            elif name == "data":
                yield number, json.loads(value)

    def until(self, text: str) -> list[Event]:
        """The events up to the first with this text."""
        found = []
        for event in self.events():
            found.append(event)
            if text in event[1][2]:
                return found
        raise AssertionError(found)

    def close(self) -> None:
        self.response.close()
        self._connection.close()


def connect(leveret: BrokerProcess, name: str) -> None:
    parameters = pika.ConnectionParameters("127.0.0.1", leveret.port, client_properties={"connection_name": name})
    pika.BlockingConnection(parameters).close()


def test_the_last_lines_as_a_file(api: Api, leveret: BrokerProcess) -> None:
    connect(leveret, "of-the-file")
    reply = api.call("GET", "/api/logs", headers={"accept": "text/plain"})
    assert reply.status == 200
    assert reply.headers["content-type"] == "text/plain; charset=utf-8"
    assert reply.headers["content-disposition"] == "attachment; filename=logs.txt"
    lines = reply.body.decode().splitlines()
    assert lines == leveret.log_path.read_text().splitlines()[-len(lines) :]
    assert any("of-the-file" in line and "[info]" in line for line in lines)


@pytest.mark.parametrize("accept", ["text/event-stream", "*/*"])
def test_lines_as_they_come(api: Api, leveret: BrokerProcess, accept: str) -> None:
    stream = Stream(api, accept=accept)
    assert stream.response.headers["content-type"] == "text/event-stream"
    connect(leveret, f"first-{accept}")
    numbers, lines = zip(*stream.until(f"first-{accept}, vhost"), strict=True)
    assert list(numbers) == sorted(set(numbers))
    assert lines[-1][:2] == ["info", "leveret.connection"]
    connect(leveret, f"second-{accept}")
    stream.until(f"second-{accept}")
    stream.close()
    later = Stream(api, **{"last-event-id": str(numbers[-1])})
    [*_, last] = later.until(f"second-{accept}")
    assert last[0] > numbers[-1]
    later.close()


def test_what_is_refused(api: Api) -> None:
    api.put("/api/users/monitor", {"password": "p", "tags": "monitoring"})
    for path in ("/api/logs", "/api/livelog"):
        reply = Api(api.port, "monitor", "p").call("GET", path)
        assert reply.error == (401, "not_authorised", "Not administrator user")
    api.delete("/api/users/monitor")
    assert api.call("GET", "/api/livelog", headers={"accept": "application/json"}).status == 406
    assert api.call("GET", "/api/logs", headers={"accept": "text/event-stream"}).status == 406
    assert api.call("POST", "/api/livelog").status == 405
    head = api.call("HEAD", "/api/livelog")
    assert (head.status, head.body) == (200, b"")


def test_who_follows_is_let_go_with_their_tag_and_with_the_broker(tmp_path_factory: pytest.TempPathFactory) -> None:
    with BrokerProcess(tmp_path_factory.mktemp("ending")) as broker:
        api = Api(broker.http_port)
        api.put("/api/users/follower", {"password": "p", "tags": "administrator"})
        followed = Stream(Api(broker.http_port, "follower", "p"))
        stream = Stream(api)
        api.put("/api/users/follower", {"password": "p", "tags": "management"})
        connect(broker, "after")
        assert not any("after" in line[2] for _, line in followed.events())
        stream.until("after")
        assert broker.stop() == 0
        assert any("stopping" in line[2] for _, line in stream.events())
        assert "cancel" not in broker.log_path.read_text().lower()


def test_what_is_kept_is_bounded() -> None:
    recent = RecentLog(level_of)
    recent.setFormatter(TextFormatter())
    log = logging.Logger("leveret.test")
    log.addHandler(recent)
    for number in range(MOST_LINES + 10):
        log.info("%d", number)
    assert [line.message for line in recent.lines()] == [str(number) for number in range(10, MOST_LINES + 10)]
    for _ in range(1000):
        log.info("x" * 100_000)
    lines = recent.lines()
    assert 10 < len(lines) < MOST_OCTETS / 2000
    assert sum(sys.getsizeof(part) for line in lines for part in line) < 1.2 * MOST_OCTETS
    numbers = [line.number for line in lines]
    assert numbers == sorted(set(numbers))
    assert recent.lines(numbers[-2]) == lines[-1:]


def test_a_line_that_cannot_be_made_is_no_error_of_who_logs(capsys: pytest.CaptureFixture[str]) -> None:
    recent = RecentLog(level_of)
    log = logging.Logger("leveret.test")
    log.addHandler(recent)
    log.info("%d", "no number")
    assert recent.lines() == []
    assert "TypeError" in capsys.readouterr().err
