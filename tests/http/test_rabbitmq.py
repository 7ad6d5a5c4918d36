"""The same stories to an installed RabbitMQ: the same statuses, errors and JSON.

What RabbitMQ 3.10 answers in other words than 4 is listed here by name.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.http.client import Api, part
from tests.http.oracle import WHERE_INSTALLED
from tests.http.story import JSON, Step, play
from tests.http.test_definitions import SHOP
from tests.http.test_stories import STORIES

pytestmark = WHERE_INSTALLED
# Answered by 3.10 in other words than by 4, or in a form that no program reads: Erlang's lists of characters.
OTHER_WORDS = {
    ("PUT", "/exchanges/%2F/hx", "nosuch"),
    ("PUT", "/permissions/%2F/hu", "("),
    ("PUT", "/topic-permissions/%2F/hu", "("),
}


def in_other_words(step: Step) -> bool:
    return any(
        (step.method, step.path) == (method, path) and isinstance(step.body, dict) and word in step.body.values()
        for method, path, word in OTHER_WORDS
    )


def unordered(value: Any) -> Any:
    """Lists of objects in an order that does not depend on the broker."""
    if isinstance(value, list) and all(isinstance(element, dict) for element in value):
        return sorted(value, key=repr)
    return value


@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES.keys())
def test_rabbitmq_answers_the_stories_alike(oracle: tuple[int, Api], story: tuple[Step, ...]) -> None:
    for number, step in enumerate(story):
        status, said = play(oracle[1], step)
        where = f"step {number}: {step.method} {step.path} {step.body}"
        assert status == step.status, where
        if in_other_words(step):
            assert said["error"] == step.json["error"], where
        else:
            assert unordered(said) == unordered(step.json), where


def test_rabbitmq_takes_our_definitions(oracle: tuple[int, Api], api: Api) -> None:
    """What came from a RabbitMQ goes back to one, and is there what it was."""
    assert api.call("POST", "/api/definitions", SHOP, JSON).status == 204
    ours = api.get("/api/definitions")
    assert oracle[1].call("POST", "/api/definitions", ours, JSON).status == 204
    theirs = oracle[1].get("/api/definitions")
    for category in ("queues", "exchanges", "bindings", "policies", "parameters", "permissions", "topic_permissions"):
        found = [without_type(each) for each in theirs[category] if each["vhost"] == "shop/eu"]
        wanted = [without_type(each) for each in ours[category] if each["vhost"] == "shop/eu"]
        assert wanted and set(map(canonical, wanted)) <= set(map(canonical, found)), category
    hashes = {user["name"]: (user["password_hash"], user["limits"]) for user in theirs["users"]}
    for user in ours["users"]:
        assert hashes[user["name"]] == (user["password_hash"], user["limits"])
    for name in ("shop-app", "shop-ops", "shop-cert"):
        for each in (api, oracle[1]):
            each.delete(f"/api/users/{name}")
    for each in (api, oracle[1]):
        each.delete(f"/api/vhosts/{part('shop/eu')}")


def without_type(each: dict[str, Any]) -> dict[str, Any]:
    """An object of a file without the type of a queue, which RabbitMQ 3.10 does not write beside its arguments."""
    return {name: value for name, value in each.items() if name != "type" or "internal" in each}


def canonical(each: dict[str, Any]) -> str:
    return json.dumps(each, sort_keys=True)
