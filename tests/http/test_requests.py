"""What every request has in common: who may ask, the verbs, the headers, lists, and the errors."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.http.client import Api, part
from tests.support.broker_process import BrokerProcess

NOT_FOUND = (404, "Object Not Found", "Not Found")
PAGE_INVALID = (400, "bad_request", "Pagination parameters are invalid")


@pytest.fixture(scope="module")
def numbered(api: Api) -> Iterator[str]:
    """A virtual host with 25 queues, named in another order than they are declared."""
    api.put("/api/vhosts/numbered")
    for number in range(25):
        name = f"{'Even' if number % 2 == 0 else 'odd'}-{number * 7 % 25:02}"
        assert api.put(f"/api/queues/numbered/{name}", {"auto_delete": number < 5}).status == 201
    yield "/api/queues/numbered"
    api.delete("/api/vhosts/numbered")


# who asks


def test_nobody_is_asked_to_say_who_they_are(leveret: BrokerProcess) -> None:
    reply = Api(leveret.http_port, None).call("GET", "/api/whoami")
    assert (reply.status, reply.body) == (401, b"")
    assert reply.headers["www-authenticate"] == 'Basic realm="RabbitMQ Management"'


@pytest.mark.parametrize(("user", "password"), [("guest", "wrong"), ("stranger", "guest"), ("guest", "")])
def test_a_wrong_password_is_told_apart_from_nothing(leveret: BrokerProcess, user: str, password: str) -> None:
    reply = Api(leveret.http_port, user, password).call("GET", "/api/whoami")
    assert reply.error == (401, "not_authorized", "Not_Authorized")
    assert reply.headers["www-authenticate"] == 'Basic realm="RabbitMQ Management"'


@pytest.mark.parametrize("header", ["Basic !!!", "Bearer abc", "Basic Z3Vlc3Q=", "nonsense"])
def test_credentials_that_make_no_sense_are_a_bad_request(leveret: BrokerProcess, header: str) -> None:
    reply = Api(leveret.http_port, None).call("GET", "/api/whoami", headers={"authorization": header})
    assert (reply.status, reply.body) == (400, b"")


def test_a_user_without_a_tag_of_the_api_may_not_use_it(api: Api, leveret: BrokerProcess) -> None:
    api.put("/api/users/plain", {"password": "p", "tags": "impersonator"})
    reply = Api(leveret.http_port, "plain", "p").call("GET", "/api/whoami")
    assert reply.error == (401, "not_authorised", "Not management user")
    assert "www-authenticate" not in reply.headers
    api.delete("/api/users/plain")


def test_a_colon_may_be_in_a_password_and_any_letter_in_a_name(api: Api, leveret: BrokerProcess) -> None:
    assert api.put(f"/api/users/{part('jörg/x')}", {"password": "a:b:c", "tags": "management"}).status == 201
    assert Api(leveret.http_port, "jörg/x", "a:b:c").get("/api/whoami") == {"name": "jörg/x", "tags": ["management"]}
    api.delete(f"/api/users/{part('jörg/x')}")


# verbs and headers


def test_what_a_verb_is_answered_with(api: Api) -> None:
    assert {api.call(method, "/api/whoami").status for method in ("BREW", "TRACE", "CONNECT")} == {501}
    refused = api.call("POST", "/api/whoami")
    assert (refused.status, refused.headers["allow"], refused.body) == (405, "HEAD, GET, OPTIONS", b"")
    options = api.call("OPTIONS", "/api/queues/%2F/any")
    assert (options.status, options.headers["allow"]) == (200, "HEAD, GET, PUT, DELETE, OPTIONS")
    head, full = api.call("HEAD", "/api/whoami"), api.call("GET", "/api/whoami")
    assert head.status == 200 and head.body == b"" and head.headers["content-length"] == str(len(full.body))


def test_options_needs_no_password(leveret: BrokerProcess) -> None:
    assert Api(leveret.http_port, None).call("OPTIONS", "/api/overview").status == 200


def test_the_headers_of_an_answer(api: Api) -> None:
    headers = api.call("GET", "/api/whoami").headers
    assert headers["content-type"] == "application/json" and headers["cache-control"] == "no-cache"
    assert headers["vary"] == "accept, accept-encoding, origin" and "date" in headers
    assert "content-security-policy" in headers


@pytest.mark.parametrize(
    ("accept", "status"),
    [("application/json", 200), ("text/html, */*;q=0.5", 200), ("application/*", 200), ("text/html", 406), ("", 200)],
)
def test_who_does_not_take_json_gets_nothing(api: Api, accept: str, status: int) -> None:
    assert api.call("GET", "/api/whoami", headers={"accept": accept}).status == status


@pytest.mark.parametrize("path", ["/api/nothing", "/nothing", "/api/vhosts//", "/api/vhosts/none"])
def test_what_is_not_there(api: Api, path: str) -> None:
    assert api.call("GET", path).error == NOT_FOUND


def test_a_slash_at_the_end_makes_no_difference(api: Api) -> None:
    assert api.get("/api/vhosts/?columns=name") == api.get("/api/vhosts?columns=name")


@pytest.mark.parametrize("path", ["/", "/api", "/api/"])
def test_somebody_with_a_browser_lands_somewhere(leveret: BrokerProcess, path: str) -> None:
    assert Api(leveret.http_port, None).call("GET", path).status == 200


def test_a_path_may_begin_with_a_host(api: Api) -> None:
    assert api.get(f"http://localhost:{api.port}/api/whoami") == api.get("/api/whoami")
    assert api.call("GET", "HTTP://localhost").status == 200


# bodies


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("{bad", "not_json"),
        ("[]", "not_json"),
        ("5", "not_json"),
        ("NaN", "not_json"),
        ("[" * 100_000, "not_json"),
        (b"\xff\xfe{", "not_json"),
        (
            '"{}"',
            "invalid payload: the request body JSON-decoded to a string. Is the input doubly-JSON-encoded?",
        ),
    ],
)
def test_a_body_that_is_no_object(api: Api, body: str | bytes, reason: str) -> None:
    reply = api.put("/api/vhosts/never", body)
    assert reply.error == (400, "bad_request", reason)
    assert api.call("GET", "/api/vhosts/never").status == 404


@pytest.mark.parametrize("body", [None, "", "null", "undefined", "{}"])
def test_a_body_may_be_missing(api: Api, body: str | None) -> None:
    assert api.put("/api/vhosts/bodiless", body).status == 201
    assert api.delete("/api/vhosts/bodiless").status == 204


def test_a_body_that_is_too_large_is_refused(api: Api, leveret: BrokerProcess) -> None:
    own = Api(leveret.http_port)
    reply = own.put("/api/vhosts/never", json.dumps({"description": "x" * 20_000_001}))
    assert reply.error == (400, "bad_request", "Exceeded HTTP request body size limit")
    assert api.get("/api/whoami")["name"] == "guest"


def test_missing_keys_are_named_as_erlang_prints_them(api: Api) -> None:
    path = "/api/exchanges/%2F/amq.default/publish"
    one, many = api.post(path, {"routing_key": "", "payload": "", "properties": {}}), api.post(path, {})
    assert one.error == (400, "bad_request", "[{key_missing,payload_encoding}]")
    keys = ("routing_key", "properties", "payload", "payload_encoding")
    assert many.error == (400, "bad_request", "[" + ",\n ".join(f"{{key_missing,{key}}}" for key in keys) + "]")


# lists


def test_a_list_without_a_page_is_plain_and_sorted_by_name(api: Api, numbered: str) -> None:
    names = [queue["name"] for queue in api.get(numbered)]
    assert len(names) == 25 and names == sorted(names)


def test_pages(api: Api, numbered: str) -> None:
    everything = [queue["name"] for queue in api.get(numbered, columns="name")]
    first = api.get(numbered, page=1, page_size=10, columns="name")
    assert {name: value for name, value in first.items() if name != "items"} == {
        "filtered_count": 25,
        "item_count": 10,
        "page": 1,
        "page_count": 3,
        "page_size": 10,
        "total_count": 25,
    }
    pages = [api.get(numbered, page=number, page_size=10)["items"] for number in (1, 2, 3)]
    assert [queue["name"] for page in pages for queue in page] == everything
    assert api.get(numbered, page=1)["page_size"] == 100
    assert api.get(numbered, page=2, page_size=25)["items"] == []  # just behind the last: RabbitMQ's rule


def test_names_are_searched_without_regard_to_case(api: Api, numbered: str) -> None:
    found = api.get(numbered, page=1, name="EVEN-1", columns="name", pagination="true")
    assert (found["filtered_count"], found["total_count"]) == (len(found["items"]), 25)
    assert {queue["name"][:6] for queue in found["items"]} == {"Even-1"}
    pattern = api.get(numbered, page=1, name="^even-0[0-4]$", use_regex="true", columns="name")
    assert pattern["items"] and all(queue["name"] < "Even-05" for queue in pattern["items"])
    assert api.get(numbered, page=1, name="^even", columns="name")["items"] == []
    assert len(api.get(numbered, name="even")) == 25  # a name counts for pages only


def test_sorting(api: Api, numbered: str) -> None:
    names = [queue["name"] for queue in api.get(numbered)]
    assert [queue["name"] for queue in api.get(numbered, sort_reverse="true")] == names[::-1]
    rows = api.get(numbered, sort="auto_delete")
    assert [(row["auto_delete"], row["name"]) for row in rows] == sorted(
        (row["auto_delete"], row["name"]) for row in rows
    )
    assert [queue["name"] for queue in api.get(numbered, sort="nothing.at.all")] == names
    assert sorted(queue["name"] for queue in api.get(numbered, sort="")) == names
    page = api.get(numbered, sort="name", sort_reverse="true", page=2, page_size=5)
    assert [queue["name"] for queue in page["items"]] == names[::-1][5:10]


def test_sorting_by_what_is_inside_of_a_column(api: Api, numbered: str) -> None:
    for name, priority in (("arguments-1", 9), ("arguments-2", 3), ("arguments-3", "x")):
        body = {"arguments": {"x-own": priority}}
        assert api.put(f"/api/queues/numbered/{name}", body).status == 201
    found = api.get(numbered, sort="arguments.x-own", page=1, name="arguments", columns="name")
    assert [queue["name"] for queue in found["items"]] == ["arguments-2", "arguments-1", "arguments-3"]
    for name in ("arguments-1", "arguments-2", "arguments-3"):
        api.delete(f"/api/queues/numbered/{name}")


def test_columns(api: Api, numbered: str) -> None:
    assert set(api.get(numbered, columns="name,messages")[0]) == {"name", "messages"}
    assert api.get(numbered, columns="nothing")[0] == []  # as RabbitMQ prints an object without keys
    assert api.get("/api/overview", columns="object_totals.queues,node.x,listeners.port")["object_totals"].keys() == {
        "queues"
    }
    assert api.get("/api/overview", columns="listeners.port")["listeners"][0].keys() == {"port"}
    assert api.get("/api/whoami", columns="name") == {"name": "guest"}


def test_names_that_are_not_utf_8_can_be_read_by_everybody(api: Api) -> None:
    queue = "/api/queues/%2F/octets-%C3%A9-%E2%82-%FF"
    api.put(queue, {})
    shown = "octets-é-\ufffd-\ufffd"  # as RabbitMQ shows them
    for path in (queue, "/api/queues", "/api/definitions"):
        body = api.call("GET", path).body
        assert b"\\ud" not in body
        assert f'"{shown}"'.encode() in body
    api.delete(queue)


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ({"page": 0}, (400, "invalid_pagination_parameters", 0, "undefined")),
        ({"page": -1, "page_size": 5}, (400, "invalid_pagination_parameters", -1, 5)),
        ({"page": 1, "page_size": 501}, (400, "invalid_pagination_parameters", 1, 501)),
        ({"page": 1, "page_size": 0}, (400, "invalid_pagination_parameters", 1, 0)),
    ],
)
def test_pages_that_can_not_be(
    api: Api, numbered: str, query: dict[str, Any], error: tuple[int, str, object, object]
) -> None:
    status, name, number, size = error
    reason = f"Invalid pagination parameters: page number {number}, page size {size}"
    assert api.call("GET", numbered, **query).error == (status, name, reason)


def test_pages_that_are_not_there_or_make_no_sense(api: Api, numbered: str) -> None:
    queries: list[dict[str, Any]] = [{"page": "a"}, {"page": 1, "page_size": "b"}]
    for query in [*queries, {"page": 1, "name": "(", "use_regex": "true"}]:
        assert api.call("GET", numbered, **query).error == PAGE_INVALID
    reason = "Page out of range, page: 4 page size: 10, len: 25"
    assert api.call("GET", numbered, page=4, page_size=10).error == (400, "page_out_of_range", reason)


def test_a_name_that_takes_forever_to_match_stops_nobody(api: Api) -> None:
    api.put("/api/vhosts/slow")
    api.put(f"/api/queues/slow/{'a' * 200}!")
    assert api.get("/api/queues/slow", page=1, name="^(a+)+$", use_regex="true")["items"] == []
    api.delete("/api/vhosts/slow")


# the server


def test_a_client_that_goes_away_in_the_middle_harms_nobody(leveret: BrokerProcess, api: Api) -> None:
    for _ in range(3):
        connection = http.client.HTTPConnection("127.0.0.1", leveret.http_port)
        connection.putrequest("PUT", "/api/vhosts/half")
        for name, value in api.headers.items():
            connection.putheader(name, value)
        connection.putheader("content-length", "1000")
        connection.endheaders(b'{"descr')
        connection.close()
    assert api.call("GET", "/api/vhosts/half").status == 404


def test_the_port_is_told_when_the_broker_is_ready_and_free_when_it_ends(leveret: BrokerProcess) -> None:
    assert leveret.http_port > 0
    assert f"listening on http://127.0.0.1:{leveret.http_port}" in leveret.log_path.read_text()


def test_there_need_not_be_an_api(tmp_path: Path) -> None:
    with BrokerProcess(tmp_path, "--management-port", "none") as broker:
        assert broker.http_port == 0 and "listening on http://" not in broker.log_path.read_text()


@pytest.mark.parametrize("path", ["overview", "queues", "exchanges", "connections", "channels", "vhosts", "nodes"])
def test_more_samples_than_there_may_be(api: Api, path: str) -> None:
    reply = api.call("GET", f"/api/{path}", msg_rates_age=60000, msg_rates_incr=3)
    assert reply.error == (400, "bad_request", "Invalid range parameters: age 60000, incr 3")
    assert api.call("GET", f"/api/{path}", msg_rates_age=60, msg_rates_incr="x").status == 200
