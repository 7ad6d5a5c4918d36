"""Requests about policies, parameters, limits, definitions and health, with answers. Each story ends where it began.

The same requests go to an installed RabbitMQ (test_rabbitmq.py), which has to answer them alike.
"""

from __future__ import annotations

from typing import Any

from tests.http.story import NOT_FOUND, Step, bad, object_missing

OK = {"status": "ok"}
LENGTH: dict[str, Any] = {"pattern": "^hq", "definition": {"max-length": 3}}
POLICY = {"vhost": "/", "name": "hp", **LENGTH, "apply-to": "all", "priority": 0}
OTHER = {**POLICY, "apply-to": "queues", "priority": 2}
LIMITS = {"value": {"max-queues": 100000}, "vhost": "/", "component": "vhost-limits", "name": "limits"}
NO_VHOST = object_missing("vhost_not_found")


def failed(reasons: str) -> dict[str, Any]:
    """The error for what is not valid."""
    return bad(f"Validation failed\n\n{reasons}\n")


def policies(path: str, begin: str, end: str) -> tuple[Step, ...]:
    """The story of one kind of policies; `begin` and `end` are the brackets of Erlang's texts in errors."""
    return (
        Step("GET", path, None, 200, []),
        Step("PUT", f"{path}/%2F/hp", {"pattern": "^x"}, 400, bad("[{key_missing,definition}]")),
        Step("PUT", f"{path}/%2F/hp", {}, 400, bad("[{key_missing,pattern},{key_missing,definition}]")),
        Step("PUT", f"{path}/%2F/hp", "xx", 400, bad("not_json")),
        Step(
            "PUT",
            f"{path}/%2F/hp",
            {"pattern": "^(x", "definition": {"max-length": -3}},
            400,
            failed(
                '-3 is not a valid maximum length\npattern should be regular expression but is invalid: {"missing )",3}'
            ),
        ),
        Step(
            "PUT",
            f"{path}/%2F/hp",
            {**LENGTH, "priority": "a"},
            400,
            failed(f'priority should be a number, actually was {begin}"a"{end}'),
        ),
        Step(
            "PUT",
            f"{path}/%2F/hp",
            {"pattern": "x", "definition": {"no-such": 1}},
            400,
            failed(f'[{{{begin}"no-such"{end},1}}] are not recognised policy settings'),
        ),
        Step("PUT", f"{path}/none/hp", LENGTH, 404, NO_VHOST),
        Step("GET", f"{path}/%2F/hp", None, 404, NOT_FOUND),
        Step("PUT", f"{path}/%2F/hp", LENGTH, 201, None),
        Step("GET", f"{path}/%2F/hp", None, 200, POLICY),
        Step("PUT", f"{path}/%2F/hp", {**LENGTH, "priority": 2, "apply-to": "queues"}, 204, None),
        Step("GET", path, None, 200, [OTHER]),
        Step("GET", f"{path}/%2F", None, 200, [OTHER]),
        Step("GET", f"{path}?columns=name,priority", None, 200, [{"name": "hp", "priority": 2}]),
        Step("GET", f"{path}/none", None, 404, NOT_FOUND),
        Step("DELETE", f"{path}/%2F/hp", None, 204, None),
        Step("DELETE", f"{path}/%2F/hp", None, 404, NOT_FOUND),
        Step("POST", path, {}, 405, None),
    )


POLICIES = policies("/policies", "&lt;&lt;", "&gt;&gt;")
OPERATOR_POLICIES = (
    *policies("/operator-policies", "<<", ">>"),
    Step(
        "PUT",
        "/operator-policies/%2F/hp",
        {"pattern": "x", "definition": {"dead-letter-exchange": "x"}},
        400,
        failed('[{<<"dead-letter-exchange">>,<<"x">>}] are not recognised policy settings'),
    ),
)

PARAMETERS: tuple[Step, ...] = (
    Step("GET", "/parameters", None, 200, []),
    Step("PUT", "/parameters/none/%2F/hp", {"value": {}}, 400, failed("component none not found")),
    Step("PUT", "/parameters/policy/%2F/hp", {"value": {}}, 400, bad("policies may not be set using this method")),
    Step("PUT", "/parameters/vhost-limits/%2F/limits", {"x": 5}, 400, bad("[{key_missing,value}]")),
    Step("PUT", "/parameters/vhost-limits/none/limits", {"value": {}}, 404, NO_VHOST),
    Step("PUT", "/parameters/vhost-limits/%2F/limits", {"value": 5}, 400, failed("limits not a list 5")),
    Step(
        "PUT",
        "/parameters/vhost-limits/%2F/limits",
        {"value": {"max": 1}},
        400,
        failed('Unrecognised terms [{&lt;&lt;"max"&gt;&gt;,1}] in limits'),
    ),
    Step("PUT", "/parameters/vhost-limits/%2F/limits", {"value": {"max-queues": 100000}}, 201, None),
    Step("PUT", "/parameters/vhost-limits/%2F/limits", {"value": {"max-queues": 100000}}, 204, None),
    Step("GET", "/parameters", None, 200, [LIMITS]),
    Step("GET", "/parameters/vhost-limits", None, 200, [LIMITS]),
    Step("GET", "/parameters/vhost-limits/%2F", None, 200, [LIMITS]),
    Step("GET", "/parameters/vhost-limits/%2F/limits", None, 200, LIMITS),
    Step("GET", "/parameters/vhost-limits/none", None, 404, NOT_FOUND),
    Step("GET", "/parameters/vhost-limits/%2F/none", None, 404, NOT_FOUND),
    Step("GET", "/parameters/none", None, 200, []),
    Step("DELETE", "/parameters/vhost-limits/%2F/limits", None, 204, None),
    Step("DELETE", "/parameters/vhost-limits/%2F/limits", None, 404, NOT_FOUND),
    Step("PUT", "/policies/%2F/hp", LENGTH, 201, None),
    Step("PUT", "/operator-policies/%2F/hp", LENGTH, 201, None),
    *(
        Step(
            "GET",
            f"/parameters/{component}{vhost}",
            None,
            200,
            [
                {
                    "value": {**LENGTH, "apply-to": "all", "priority": 0},
                    "vhost": "/",
                    "component": component,
                    "name": "hp",
                }
            ],
        )
        for component in ("policy", "operator_policy")
        for vhost in ("", "/%2F")
    ),
    Step("DELETE", "/policies/%2F/hp", None, 204, None),
    Step("DELETE", "/operator-policies/%2F/hp", None, 204, None),
    Step("PUT", "/global-parameters/hg", {}, 400, bad("[{key_missing,value}]")),
    Step("PUT", "/global-parameters/hg", {"value": {"a": [1, 2.5, True]}}, 201, None),
    Step("GET", "/global-parameters/hg", None, 200, {"value": {"a": [1, 2.5, True]}, "name": "hg"}),
    Step("PUT", "/global-parameters/hg", {"value": "text"}, 204, None),
    Step("GET", "/global-parameters/hg", None, 200, {"value": "text", "name": "hg"}),
    Step("DELETE", "/global-parameters/hg", None, 204, None),
    Step("DELETE", "/global-parameters/hg", None, 404, NOT_FOUND),
    Step("GET", "/global-parameters/hg", None, 404, NOT_FOUND),
)

LIMITS_STORY: tuple[Step, ...] = (
    Step("GET", "/vhost-limits", None, 200, []),
    Step("PUT", "/vhost-limits/%2F/max-queues", {}, 400, bad("[{key_missing,value}]")),
    Step(
        "PUT",
        "/vhost-limits/%2F/max-queues",
        {"value": "x"},
        400,
        failed('max-queues should be a number, actually was <<"x">>'),
    ),
    Step("PUT", "/vhost-limits/%2F/none", {"value": 4}, 400, failed('Unrecognised terms [{<<"none">>,4}] in limits')),
    Step("PUT", "/vhost-limits/none/max-queues", {"value": 4}, 404, NO_VHOST),
    Step("PUT", "/vhost-limits/%2F/max-queues", {"value": 100000}, 204, None),
    Step("GET", "/vhost-limits", None, 200, [{"vhost": "/", "value": {"max-queues": 100000}}]),
    Step("GET", "/vhost-limits/%2F", None, 200, [{"vhost": "/", "value": {"max-queues": 100000}}]),
    Step("GET", "/vhost-limits/none", None, 404, NOT_FOUND),
    Step("GET", "/vhost-limits/%2F/max-queues", None, 405, None),
    Step("DELETE", "/vhost-limits/%2F/max-queues", None, 204, None),
    Step("DELETE", "/vhost-limits/%2F/max-queues", None, 204, None),
    Step("GET", "/user-limits", None, 200, []),
    Step(
        "PUT",
        "/user-limits/guest/max-channels",
        {"value": "4"},
        400,
        bad('max-channels should be a number, actually was <<"4">>'),
    ),
    Step(
        "PUT", "/user-limits/guest/none", {"value": 4}, 400, bad('Unrecognised terms [{<<"none">>,4}] in user-limits')
    ),
    Step("PUT", "/user-limits/none/max-channels", {"value": 4}, 400, bad(["no_such_user", "none"])),
    Step("PUT", "/user-limits/guest/max-channels", {"value": 4000}, 204, None),
    Step("GET", "/user-limits", None, 200, [{"user": "guest", "value": {"max-channels": 4000}}]),
    Step("GET", "/user-limits/guest", None, 200, [{"user": "guest", "value": {"max-channels": 4000}}]),
    Step("GET", "/user-limits/none", None, 404, NOT_FOUND),
    Step("DELETE", "/user-limits/guest/max-channels", None, 204, None),
    Step("GET", "/user-limits/guest", None, 200, []),
)

DEFINITIONS: tuple[Step, ...] = (
    Step("POST", "/definitions", "nonsense", 400, bad("failed_to_parse_json")),
    Step("POST", "/definitions", {}, 204, None),
    Step("POST", "/definitions/none", {}, 404, NO_VHOST),
    Step("GET", "/definitions/none", None, 400, bad("vhost_not_found")),
    Step("DELETE", "/definitions", None, 405, None),
    Step(
        "POST",
        "/definitions",
        {
            "rabbit_version": "3.10.8",
            "queues": [{"name": "hq", "vhost": "/", "durable": True, "auto_delete": False, "arguments": {"x": 5}}],
            "exchanges": [{"name": "hx", "vhost": "/", "type": "topic", "durable": True, "auto_delete": False}],
            "bindings": [
                {
                    "source": "hx",
                    "vhost": "/",
                    "destination": "hq",
                    "destination_type": "queue",
                    "routing_key": "a.#",
                    "arguments": {},
                }
            ],
            "policies": [{"vhost": "/", "name": "hp", **LENGTH, "priority": 1, "apply-to": "queues"}],
            "of_the_future": [{"name": "x"}],
        },
        204,
        None,
    ),
    Step(
        "GET",
        "/queues/%2F/hq?columns=name,durable,auto_delete,arguments.x",
        None,
        200,
        {"name": "hq", "durable": True, "auto_delete": False, "arguments": {"x": 5}},
    ),
    Step("GET", "/bindings/%2F/e/hx/q/hq?columns=routing_key", None, 200, [{"routing_key": "a.#"}]),
    Step("DELETE", "/queues/%2F/hq", None, 204, None),
    Step("DELETE", "/exchanges/%2F/hx", None, 204, None),
    Step("DELETE", "/policies/%2F/hp", None, 204, None),
    Step(
        "POST",
        "/definitions/%2F",
        {"queues": [{"name": "hq", "durable": True, "auto_delete": False, "arguments": {}}]},
        204,
        None,
    ),
    Step("GET", "/queues/%2F/hq?columns=name,durable", None, 200, {"name": "hq", "durable": True}),
    Step("DELETE", "/queues/%2F/hq", None, 204, None),
)

HEALTH: tuple[Step, ...] = (
    *(
        Step("GET", f"/health/checks/{path}", None, 200, OK)
        for path in ("alarms", "local-alarms", "virtual-hosts", "certificate-expiration/1/months")
    ),
    Step("GET", "/health/checks/node-is-quorum-critical", None, 200, {**OK, "reason": "single node cluster"}),
    Step("GET", "/health/checks/protocol-listener/amqp", None, 200, {**OK, "protocol": "amqp"}),
    Step("GET", "/health/checks/port-listener/x", None, 400, bad("Invalid port")),
    Step(
        "GET",
        "/health/checks/certificate-expiration/1/none",
        None,
        400,
        bad("Time unit not recognised. Supported units: days, weeks, months, years."),
    ),
    Step("GET", "/aliveness-test/%2F", None, 200, OK),
    Step("GET", "/queues/%2F/aliveness-test?columns=durable", None, 200, {"durable": False}),
    Step("DELETE", "/queues/%2F/aliveness-test", None, 204, None),
    Step("GET", "/aliveness-test/none", None, 404, NOT_FOUND),
    Step("GET", "/healthchecks/node", None, 200, OK),
    Step("GET", "/healthchecks/node/none", None, 404, NOT_FOUND),
    Step("GET", "/extensions", None, 200, [{"javascript": "dispatcher.js"}]),
    Step("PUT", "/feature-flags/quorum_queue/enable", {}, 204, None),
    Step("PUT", "/feature-flags/none/enable", {}, 400, bad("unsupported")),
    Step("PUT", "/cluster-name", {}, 400, bad("[{key_missing,name}]")),
    Step("PUT", "/cluster-name", {"name": "named"}, 204, None),
    Step("GET", "/cluster-name", None, 200, {"name": "named"}),
    Step("GET", "/global-parameters/cluster_name", None, 200, {"name": "cluster_name", "value": "named"}),
    Step("DELETE", "/global-parameters/cluster_name", None, 204, None),
    Step("DELETE", "/reset/none", None, 404, NOT_FOUND),
    Step("DELETE", "/reset", None, 204, None),
    Step("GET", "/auth/attempts/none", None, 404, NOT_FOUND),
)
