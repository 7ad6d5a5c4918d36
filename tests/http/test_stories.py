"""Every endpoint and method with what it answers: the stories, step by step."""

from __future__ import annotations

import pytest

from tests.http import stories_messages, stories_people, stories_settings, stories_topology
from tests.http.client import Api
from tests.http.story import Step, play

STORIES = {
    "virtual hosts": stories_topology.VIRTUAL_HOSTS,
    "queues": stories_topology.QUEUES,
    "exchanges": stories_topology.EXCHANGES,
    "bindings": stories_topology.BINDINGS,
    "messages": stories_messages.MESSAGES,
    "users": stories_people.USERS,
    "topic permissions": stories_people.TOPIC_PERMISSIONS,
    "missing": stories_people.MISSING,
    "policies": stories_settings.POLICIES,
    "operator policies": stories_settings.OPERATOR_POLICIES,
    "parameters": stories_settings.PARAMETERS,
    "limits": stories_settings.LIMITS_STORY,
    "definitions": stories_settings.DEFINITIONS,
    "health": stories_settings.HEALTH,
}


@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES.keys())
def test_story(api: Api, story: tuple[Step, ...]) -> None:
    for number, step in enumerate(story):
        assert play(api, step) == (step.status, step.json), f"step {number}: {step.method} {step.path} {step.body}"
