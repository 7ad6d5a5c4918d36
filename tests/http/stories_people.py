"""Requests about users, and what is not there, with the answers. Each story ends where it began.

The same requests go to an installed RabbitMQ (test_rabbitmq.py), which has to answer them alike.
"""

from __future__ import annotations

from tests.http.story import NOT_FOUND, Step, bad

USERS: tuple[Step, ...] = (
    Step("PUT", "/users/hu", None, 400, bad("tags_not_present")),
    Step("PUT", "/users/hu", {"tags": ""}, 201, None),
    Step("PUT", "/users/hu", {"tags": "management, foo", "password": "x"}, 204, None),
    Step(
        "GET",
        "/users/hu?columns=name,tags,limits,hashing_algorithm",
        None,
        200,
        {
            "name": "hu",
            "hashing_algorithm": "rabbit_password_hashing_sha256",
            "tags": ["management", "foo"],
            "limits": {},
        },
    ),
    Step("PUT", "/users/hu", {"tags": "administrator", "password_hash": "2lmoth8l4H0DViLaK9Fxi6l9ds8="}, 204, None),
    Step("PUT", "/users/hu", {"tags": ["a", "b c"], "password_hash": ""}, 204, None),
    Step(
        "GET",
        "/users/hu",
        None,
        200,
        {
            "name": "hu",
            "password_hash": "",
            "hashing_algorithm": "rabbit_password_hashing_sha256",
            "tags": ["a", "b c"],
            "limits": {},
        },
    ),
    Step("PUT", "/users/hu", {"tags": "", "password_hash": "abc"}, 400, bad(["not_base64", "abc"])),
    Step(
        "PUT",
        "/users/hu",
        {"tags": "", "password": "x", "password_hash": "AAAA"},
        400,
        bad("both_password_and_password_hash_are_provided"),
    ),
    Step(
        "GET",
        "/users?columns=name,tags",
        None,
        200,
        [{"name": "guest", "tags": ["administrator"]}, {"name": "hu", "tags": ["a", "b c"]}],
    ),
    Step("GET", "/users?page=1&columns=name", None, 200, [{"name": "guest"}, {"name": "hu"}]),
    Step("GET", "/users/without-permissions?columns=name", None, 200, [{"name": "hu"}]),
    Step("GET", "/users/hu/permissions", None, 200, []),
    Step("GET", "/users/nosuch/permissions", None, 404, NOT_FOUND),
    Step("PUT", "/permissions/%2F/hu", {"configure": "a", "write": "b"}, 400, bad("[{key_missing,read}]")),
    Step(
        "PUT",
        "/permissions/%2F/hu",
        {"configure": "a", "write": "b", "read": "("},
        400,
        bad(["invalid_regexp", "(", ["missing )", 1]]),
    ),
    Step("PUT", "/permissions/%2F/hu", {"configure": "a", "write": "b", "read": "c"}, 201, None),
    Step("PUT", "/permissions/%2F/hu", {"configure": "a", "write": "b", "read": "c"}, 204, None),
    Step(
        "PUT",
        "/permissions/%2F/nosuch",
        {"configure": "a", "write": "b", "read": "c"},
        400,
        bad("vhost_or_user_not_found"),
    ),
    Step(
        "PUT", "/permissions/nov/hu", {"configure": "a", "write": "b", "read": "c"}, 400, bad("vhost_or_user_not_found")
    ),
    Step(
        "GET",
        "/permissions/%2F/hu",
        None,
        200,
        {"user": "hu", "vhost": "/", "configure": "a", "write": "b", "read": "c"},
    ),
    Step(
        "GET",
        "/permissions",
        None,
        200,
        [
            {"user": "guest", "vhost": "/", "configure": ".*", "write": ".*", "read": ".*"},
            {"user": "hu", "vhost": "/", "configure": "a", "write": "b", "read": "c"},
        ],
    ),
    Step("GET", "/permissions/%2F/nosuch", None, 404, NOT_FOUND),
    Step(
        "GET",
        "/users/hu/permissions",
        None,
        200,
        [{"user": "hu", "vhost": "/", "configure": "a", "write": "b", "read": "c"}],
    ),
    Step(
        "GET",
        "/vhosts/%2F/permissions",
        None,
        200,
        [
            {"user": "guest", "vhost": "/", "configure": ".*", "write": ".*", "read": ".*"},
            {"user": "hu", "vhost": "/", "configure": "a", "write": "b", "read": "c"},
        ],
    ),
    Step("GET", "/vhosts/nov/permissions", None, 404, NOT_FOUND),
    Step("DELETE", "/permissions/%2F/hu", None, 204, None),
    Step("DELETE", "/permissions/%2F/hu", None, 404, NOT_FOUND),
    Step("DELETE", "/users/hu", None, 204, None),
)
TOPIC_PERMISSIONS: tuple[Step, ...] = (
    Step("PUT", "/users/hu", {"tags": ""}, 201, None),
    Step("PUT", "/topic-permissions/%2F/hu", {"exchange": "amq.topic", "write": "b"}, 400, bad("[{key_missing,read}]")),
    Step(
        "PUT",
        "/topic-permissions/%2F/hu",
        {"exchange": "amq.topic", "write": "b", "read": "("},
        400,
        bad(["invalid_regexp", "(", ["missing )", 1]]),
    ),
    Step("PUT", "/topic-permissions/%2F/hu", {"exchange": "amq.topic", "write": "b", "read": "c"}, 201, None),
    Step("PUT", "/topic-permissions/%2F/hu", {"exchange": "nox", "write": "b", "read": "c"}, 204, None),
    Step(
        "GET",
        "/topic-permissions",
        None,
        200,
        [
            {"user": "hu", "vhost": "/", "exchange": "amq.topic", "write": "b", "read": "c"},
            {"user": "hu", "vhost": "/", "exchange": "nox", "write": "b", "read": "c"},
        ],
    ),
    Step(
        "GET",
        "/topic-permissions/%2F/hu/nono",
        None,
        200,
        [
            {"user": "hu", "vhost": "/", "exchange": "amq.topic", "write": "b", "read": "c"},
            {"user": "hu", "vhost": "/", "exchange": "nox", "write": "b", "read": "c"},
        ],
    ),
    Step("GET", "/topic-permissions/%2F/nosuch", None, 404, NOT_FOUND),
    Step(
        "GET",
        "/users/hu/topic-permissions",
        None,
        200,
        [
            {"user": "hu", "vhost": "/", "exchange": "amq.topic", "write": "b", "read": "c"},
            {"user": "hu", "vhost": "/", "exchange": "nox", "write": "b", "read": "c"},
        ],
    ),
    Step(
        "GET",
        "/vhosts/%2F/topic-permissions",
        None,
        200,
        [
            {"user": "hu", "vhost": "/", "exchange": "amq.topic", "write": "b", "read": "c"},
            {"user": "hu", "vhost": "/", "exchange": "nox", "write": "b", "read": "c"},
        ],
    ),
    Step("DELETE", "/topic-permissions/%2F/hu/nox", None, 204, None),
    Step(
        "GET",
        "/topic-permissions/%2F/hu",
        None,
        200,
        [{"user": "hu", "vhost": "/", "exchange": "amq.topic", "write": "b", "read": "c"}],
    ),
    Step("DELETE", "/topic-permissions/%2F/hu", None, 204, None),
    Step("DELETE", "/topic-permissions/%2F/hu", None, 404, NOT_FOUND),
    Step(
        "PUT",
        "/topic-permissions/%2F/nosuch",
        {"exchange": "amq.topic", "write": "b", "read": "c"},
        400,
        bad("vhost_or_user_not_found"),
    ),
    Step("DELETE", "/users/hu", None, 204, None),
    Step("DELETE", "/users/hu", None, 404, NOT_FOUND),
    Step("POST", "/users/bulk-delete", {"users": ["x"]}, 400, bad(["no_such_user", "x"])),
    Step("POST", "/users/bulk-delete", {}, 400, bad("[{key_missing,users}]")),
)
MISSING: tuple[Step, ...] = (
    Step("GET", "/connections/nosuch", None, 404, NOT_FOUND),
    Step("DELETE", "/connections/nosuch", None, 404, NOT_FOUND),
    Step("GET", "/connections/username/nosuch", None, 200, []),
    Step("DELETE", "/connections/username/nosuch", None, 204, None),
    Step("GET", "/vhosts/nov/connections", None, 404, NOT_FOUND),
    Step("GET", "/channels/nosuch", None, 404, NOT_FOUND),
    Step("GET", "/consumers/nov", None, 404, NOT_FOUND),
)
