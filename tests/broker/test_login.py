"""Logging in: whose password is compared with what, who has to wait, and what else happens meanwhile."""

from __future__ import annotations

import logging
from collections.abc import Callable
from itertools import count

import bcrypt
import pytest

from leveret.amqp.frame import PROTOCOL_HEADER
from leveret.amqp.methods import (
    ChannelOpen,
    ChannelOpenOk,
    ConnectionClose,
    ConnectionCloseOk,
    ConnectionOpen,
    ConnectionOpenOk,
    ConnectionStart,
    ConnectionTune,
    ConnectionTuneOk,
)
from leveret.broker.broker import Broker
from leveret.broker.failed_logins import FIRST_DELAY, FREE_FAILURES, LONGEST_DELAY
from leveret.broker.login import SlowWork
from leveret.broker.passwords import BCRYPT, SHA256
from leveret.broker.users import Users
from tests.broker.driver import FRAME_MAX, Client, Driver, refused, start_ok

REFUSED = "Login was refused using authentication mechanism PLAIN. For details see the broker logfile."
SLOW = bcrypt.hashpw(b"secret", bcrypt.gensalt(4)).decode()


def plain(user: str, password: str) -> bytes:
    return f"\0{user}\0{password}".encode()


def begin(driver: Driver, user: str = "guest", password: str = "guest", from_loopback: bool = True) -> Client:
    """A client that has sent all of its opening at once, as some do."""
    client = driver.client(from_loopback=from_loopback)
    client.feed(PROTOCOL_HEADER)
    client.send(start_ok(response=plain(user, password)), 0)
    client.send(ConnectionTuneOk(2047, FRAME_MAX, 0), 0)
    client.send(ConnectionOpen("/"), 0)
    driver.tick()
    return client


def outcome(client: Client) -> object:
    """What came of the opening: open, a refusal, nothing yet."""
    received = client.take()
    if received and isinstance(received[0].method, ConnectionStart):
        received = received[1:]
    if not received:
        return "nothing yet" if not client.is_closed() else "hung up"
    if isinstance(received[0].method, ConnectionTune):
        assert [each.method for each in received[1:]] == [ConnectionOpenOk()]
        return "open"
    return refused(received[0])


def test_users_and_passwords(driver: Driver) -> None:
    users = driver.broker.users
    users.add("alice", b"secret")
    driver.broker.permissions.set("alice", "/", "", "", "")
    assert outcome(begin(driver, "alice", "secret")) == "open"
    assert outcome(begin(driver, "alice", "guest")) == (403, REFUSED)
    assert outcome(begin(driver, "Alice", "secret")) == (403, REFUSED)
    users.clear_password("alice")
    assert outcome(begin(driver, "alice", "secret")) == (403, REFUSED)
    users.set_password("alice", "pässword".encode())
    assert outcome(begin(driver, "alice", "pässword")) == "open"


def test_guest_comes_from_loopback_alone(driver: Driver, caplog: pytest.LogCaptureFixture) -> None:
    driver.broker.users.add("alice", b"secret")
    driver.broker.permissions.set("alice", "/", "", "", "")
    assert outcome(begin(driver, from_loopback=False)) == (403, REFUSED)
    assert "PLAIN login refused: user 'guest' can only connect via localhost" in caplog.text
    assert outcome(begin(driver, "alice", "secret", from_loopback=False)) == "open"
    broker = Broker("1", "n", lambda: 0.0, bytes, loopback_users=frozenset({"alice"}))
    broker.users.add("alice", b"secret")
    driver = Driver(broker)
    assert outcome(begin(driver, from_loopback=False)) == "open"
    assert outcome(begin(driver, "alice", "secret", from_loopback=False)) == (403, REFUSED)


def test_the_log_says_why_and_no_password(driver: Driver, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    begin(driver, "alice", "hunter2")
    begin(driver, "guest", "")
    begin(driver, "guest", "guest")
    assert "PLAIN login refused: user 'alice' - invalid credentials" in caplog.text
    assert "user 'guest' attempted to log in with a blank password" in caplog.text
    assert "user 'guest' authenticated and granted access to vhost '/'" in caplog.text
    assert "hunter2" not in caplog.text


# what is compared


def test_who_is_not_there_is_compared_like_others() -> None:
    """With a hash of one of the users, always of the same one, so that the time it takes tells nothing."""
    octets = count(1)
    broker = Broker("1", "n", lambda: 0.0, lambda size: next(octets).to_bytes(size, "big"))
    users = broker.users
    assert users.secret("nobody").algorithm == SHA256
    users.put("slow", SLOW, BCRYPT, ())
    names = [f"nobody {number}" for number in range(100)]
    algorithms = [users.secret(name).algorithm for name in names]
    assert set(algorithms) == {SHA256, BCRYPT}
    assert [users.secret(name).algorithm for name in names] == algorithms
    assert not any(users.secret(name).opened_by(b"secret") or users.secret(name).opened_by(b"guest") for name in names)
    users.clear_password("slow")
    assert {users.secret(name).password_hash for name in names} == {users.user("guest").password_hash}
    assert users.secret("slow").password_hash == users.user("guest").password_hash
    assert not users.secret("slow").opened_by(b"guest")
    users.delete("guest")
    assert users.secret("nobody").password_hash != ""
    assert not users.secret("nobody").opened_by(b"guest")


def test_who_stands_in_is_not_told_by_the_name_alone() -> None:
    """Else anybody who knows the users could work out from the time whether a name is one of them."""

    def stand_ins(key: int) -> list[str]:
        broker = Broker("1", "n", lambda: 0.0, lambda size: bytes([key] * size))
        broker.users.put("slow", SLOW, BCRYPT, ())
        return [broker.users.secret(f"nobody {number}").algorithm for number in range(50)]

    assert stand_ins(1) != stand_ins(2)


# hashes that are slow


class Later(SlowWork):
    """Does slow work when the test says so."""

    def __init__(self) -> None:
        self.work: list[tuple[Callable[[], None], Callable[[], None]]] = []

    def submit(self, run: Callable[[], None], done: Callable[[], None]) -> None:
        self.work.append((run, done))

    def go_on(self, driver: Driver) -> None:
        run, done = self.work.pop(0)
        run()
        done()
        driver.tick()


@pytest.fixture
def later(driver: Driver) -> Later:
    later = driver.broker.slow_work = Later()
    driver.broker.users.put("slow", SLOW, BCRYPT, ())
    driver.broker.permissions.set("slow", "/", ".*", ".*", ".*")
    return later


def test_nobody_waits_for_a_slow_hash_but_who_logs_in(driver: Driver, later: Later) -> None:
    right, wrong = begin(driver, "slow", "secret"), begin(driver, "slow", "other")
    assert outcome(begin(driver)) == "open"
    assert outcome(right) == outcome(wrong) == "nothing yet"
    right.send(ChannelOpen(), 1)  # nothing of what it sends meanwhile is lost, or done too early
    driver.tick()
    assert right.connection.channels == {}
    later.go_on(driver)
    later.go_on(driver)
    received = right.take()
    assert isinstance(received[0].method, ConnectionTune)
    assert [each.method for each in received[1:]] == [ConnectionOpenOk(), ChannelOpenOk()]
    assert outcome(wrong) == (403, REFUSED)
    wrong.send(ConnectionCloseOk(), 0)
    driver.tick()
    assert wrong.is_closed()


def test_what_changes_while_a_password_is_checked_counts(driver: Driver, later: Later) -> None:
    deleted, changed = begin(driver, "slow", "secret"), begin(driver, "slow", "secret")
    driver.broker.users.delete("slow")
    later.go_on(driver)
    assert outcome(deleted) == (403, REFUSED)
    driver.broker.users.add("slow", b"another")
    later.go_on(driver)
    assert outcome(changed) == (403, REFUSED)


def test_who_goes_away_while_a_password_is_checked_is_forgotten(driver: Driver, later: Later) -> None:
    lost, timed_out, closed = (begin(driver, "slow", "secret") for _ in range(3))
    lost.lose()
    closed.connection.force_close("goodbye")
    driver.at(10.1)
    assert timed_out.is_closed()
    for _ in range(3):
        later.go_on(driver)
    assert not driver.broker.connections
    assert driver.broker.usage.connections == 0
    assert outcome(timed_out) == "hung up"


# repeated failures


def test_who_fails_again_and_again_waits_longer_and_longer(driver: Driver, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(FREE_FAILURES):
        assert outcome(begin(driver, "guest", "wrong")) == (403, REFUSED)
    assert f"{FREE_FAILURES} failed logins of user 'guest' from 127.0.0.1 in a row" in caplog.text
    delay = FIRST_DELAY
    for _ in range(6):
        client = begin(driver, "guest", "wrong")
        driver.at(driver.now + delay * 0.98)  # counted from the latest failure
        assert outcome(client) == "nothing yet"
        driver.at(driver.now + delay * 0.03)
        assert outcome(client) == (403, REFUSED)
        delay = min(delay * 2, LONGEST_DELAY)
    assert delay == LONGEST_DELAY
    assert outcome(begin(driver, "somebody else", "wrong")) == (403, REFUSED)
    client = begin(driver)  # the right password waits too, and then all is forgiven
    assert outcome(client) == "nothing yet"
    driver.at(driver.now + delay)
    assert outcome(client) == "open"
    assert outcome(begin(driver, "guest", "wrong")) == (403, REFUSED)


def test_closing_while_waiting_for_the_delay(driver: Driver) -> None:
    for _ in range(FREE_FAILURES):
        assert outcome(begin(driver, "guest", "wrong")) == (403, REFUSED)
    client = begin(driver)
    assert outcome(client) == "nothing yet"
    client.send(ConnectionClose(200, "", 0, 0), 0)
    driver.at(5.0)
    received = client.take()
    assert isinstance(received[0].method, ConnectionTune)
    assert received[-1].method == ConnectionCloseOk()
    assert client.is_closed()


def test_who_was_not_looked_at_is_hung_up_on(driver: Driver) -> None:
    """And not told that the password is wrong, since it may be right: clients try again after that."""
    clients = [begin(driver, "guest", "wrong") for _ in range(FREE_FAILURES + 20)]
    for _ in range(100):
        driver.at(driver.now + 0.1)
    outcomes = [outcome(client) for client in clients]
    assert outcomes[:FREE_FAILURES] == [(403, REFUSED)] * FREE_FAILURES
    assert outcomes[-1] == "hung up" and set(outcomes) == {"hung up", (403, REFUSED)}
    assert not any(client.connection in driver.broker.connections for client in clients[FREE_FAILURES:][-10:])


def test_users_begin_with_what_the_defaults_say() -> None:
    broker = Broker("1", "n", lambda: 0.0, bytes)
    assert isinstance(broker.users, Users)
    assert [user.name for user in broker.users.all()] == ["guest"]
    assert broker.users.user("guest").tags == ["administrator"]
    assert broker.users.check_password("guest", b"guest") is broker.users.user("guest")
    assert broker.users.check_password("guest", b"Guest") is None


def test_a_name_that_nobody_has_costs_as_much_as_one_that_somebody_has(driver: Driver) -> None:
    users = driver.broker.users
    users.add("alice", b"secret")
    standing_in = {users.secret(f"stranger{number}").password_hash for number in range(200)}
    assert standing_in == {user.password_hash for user in users.all()}
    users.set_password("guest", b"other")
    users.clear_password("alice")
    guest = users.user("guest").password_hash
    assert {users.secret(name).password_hash for name in ("alice", "stranger")} == {guest}
    users.put("bob", users.user("guest").password_hash, SHA256, ())
    users.delete("guest")
    assert not users.secret("stranger").is_of_user
    users.delete("bob")
    assert users.secret("stranger").password_hash not in ("", guest)
    users.add("carol", b"secret")
    assert users.secret("stranger").password_hash == users.user("carol").password_hash
    assert users.check_password("stranger", b"secret") is None
