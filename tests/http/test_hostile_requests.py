"""Requests that are meant to do harm: they are refused, and nobody else notices."""

from __future__ import annotations

import asyncio
import http.client
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from leveret.management import uvicorn_server
from tests.http.client import Api, part
from tests.support.broker_process import BrokerProcess
from tests.support.raw_client import CONNECTION_CLOSE, RawClient

EVERYTHING = {"configure": ".*", "write": ".*", "read": ".*"}
NOT_JSON = (400, "bad_request", "not_json")


class HeldBack:
    """A request whose body is not complete before `finish`."""

    def __init__(self, api: Api, method: str, path: str, body: bytes) -> None:
        self._rest = body[1:]
        self._connection = http.client.HTTPConnection("127.0.0.1", api.port, timeout=20)
        self._connection.putrequest(method, path)
        self._connection.putheader("authorization", api.headers["authorization"])
        self._connection.putheader("content-length", str(len(body)))
        self._connection.putheader("expect", "100-continue")
        self._connection.endheaders()
        # h11 says so when the body is asked for, which is after the first look at who may do what
        assert self._connection.sock.recv(100).startswith(b"HTTP/1.1 100")
        self._connection.send(body[:1])

    def finish(self) -> int:
        """Send the rest; gives the status of the answer."""
        self._connection.send(self._rest)
        status = self._connection.getresponse().status
        self._connection.close()
        return status


def test_a_virtual_host_that_goes_while_a_body_comes_gets_nothing(tmp_path: Path) -> None:
    with BrokerProcess(tmp_path) as broker:
        api = Api(broker.http_port)
        api.put("/api/vhosts/going")
        held = [
            HeldBack(api, "PUT", "/api/policies/going/p", b'{"pattern":"","definition":{"max-length":1}}'),
            HeldBack(api, "PUT", "/api/operator-policies/going/p", b'{"pattern":"","definition":{"max-length":1}}'),
            HeldBack(api, "PUT", "/api/vhost-limits/going/max-queues", b'{"value":5}'),
            HeldBack(api, "PUT", "/api/queues/going/q", b'{"durable":true}'),
        ]
        assert api.delete("/api/vhosts/going").status == 204
        assert [request.finish() for request in held[:2]] == [404, 404]
        assert api.put("/api/vhosts/going").status == 201
        assert [request.finish() for request in held[2:]] == [404, 404]
        broker.stop(signal.SIGKILL)
        broker.start()
        api = Api(broker.http_port)
        assert api.get("/api/queues/going") == []


def test_a_user_who_goes_while_a_body_comes_may_do_nothing(api: Api, leveret: BrokerProcess) -> None:
    for name in ("deleted", "demoted"):
        api.put(f"/api/users/{name}", {"password": "p", "tags": "administrator"})
    body = b'{"password":"p","tags":"administrator"}'
    users = [Api(leveret.http_port, name, "p") for name in ("deleted", "demoted")]
    held = [HeldBack(user, "PUT", "/api/users/planted", body) for user in users]
    api.delete("/api/users/deleted")
    api.put("/api/users/demoted", {"password": "p", "tags": "management"})
    assert [request.finish() for request in held] == [401, 401]
    assert api.call("GET", "/api/users/planted").status == 404
    api.delete("/api/users/demoted")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/global-parameters/hostile", '{"value":1e400}'),
        ("/api/global-parameters/hostile", '{"value":-1e400}'),
        ("/api/global-parameters/hostile", '{"value":%s}' % ("[" * 500 + "]" * 500)),
        ("/api/parameters/shovel/%2f/hostile", '{"value":%s}' % ('{"a":' * 300 + "1" + "}" * 300)),
        ("/api/queues/%2f/hostile", '{"arguments":{"x":%s}}' % ("[" * 700 + "]" * 700)),
        ("/api/policies/%2f/hostile", '{"pattern":"","definition":{"max-length":%s}}' % ("[" * 700 + "]" * 700)),
        ("/api/vhosts/hostile", '{"description":"\\ud800"}'),
        ("/api/vhosts/hostile", b'{"description":"\xed\xa0\x80"}'),
        ("/api/vhosts/hostile", '{"\\ud800":""}'),
        ("/api/permissions/%2f/guest", '{"configure":"\\ud800","write":".*","read":".*"}'),
        ("/api/topic-permissions/%2f/guest", '{"exchange":"\\ud800","write":".*","read":".*"}'),
    ],
)
def test_what_can_not_be_kept_or_shown_again_is_refused(api: Api, path: str, body: str | bytes) -> None:
    assert api.put(path, body).error == NOT_JSON
    assert api.get("/api/permissions/%2f/guest")["configure"] == ".*"
    api.get("/api/global-parameters")


@pytest.mark.parametrize("value", ["1e400", "[" * 500 + "]" * 500])
def test_definitions_with_what_can_not_be_shown_again_are_refused(api: Api, value: str) -> None:
    body = f'{{"global_parameters":[{{"name":"hostile","value":{value}}}]}}'
    assert api.post("/api/definitions", body).error == (400, "bad_request", "failed_to_parse_json")
    assert "hostile" not in [row["name"] for row in api.get("/api/global-parameters")]


def test_other_bodies_that_make_no_sense(api: Api) -> None:
    reply = api.put("/api/vhosts/hostile", {"description": {"a": 1}})
    assert reply.error == (400, "bad_request", ["not_string", "description"])
    assert api.call("GET", "/api/vhosts/hostile").status == 404
    body = {"pattern": "", "definition": {"max-length": 1}, "priority": "1" * 5000}
    assert api.put("/api/policies/%2f/hostile", body).status == 400


def test_a_column_a_thousand_levels_down(api: Api) -> None:
    assert api.get("/api/vhosts", columns=".".join(["a"] * 5000)) == [[]]


def test_a_reason_may_be_longer_than_amqp_has_room_for(api: Api, leveret: BrokerProcess) -> None:
    client = RawClient(leveret.port)
    client.log_in()
    (name,) = [row["name"] for row in api.get("/api/connections") if row["name"].startswith("127.0.0.1:")]
    assert api.call("DELETE", f"/api/connections/{part(name)}", headers={"x-reason": "r" * 2000}).status == 204
    close = client.expect(CONNECTION_CLOSE)
    assert close.arguments.unpack("H") == (320,)
    client.close()


@pytest.mark.parametrize("values", [100_001, 1_000_000])
def test_a_body_that_is_full_of_values_is_refused(api: Api, values: int) -> None:
    body = b'{"arguments":[' + b",".join([b"[]"] * (values - 3)) + b"]}"
    assert api.put("/api/queues/%2f/full", body).error == (400, "bad_request", "not_json")


def test_a_body_may_be_large(api: Api) -> None:
    body = {"routing_key": "large", "properties": {}, "payload": "[]," * 1_000_000, "payload_encoding": "string"}
    assert api.post("/api/exchanges/%2f/amq.default/publish", body).json == {"routed": False}


def test_a_search_that_takes_forever_for_many_names_stops_nobody(api: Api, leveret: BrokerProcess) -> None:
    api.put("/api/vhosts/searched")
    queues = [{"name": f"{'a' * 200}{number}!", "durable": False} for number in range(300)]
    assert api.post("/api/definitions/searched", {"queues": queues}).status == 204
    query: dict[str, Any] = {"page": 1, "name": "^(a|a)*$", "use_regex": "true"}
    begun = time.monotonic()
    reply = api.call("GET", "/api/queues/searched", **query)
    assert reply.error == (400, "bad_request", "Pagination parameters are invalid")
    assert time.monotonic() - begun < 2, "it is not tried for every name"
    leveret_log = leveret.log_path.read_text()
    assert "the regular expression '(?i)^(a|a)*$' takes too long, and then matches nothing" in leveret_log
    api.delete("/api/vhosts/searched")


def test_many_messages_that_are_got_are_all_there(api: Api) -> None:
    api.put("/api/queues/%2f/many")
    for number in range(450):
        message = {"routing_key": "many", "properties": {}, "payload": str(number), "payload_encoding": "string"}
        assert api.post("/api/exchanges/%2f/amq.default/publish", message).json == {"routed": True}
    wish = {"count": -1, "ackmode": "ack_requeue_true", "encoding": "auto"}
    got = api.call("POST", "/api/queues/%2f/many/get", wish, columns="payload").json
    assert got == [{"payload": str(number)} for number in range(450)]
    api.delete("/api/queues/%2f/many")


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nho"])
def test_who_says_nothing_is_hung_up_on(monkeypatch: pytest.MonkeyPatch, sent: bytes) -> None:
    monkeypatch.setattr(uvicorn_server, "REQUEST_TIMEOUT", 0.05)
    assert asyncio.run(conversation(sent)) == b""


def test_who_says_nothing_more_is_hung_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uvicorn_server, "KEEP_ALIVE", 0.05)
    answered = asyncio.run(conversation(b"GET / HTTP/1.1\r\nhost: x\r\n\r\nGET / HTTP/1.1\r\nho"))
    assert answered.count(b"HTTP/1.1 204") == 1


def test_who_does_not_take_an_answer_keeps_no_broker_from_stopping(caplog: pytest.LogCaptureFixture) -> None:
    asyncio.run(conversation(b"GET /large HTTP/1.1\r\nhost: x\r\n\r\n", stops=True))
    assert caplog.messages == []


def test_who_does_not_send_a_body_is_hung_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uvicorn_server, "BODY_TIMEOUT", 0.05)
    sent = b"POST /slow HTTP/1.1\r\nhost: x\r\ncontent-length: 100000\r\n\r\n{"
    assert asyncio.run(conversation(sent)) == b""


def test_who_takes_long_to_be_answered_is_not_hung_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uvicorn_server, "REQUEST_TIMEOUT", 0.05)
    answered = asyncio.run(conversation(b"GET /slow HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"))
    assert answered.count(b"HTTP/1.1 204") == 1


def test_who_does_not_take_an_answer_is_hung_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uvicorn_server, "STALL_TIMEOUT", 0.05)
    assert asyncio.run(conversation(b"GET /large HTTP/1.1\r\nhost: x\r\n\r\n", takes=False)) == b""


@pytest.mark.parametrize(("others", "answer"), [(1, b"HTTP/1.1 204"), (2, b"HTTP/1.1 503"), (4, b"")])
def test_more_connections_than_there_may_be(monkeypatch: pytest.MonkeyPatch, others: int, answer: bytes) -> None:
    monkeypatch.setattr(uvicorn_server, "MOST_CONNECTIONS", 3)
    monkeypatch.setattr(uvicorn_server, "MOST_SOCKETS", 4)
    answered = asyncio.run(conversation(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n", others))
    assert answered[: len(b"HTTP/1.1 204")] == answer


async def conversation(sent: bytes, others: int = 0, takes: bool = True, stops: bool = False) -> bytes:
    """What a server answers to this, before it hangs up; that many others are connected and say nothing.

    A client that takes nothing waits until the server is rid of the answer, which is told to stop if it `stops`.
    """
    began, hung_up = asyncio.Event(), asyncio.Event()

    async def application(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/slow":
            await asyncio.sleep(0.15)
        if scope["path"] == "/large":
            began.set()
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": bytes(50_000_000), "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": True})
            while (await receive())["type"] != "http.disconnect":
                pass
            hung_up.set()
            return
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    listener = await asyncio.get_running_loop().create_server(asyncio.Protocol, "127.0.0.1", 0)
    sock = listener.sockets[0].dup()  # type: ignore[attr-defined]
    listener.close()
    served = uvicorn_server.server(application, None)
    task = asyncio.create_task(served.serve([sock]))
    silent = [await asyncio.open_connection(*sock.getsockname()) for _ in range(others)]
    reader, writer = await asyncio.open_connection(*sock.getsockname())
    try:
        writer.write(sent)
        async with asyncio.timeout(10):
            if stops:
                await began.wait()
                served.should_exit = True
            if stops or not takes:
                await hung_up.wait()
                return b""
            return await reader.read()
    except ConnectionResetError:
        return b""
    finally:
        for _, each in [*silent, (reader, writer)]:
            each.close()
        served.should_exit = True
        await task
