"""What the settings of the HTTP API change: its prefix, rates and statistics, and how much a body may have."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.http.client import Api
from tests.support.broker_process import BrokerProcess

LINES = """
management.path_prefix = /mq/
management.rates_mode = none
management.http.max_body_size = 2000
"""

LINES_WITHOUT_STATISTICS = """
management_agent.disable_metrics_collector = true
management.enable_queue_totals = true
"""


@pytest.fixture(scope="module")
def leveret(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerProcess]:
    folder = tmp_path_factory.mktemp("options")
    (folder / "rabbitmq.conf").write_text(LINES)
    with BrokerProcess(folder, "--config", str(folder)) as process:
        yield process


def test_all_paths_begin_with_the_prefix(api: Api) -> None:
    assert api.get("/mq/api/whoami")["name"] == "guest"
    assert api.get("/mq/api/queues/%2F") == []
    assert api.call("GET", "/mq").body.endswith(b" /mq/api\n")
    assert b'"/mq/cli/rabbitmqadmin"' in api.call("GET", "/mq/cli").body
    assert api.call("GET", "/mq/cli/rabbitmqadmin").status == 200
    assert api.call("GET", "/mq/").status == 200
    assert {context["path"] for context in api.get("/mq/api/overview")["contexts"]} == {"/mq", "/"}


@pytest.mark.parametrize("path", ["/api/whoami", "/", "/mqx/api/whoami", "/x/mq/api/whoami", "/mqapi/whoami"])
def test_others_name_nothing(api: Api, path: str) -> None:
    assert api.call("GET", path).status == 404


def test_without_rates_counters_are_told(api: Api) -> None:
    assert api.call("PUT", "/mq/api/queues/%2F/counted").status == 201
    body = {"properties": {}, "routing_key": "counted", "payload": "x", "payload_encoding": "string"}
    assert api.call("POST", "/mq/api/exchanges/%2F/amq.default/publish", body).json == {"routed": True}
    overview = api.get("/mq/api/overview")
    assert overview["rates_mode"] == "none"
    assert overview["message_stats"]["publish"] == 1
    queue = api.get("/mq/api/queues/%2F/counted")
    assert (queue["messages"], queue["messages_details"]) == (1, {"rate": 0.0})


def test_the_largest_body(api: Api) -> None:
    definition = {"value": "x" * 1900}
    assert api.call("PUT", "/mq/api/global-parameters/short", definition).status == 201
    error = api.call("PUT", "/mq/api/global-parameters/long", {"value": "x" * 2000}).error
    assert error == (400, "bad_request", "Exceeded HTTP request body size limit")


def test_without_statistics_lists_have_none(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("statistics")
    (folder / "rabbitmq.conf").write_text(LINES_WITHOUT_STATISTICS)
    with BrokerProcess(folder, "--config", str(folder)) as process:
        api = Api(process.http_port)
        assert api.call("PUT", "/api/queues/%2F/quiet").status == 201
        assert api.get("/api/overview")["disable_stats"] is True
        (queue,) = api.get("/api/queues")
        assert queue["name"] == "quiet"
        assert not {"message_stats", "messages_details"} & set(queue)
        assert queue["messages"] == 0
        api.close()
