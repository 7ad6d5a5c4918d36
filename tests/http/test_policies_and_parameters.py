"""/policies, /operator-policies, /parameters, /global-parameters, /vhost-limits and /user-limits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.http.client import Api

ROOT = "%2F"
LENGTH = {"pattern": "^limited", "definition": {"max-length": 3}}
NOT_FOUND = (404, "Object Not Found", "Not Found")
NO_VHOST = (404, "not_found", "vhost_not_found")
NO_ACCESS = (401, "not_authorised", "User not authorised to access object")
NO_ADMINISTRATOR = (401, "not_authorised", "Not administrator user")


@pytest.fixture(scope="module")
def others(api: Api) -> Iterator[dict[str, Api]]:
    """A user for each tag, with permissions for /; `outside` has none."""
    users: dict[str, Api] = {}
    for tag in ("management", "monitoring", "policymaker", "outside"):
        api.put(f"/api/users/{tag}", {"password": "pw", "tags": "policymaker" if tag == "outside" else tag})
        if tag != "outside":
            api.put(f"/api/permissions/{ROOT}/{tag}", {"configure": "", "write": "", "read": ""})
        users[tag] = Api(api.port, tag, "pw")
    yield users
    for user in users.values():
        user.close()
        api.delete(f"/api/users/{user.user}")


@pytest.mark.parametrize("kind", ["policies", "operator-policies"])
def test_policies_are_set_applied_listed_and_cleared(api: Api, kind: str) -> None:
    path = f"/api/{kind}/{ROOT}/p"
    api.put(f"/api/queues/{ROOT}/limited")
    assert api.put(path, LENGTH).status == 201
    row = {"vhost": "/", "name": "p", **LENGTH, "apply-to": "all", "priority": 0}
    assert api.get(path) == row
    assert api.get(f"/api/{kind}") == api.get(f"/api/{kind}/{ROOT}") == [row]
    name = "policy" if kind == "policies" else "operator_policy"
    assert api.get(f"/api/queues/{ROOT}/limited")[name] == "p"
    assert api.put(path, {**LENGTH, "priority": 2, "apply-to": "queues"}).status == 204
    assert (api.get(path)["priority"], api.get(path)["apply-to"]) == (2, "queues")
    assert api.delete(path).status == 204
    assert api.get(f"/api/queues/{ROOT}/limited")[name] is None
    assert api.delete(path).error == NOT_FOUND
    assert api.call("GET", path).error == NOT_FOUND
    api.delete(f"/api/queues/{ROOT}/limited")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"pattern": "^x"}, "[{key_missing,definition}]"),
        ({}, "[{key_missing,pattern},{key_missing,definition}]"),
        ("xx", "not_json"),
        (
            {"pattern": "^(x", "definition": {"max-length": -3}},
            "Validation failed\n\n-3 is not a valid maximum length\n"
            'pattern should be regular expression but is invalid: {"missing )",3}\n',
        ),
        (
            {"pattern": "x", "definition": {"max-length": 3}, "priority": "a"},
            'Validation failed\n\npriority should be a number, actually was &lt;&lt;"a"&gt;&gt;\n',
        ),
        ({"pattern": "x", "definition": 5}, "definition is an object"),
        (
            {"pattern": "x", "definition": {"unheard-of": 1}},
            'Validation failed\n\n[{&lt;&lt;"unheard-of"&gt;&gt;,1}] are not recognised policy settings\n',
        ),
    ],
)
def test_policies_that_are_refused(api: Api, body: object, reason: str) -> None:
    assert api.put(f"/api/policies/{ROOT}/p", body).error == (400, "bad_request", reason)
    assert api.get("/api/policies") == []


def test_policies_of_a_virtual_host_that_is_not_there(api: Api) -> None:
    assert api.put("/api/policies/nowhere/p", LENGTH).error == NO_VHOST
    assert api.call("GET", "/api/policies/nowhere").error == NOT_FOUND
    assert api.call("GET", "/api/policies/nowhere/p").error == NOT_FOUND


def test_who_may_set_policies(api: Api, others: dict[str, Api]) -> None:
    path = f"/api/policies/{ROOT}/p"
    assert others["policymaker"].put(path, LENGTH).status == 201
    for tag in ("management", "monitoring", "outside"):
        assert others[tag].put(path, LENGTH).error == NO_ACCESS
        assert others[tag].call("GET", path).error == NO_ACCESS
    assert len(others["management"].get("/api/policies")) == 1
    assert others["outside"].get("/api/policies") == []
    assert others["outside"].call("GET", f"/api/policies/{ROOT}").status == 401
    assert others["policymaker"].delete(path).status == 204
    for user in others.values():
        assert user.put(f"/api/operator-policies/{ROOT}/p", LENGTH).error == NO_ADMINISTRATOR


# parameters


def test_parameters_are_set_listed_and_cleared(api: Api) -> None:
    path = f"/api/parameters/shovel/{ROOT}/s"
    assert api.put(path, {"value": {"src-uri": "amqp://"}}).status == 201
    row = {"value": {"src-uri": "amqp://"}, "vhost": "/", "component": "shovel", "name": "s"}
    assert api.get(path) == row
    for each in ("", "/shovel", f"/shovel/{ROOT}"):
        assert api.get(f"/api/parameters{each}") == [row]
    assert api.put(path, {"value": {"src-uri": "amqp://elsewhere"}}).status == 204
    assert api.get("/api/parameters/nothing") == []
    assert api.delete(path).status == 204
    assert api.delete(path).error == NOT_FOUND


def test_operator_policies_and_limits_are_parameters(api: Api) -> None:
    api.put(f"/api/operator-policies/{ROOT}/o", LENGTH)
    api.put(f"/api/policies/{ROOT}/p", LENGTH)
    value = {**LENGTH, "apply-to": "all", "priority": 0}
    row = {"value": value, "vhost": "/", "component": "operator_policy", "name": "o"}
    assert api.get("/api/parameters") == [row]
    assert api.get("/api/parameters/policy") == [{**row, "component": "policy", "name": "p"}]
    other = {**value, "definition": {"max-length": 9}}
    assert api.put(f"/api/parameters/operator_policy/{ROOT}/o", {"value": other}).status == 204
    assert api.get(f"/api/operator-policies/{ROOT}/o")["definition"] == {"max-length": 9}
    assert api.delete(f"/api/parameters/operator_policy/{ROOT}/o").status == 204
    assert api.get("/api/operator-policies") == []
    limits = f"/api/parameters/vhost-limits/{ROOT}/limits"
    assert api.put(limits, {"value": {"max-queues": 1000}}).status == 201
    assert api.get("/api/vhost-limits") == [{"vhost": "/", "value": {"max-queues": 1000}}]
    assert api.delete(limits).status == 204
    assert api.delete(limits).error == NOT_FOUND
    api.delete(f"/api/policies/{ROOT}/p")


@pytest.mark.parametrize(
    ("path", "body", "error"),
    [
        ("nothing/%2F/n", {"value": {}}, (400, "bad_request", "Validation failed\n\ncomponent nothing not found\n")),
        ("policy/%2F/n", {"value": {}}, (400, "bad_request", "policies may not be set using this method")),
        ("shovel/%2F/n", {"name": 5}, (400, "bad_request", "[{key_missing,value}]")),
        ("shovel/%2F/n", {"value": 5}, (400, "bad_request", "Validation failed\n\nn not a list 5\n")),
        ("shovel/nowhere/n", {"value": {}}, NO_VHOST),
        (
            "vhost-limits/%2F/limits",
            {"value": {"max": 1}},
            (400, "bad_request", 'Validation failed\n\nUnrecognised terms [{&lt;&lt;"max"&gt;&gt;,1}] in limits\n'),
        ),
    ],
)
def test_parameters_that_are_refused(api: Api, path: str, body: object, error: object) -> None:
    assert api.put(f"/api/parameters/{path}", body).error == error
    assert api.get("/api/parameters") == []


def test_global_parameters(api: Api) -> None:
    path = "/api/global-parameters/g"
    assert api.put(path, {"value": {"a": [1, 2.5, None, True]}}).status == 201
    assert api.get(path) == {"value": {"a": [1, 2.5, None, True]}, "name": "g"}
    assert api.put(path, {"value": 6}).status == 204
    assert {"value": 6, "name": "g"} in api.get("/api/global-parameters")
    assert api.put(path, {}).error == (400, "bad_request", "[{key_missing,value}]")
    assert api.delete(path).status == 204
    assert api.delete(path).error == NOT_FOUND


def test_parameters_are_for_policymakers(api: Api, others: dict[str, Api]) -> None:
    for path in ("/api/parameters", "/api/global-parameters", "/api/parameters/shovel"):
        assert others["policymaker"].call("GET", path).status == 200
        for tag in ("management", "monitoring"):
            assert others[tag].call("GET", path).error == NO_ACCESS
    assert others["policymaker"].put("/api/global-parameters/g", {"value": 6}).status == 201
    assert others["outside"].delete("/api/global-parameters/g").status == 204
    assert others["outside"].call("GET", f"/api/parameters/shovel/{ROOT}").error == NO_ACCESS


# limits


def test_limits_of_virtual_hosts(api: Api, others: dict[str, Any]) -> None:
    path = f"/api/vhost-limits/{ROOT}"
    assert api.put(f"{path}/max-queues", {"value": 1000}).status == 204
    assert api.put(f"{path}/max-connections", {"value": 99}).status == 204
    rows = [{"vhost": "/", "value": {"max-queues": 1000, "max-connections": 99}}]
    assert api.get("/api/vhost-limits") == api.get(path) == rows
    assert others["management"].get("/api/vhost-limits") == rows
    assert others["outside"].get("/api/vhost-limits") == []
    assert others["outside"].call("GET", path).status == 401
    assert others["monitoring"].put(f"{path}/max-queues", {"value": 5}).error == NO_ADMINISTRATOR
    assert api.put(f"{path}/max-queues", {"value": "x"}).error == (
        400,
        "bad_request",
        'Validation failed\n\nmax-queues should be a number, actually was <<"x">>\n',
    )
    assert api.put(f"{path}/max-cats", {"value": 4}).status == 400
    assert api.put(f"{path}/max-queues", {}).error == (400, "bad_request", "[{key_missing,value}]")
    assert api.put("/api/vhost-limits/nowhere/max-queues", {"value": 4}).error == NO_VHOST
    assert api.call("GET", "/api/vhost-limits/nowhere").error == NOT_FOUND
    assert api.call("GET", f"{path}/max-queues").status == 405
    assert api.delete(f"{path}/max-queues").status == api.delete(f"{path}/max-queues").status == 204
    assert api.get(path) == [{"vhost": "/", "value": {"max-connections": 99}}]
    api.delete(f"{path}/max-connections")
    assert api.get("/api/vhost-limits") == []


def test_limits_of_users(api: Api, others: dict[str, Api]) -> None:
    path = "/api/user-limits/management"
    assert api.put(f"{path}/max-channels", {"value": 4}).status == 204
    assert api.get("/api/user-limits") == api.get(path) == [{"user": "management", "value": {"max-channels": 4}}]
    assert others["management"].put(f"{path}/max-channels", {"value": 5}).error == NO_ADMINISTRATOR
    assert api.put(f"{path}/max-channels", {"value": "4"}).error == (
        400,
        "bad_request",
        'max-channels should be a number, actually was <<"4">>',
    )
    assert api.put("/api/user-limits/nobody/max-channels", {"value": 4}).error == (
        400,
        "bad_request",
        ["no_such_user", "nobody"],
    )
    assert api.call("GET", "/api/user-limits/nobody").error == NOT_FOUND
    assert api.delete(f"{path}/max-channels").status == 204
    assert api.get(path) == []
