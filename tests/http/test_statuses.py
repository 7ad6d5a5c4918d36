"""Every status that an endpoint can answer is asked for somewhere: in a story, in the table of tags, or in a walk.

401 without credentials, 405, 406 and 400 for what is no JSON or no path are walked everywhere (test_routes). Here is
the rest, by endpoint. What needs a scene of its own is shown by the test that is named.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

import pytest

from tests.http import test_access, test_definitions, test_health, test_vhosts
from tests.http.routes import ENDPOINTS, FREE_PARTS, MADE, NOT_FOUND, Endpoint, endpoint_of, made_by, missing
from tests.http.test_access import ROWS
from tests.http.test_stories import STORIES
from tests.tls import test_expiration

HEALTH = "/health/checks/"
CAPACITY = test_health.test_a_node_that_is_full
ALARM = test_health.test_an_alarm_is_told
ALIVENESS = test_health.test_the_test_of_aliveness_fails_if_nothing_comes_back
EXPIRING = test_expiration.test_listeners_whose_certificates_end_soon
NO_DATA = test_health.test_a_node_without_virtual_hosts_has_no_data
# What is shown in a scene of its own.
SHOWN: dict[Endpoint, dict[int, Callable[..., None]]] = {
    Endpoint("DELETE", "/vhosts/{vhost}"): {412: test_vhosts.test_a_virtual_host_may_be_protected_from_deletion},
    Endpoint("POST", "/definitions"): {303: test_definitions.test_a_form},
    Endpoint("GET", "/aliveness-test/{vhost}"): {503: ALIVENESS},
    Endpoint("GET", "/healthchecks/node"): {503: ALARM},
    Endpoint("GET", "/healthchecks/node/{node}"): {503: ALARM},
    Endpoint("GET", f"{HEALTH}alarms"): {503: ALARM},
    Endpoint("GET", f"{HEALTH}below-node-connection-limit"): {503: CAPACITY},
    Endpoint("GET", f"{HEALTH}certificate-expiration/{{within}}/{{unit}}"): {
        503: test_expiration.test_listeners_whose_certificates_end_soon
    },
    Endpoint("GET", f"{HEALTH}local-alarms"): {503: ALARM},
    Endpoint("GET", f"{HEALTH}metadata-store/initialized/with-data"): {503: NO_DATA},
    Endpoint("GET", f"{HEALTH}port-listener/{{port}}"): {200: test_health.test_listeners},
    Endpoint("GET", f"{HEALTH}ready-to-serve-clients"): {503: CAPACITY},
    Endpoint("DELETE", "/connections/{connection}"): {204: test_access.test_who_may_hang_up_on_others},
    Endpoint("POST", "/vhosts/{vhost}/deletion/protection"): {
        204: test_vhosts.test_a_virtual_host_may_be_protected_from_deletion
    },
    Endpoint("DELETE", "/vhosts/{vhost}/deletion/protection"): {
        204: test_vhosts.test_a_virtual_host_may_be_protected_from_deletion
    },
}
# Checks of what can't fail in a node that answers and is alone.
NEVER_FAIL = {
    f"{HEALTH}is-in-service",
    f"{HEALTH}metadata-store/initialized",
    f"{HEALTH}node-is-mirror-sync-critical",
    f"{HEALTH}node-is-quorum-critical",
    f"{HEALTH}quorum-queues-without-elected-leaders/all-vhosts",
    f"{HEALTH}quorum-queues-without-elected-leaders/all-vhosts/pattern/{{pattern}}",
    f"{HEALTH}quorum-queues-without-elected-leaders/vhost/{{vhost}}",
    f"{HEALTH}quorum-queues-without-elected-leaders/vhost/{{vhost}}/pattern/{{pattern}}",
    f"{HEALTH}reached-target-cluster-size",
    f"{HEALTH}virtual-hosts",
}
# What a POST answers that is granted; most have nothing to say, which is 204.
POSTED = {
    "/auth/hash_password": 200,
    "/bindings/{vhost}/e/{source}/{kind}/{destination}": 201,
    "/exchanges/{vhost}/{exchange}/publish": 200,
    "/queues/{vhost}/{queue}/get": 200,
    "/queues/{vhost}/{queue}/actions": 400,  # of mirrored queues, of which there are none
}


def is_check(endpoint: Endpoint) -> bool:
    return endpoint.path.startswith((HEALTH, "/healthchecks", "/aliveness-test"))


def needed(endpoint: Endpoint) -> set[int]:
    """What an endpoint answers when it does what is asked, when that is not there, and when it fails."""
    granted = {"GET": 200, "PUT": 204, "DELETE": 204, "POST": POSTED.get(endpoint.path, 204)}
    statuses = {granted[endpoint.method]}
    if made_by(endpoint):
        statuses.add(201)
    names = [name for name in endpoint.parts if name not in FREE_PARTS and name != made_by(endpoint)]
    if any(missing(endpoint, name) == NOT_FOUND for name in names):
        statuses.add(404)
    if is_check(endpoint) and endpoint.path not in NEVER_FAIL:
        statuses.add(503)
    return statuses


def shown() -> dict[Endpoint, set[int]]:
    """What is asked for, by endpoint."""
    found: dict[Endpoint, set[int]] = defaultdict(set)
    asked_for = [(method, path, granted) for method, path, *_, granted in ROWS]
    asked_for += [(step.method, step.path, step.status) for story in STORIES.values() for step in story]
    for method, path, status in asked_for:
        endpoint = endpoint_of(method, path)
        if endpoint is not None:
            found[endpoint].add(status)
    for endpoint in ENDPOINTS:  # the walks of test_routes
        found[endpoint] |= {missing(endpoint, name).status for name in endpoint.parts if name != made_by(endpoint)}
        found[endpoint] |= set(SHOWN.get(endpoint, ()))
    for path in MADE:
        found[Endpoint("PUT", path)] |= {201, 204}
        found[Endpoint("GET", path)].add(200)
        found[Endpoint("DELETE", path)] |= {204, 404}
    return found


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=[" ".join(endpoint) for endpoint in ENDPOINTS])
def test_every_status_is_asked_for(endpoint: Endpoint) -> None:
    assert needed(endpoint) <= shown()[endpoint]


def test_what_is_said_of_endpoints_is_of_some_that_there_are() -> None:
    paths = {path for _, path in ENDPOINTS}
    assert set(SHOWN) <= set(ENDPOINTS) and paths >= NEVER_FAIL and set(POSTED) <= paths
