"""Names, passwords and responses that no well-meaning client sends: they are refused, and harm nobody."""

from __future__ import annotations

import unicodedata
from itertools import product

import bcrypt
import pytest

from leveret.amqp.field_table import encode_table, table_from_python
from leveret.amqp.frame import PROTOCOL_HEADER, method_frame
from leveret.amqp.methods import ConnectionStart, ConnectionStartOk, ConnectionTune, QueueBind
from leveret.broker.login import BadCredentials, credentials
from leveret.broker.passwords import BCRYPT
from tests.broker.driver import CAPABILITIES, Client, Driver, refused

LONGEST = 3900  # octets for which there is room in a frame before its size is negotiated
REFUSED = "Login was refused using authentication mechanism {}. For details see the broker logfile."
NFC, NFD = (unicodedata.normalize(form, "Zoë") for form in ("NFC", "NFD"))


def amqplain(login: object, password: object) -> bytes:
    return encode_table(table_from_python({"LOGIN": login, "PASSWORD": password}))[4:]


def responses(name: bytes, password: bytes) -> dict[str, bytes]:
    """How either mechanism carries these octets."""
    entries = [b"\x05LOGINS", octets(name), b"\x08PASSWORDS", octets(password)]
    return {"PLAIN": b"\0" + name + b"\0" + password, "AMQPLAIN": b"".join(entries)}


def octets(data: bytes) -> bytes:
    """A long string."""
    return len(data).to_bytes(4, "big") + data


def log_in(driver: Driver, mechanism: str, response: bytes) -> Client:
    client = driver.client()
    client.feed(PROTOCOL_HEADER)
    properties = table_from_python({"capabilities": dict.fromkeys(CAPABILITIES, True)})
    client.feed(method_frame(0, ConnectionStartOk(properties, mechanism, response, "en_US").encode()))
    driver.tick()
    return client


def outcome(client: Client) -> object:
    start, answer = client.take()
    assert isinstance(start.method, ConnectionStart)
    return "in" if isinstance(answer.method, ConnectionTune) else refused(answer)


@pytest.mark.parametrize(
    "name",
    [
        b"guest\0",
        b"\0guest",
        b"",
        b" guest",
        b"guest\n",
        b"GUEST",
        b"\xff\xfe",
        b"\xed\xa0\x80",
        "guest\u200b".encode(),
        "\uff47uest".encode(),
        b"x" * LONGEST,
        b"guest\n2026-01-01 [info] user 'guest' authenticated",
    ],
    ids=ascii,
)
@pytest.mark.parametrize("mechanism", ["PLAIN", "AMQPLAIN"])
def test_names_that_only_look_like_a_users(
    driver: Driver, caplog: pytest.LogCaptureFixture, mechanism: str, name: bytes
) -> None:
    client = log_in(driver, mechanism, responses(name, b"guest")[mechanism])
    assert outcome(client) == (403, REFUSED.format(mechanism))
    assert "internal error" not in caplog.text


@pytest.mark.parametrize("password", [b"", b"guest\0", b"\0guest", b"guest\xff", b" guest", b"x" * LONGEST], ids=ascii)
@pytest.mark.parametrize("mechanism", ["PLAIN", "AMQPLAIN"])
def test_passwords_that_only_look_like_the_right_one(driver: Driver, mechanism: str, password: bytes) -> None:
    client = log_in(driver, mechanism, responses(b"guest", password)[mechanism])
    assert outcome(client) == (403, REFUSED.format(mechanism))


@pytest.mark.parametrize(
    "response",
    [
        amqplain(True, True),
        amqplain(1, 2),
        amqplain(None, None),
        amqplain({"LOGIN": "guest"}, {"PASSWORD": "guest"}),
        amqplain(["guest"], ["guest"]),
        encode_table(table_from_python({"login": "guest", "password": "guest"}))[4:],
        encode_table(table_from_python({"LOGIN": "guest", "PASSWORD": "guest"})),
        amqplain("guest", "guest") + b"\x05",
        b"\x05LOGINF\xff\xff\xff\xff",
        b"\x05LOGINF\0\0\x0f\x00" * 200,
    ],
    ids=lambda response: repr(response[:20]),
)
def test_amqplain_tables_that_make_no_sense(driver: Driver, response: bytes) -> None:
    with pytest.raises(BadCredentials):
        credentials("AMQPLAIN", response)
    assert outcome(log_in(driver, "AMQPLAIN", response)) == (403, REFUSED.format("AMQPLAIN"))


def test_a_table_that_is_a_thousand_levels_deep(driver: Driver) -> None:
    response = b""
    for _ in range(400):
        response = b"\x01xF" + len(response).to_bytes(4, "big") + response
    assert outcome(log_in(driver, "AMQPLAIN", response)) == (403, REFUSED.format("AMQPLAIN"))


def test_of_two_logins_in_a_table_the_one_that_counts_is_checked(driver: Driver) -> None:
    """Whoever it names, it is their password that has to be right."""
    driver.broker.users.add("alice", b"secret")
    mallory = b"\x05LOGINS\0\0\0\x05alice"
    for response in (mallory + amqplain("guest", "secret"), amqplain("guest", "secret") + mallory):
        client = log_in(driver, "AMQPLAIN", response)
        if outcome(client) == "in":
            assert client.connection.user == "alice"


def test_names_are_octets_and_not_what_they_look_like(driver: Driver) -> None:
    """Unicode has several ways to write a name; each is another user, as in RabbitMQ."""
    assert NFC != NFD
    driver.broker.users.add(NFC, b"one")
    driver.broker.users.add(NFD, NFD.encode())
    for name, password, mechanism in product((NFC, NFD), (b"one", NFD.encode(), NFC.encode()), ("PLAIN", "AMQPLAIN")):
        client = log_in(driver, mechanism, responses(name.encode(), password)[mechanism])
        right = (name, password) in ((NFC, b"one"), (NFD, NFD.encode()))
        driver.at(driver.now + 9)  # who has failed before may have to wait
        assert outcome(client) == ("in" if right else (403, REFUSED.format(mechanism)))


def test_who_has_no_password_never_logs_in_with_one(driver: Driver) -> None:
    """Neither with an empty one, nor with that of the user whose hash is compared in place of theirs."""
    users = driver.broker.users
    users.add("nobody", b"secret")
    users.clear_password("nobody")
    users.put("imported", "", BCRYPT, ())
    users.put("slow", bcrypt.hashpw(b"slow", bcrypt.gensalt(4)).decode(), BCRYPT, ())
    passwords = (b"", b"secret", b"guest", b"slow", b"\0", b"nobody")
    for name, password, mechanism in product((b"nobody", b"imported"), passwords, ("PLAIN", "AMQPLAIN")):
        client = log_in(driver, mechanism, responses(name, password)[mechanism])
        driver.at(driver.now + 9)
        assert outcome(client) == (403, REFUSED.format(mechanism))
        assert users.check_password(name.decode(), password) is None


def test_a_name_that_is_no_text_can_be_asked_for(driver: Driver) -> None:
    """One that came as JSON may have half of a character in it."""
    assert driver.broker.users.check_password("\ud800", b"guest") is None
    assert driver.broker.users.check_password("\udcff", b"guest") is None


@pytest.mark.parametrize("name", [b"\xff\xfe", b"a\0b", b"x" * LONGEST, b"\xed\xa0\x80"], ids=ascii)
def test_who_listens_to_events_is_told_of_such_names(driver: Driver, name: bytes) -> None:
    listener = driver.log_in(1)
    listener.declare("events")
    listener.call(QueueBind("events", "amq.rabbitmq.event", "user.authentication.failure"))
    assert outcome(log_in(driver, "AMQPLAIN", responses(name, b"x")["AMQPLAIN"])) == (403, REFUSED.format("AMQPLAIN"))
    event = listener.fetch("events")
    assert event is not None and event.properties is not None and event.properties.headers is not None
    assert str(event.properties.headers["name"].value).encode("utf-8", "surrogateescape") == name
