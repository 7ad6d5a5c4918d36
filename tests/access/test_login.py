"""Logging in over the wire as users of one's own: names and passwords of any characters, by both mechanisms."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from leveret.broker.failed_logins import FIRST_DELAY, FREE_FAILURES
from tests.access.conftest import PASSWORD, Access
from tests.behaviour.expectations import leveret_only
from tests.support.raw_client import (
    CONNECTION_OPEN_OK,
    CONNECTION_TUNE,
    RawClient,
    amqplain,
    open_vhost,
    plain,
    start_ok,
    tune_ok,
)

WANTS_A_REASON = {"capabilities": {"authentication_failure_close": True}}
REFUSED = "Login was refused using authentication mechanism {}. For details see the broker logfile."
RESPONSES = {"PLAIN": plain, "AMQPLAIN": amqplain}


@pytest.fixture(scope="module")
def vhost(access: Access) -> Iterator[str]:
    yield access.vhost("lögin")


def logging_in(access: Access, user: str, password: str, mechanism: str = "PLAIN") -> RawClient:
    """A client that has sent its name and password."""
    client = RawClient(access.broker.port)
    client.greet()
    client.send(start_ok(mechanism, RESPONSES[mechanism](user, password), WANTS_A_REASON))
    return client


def opens(client: RawClient, vhost: str) -> None:
    """The login must succeed, and the virtual host open."""
    client.expect(CONNECTION_TUNE)
    client.send(tune_ok() + open_vhost(vhost))
    client.expect(CONNECTION_OPEN_OK)
    client.log_out()


@pytest.mark.parametrize("mechanism", RESPONSES)
def test_names_and_passwords_of_any_characters(access: Access, vhost: str, mechanism: str) -> None:
    user = access.user(f"ünï cødé/{mechanism} 'x'", vhost)
    access.ctl("change_password", user, "pässwörd ' \\ ☃")
    opens(logging_in(access, user, "pässwörd ' \\ ☃", mechanism), vhost)
    for password in ("pässwörd ' \\ ", "password", PASSWORD):
        client = logging_in(access, user, password, mechanism)
        client.expect_connection_close(403, REFUSED.format(mechanism), failing=(0, 0))


def test_names_are_told_apart_by_case(access: Access, vhost: str) -> None:
    user = access.user("case", vhost)
    opens(logging_in(access, user, PASSWORD), vhost)
    for name in (user.upper(), f"{user} ", user[:-1], ""):
        client = logging_in(access, name, PASSWORD)
        client.expect_connection_close(403, REFUSED.format("PLAIN"))


@pytest.mark.parametrize("mechanism", RESPONSES)
def test_nobody_logs_in_with_an_empty_password(access: Access, vhost: str, mechanism: str) -> None:
    user = access.user(f"blank-{mechanism}", vhost)
    access.ctl("change_password", user, "")
    logging_in(access, user, "", mechanism).expect_connection_close(403, REFUSED.format(mechanism))
    access.ctl("clear_password", user)
    logging_in(access, user, "", mechanism).expect_connection_close(403, REFUSED.format(mechanism))


def test_virtual_hosts_that_may_not_be_opened(access: Access, vhost: str) -> None:
    user = access.user("nowhere")
    for name, text in (
        (vhost, f"access to vhost '{vhost}' refused for user '{user}'"),
        ("/", f"access to vhost '/' refused for user '{user}'"),
        ("no such vhost", "vhost no such vhost not found"),
    ):
        client = logging_in(access, user, PASSWORD)
        client.expect(CONNECTION_TUNE)
        client.send(tune_ok() + open_vhost(name))
        client.expect_connection_close(530, text, failing=(10, 40))


@leveret_only("RabbitMQ answers at once however often")
def test_who_fails_again_and_again_has_to_wait(access: Access, vhost: str) -> None:
    user = access.user("slow", vhost)
    for _ in range(FREE_FAILURES):
        logging_in(access, user, "wrong").expect_connection_close(403)
    began = time.monotonic()
    opens(logging_in(access, user, PASSWORD), vhost)
    assert time.monotonic() - began >= FIRST_DELAY * 0.99
