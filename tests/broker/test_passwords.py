"""Password hashes, against ones that RabbitMQ and LavinMQ made."""

from __future__ import annotations

import base64
import hashlib

import bcrypt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leveret.broker.passwords import (
    BCRYPT,
    MD5,
    SHA256,
    SHA512,
    InvalidHash,
    algorithm_named,
    check_hash,
    hashed,
    is_slow,
    matches,
)

# One salt for all runs, since tests are called by the hash.
BY_BCRYPT = bcrypt.hashpw(b"secret", b"$2b$04$2.4ZgsTI7KGdkEXR08dRa.").decode()


def digest(algorithm: str, password: bytes, salt: bytes = b"salt") -> str:
    """As RabbitMQ's documentation has it."""
    return base64.b64encode(salt + hashlib.new(algorithm, salt + password).digest()).decode()


def test_a_hash_of_rabbitmqs_documentation() -> None:
    """From its chapter on credentials and passwords: the password is "test12"."""
    known = "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR"
    assert matches(b"test12", known, SHA256)
    assert hashed(b"test12", base64.b64decode(known)[:4]) == known
    assert not matches(b"test13", known, SHA256)


@given(st.binary(min_size=1), st.binary(min_size=4, max_size=4))
def test_a_password_matches_its_own_hash_alone(password: bytes, salt: bytes) -> None:
    known = hashed(password, salt)
    check_hash(known, SHA256)
    assert matches(password, known, SHA256)
    assert not matches(password + b"x", known, SHA256)
    assert not matches(password[:-1], known, SHA256)


@pytest.mark.parametrize(
    ("algorithm", "known"),
    [
        (SHA256, digest("sha256", b"secret")),
        (SHA512, digest("sha512", b"secret")),
        (MD5, digest("md5", b"secret")),
        (BCRYPT, BY_BCRYPT),
        (BCRYPT, BY_BCRYPT.replace("$2b$", "$2a$")),
    ],
)
def test_every_algorithm(algorithm: str, known: str) -> None:
    check_hash(known, algorithm)
    assert matches(b"secret", known, algorithm)
    assert not matches(b"Secret", known, algorithm)
    assert not matches(b"", known, algorithm)
    assert is_slow(algorithm) == (algorithm == BCRYPT)


@pytest.mark.parametrize(("algorithm", "name"), [(SHA256, "sha256"), (SHA512, "sha512"), (MD5, "md5")])
def test_nobody_logs_in_with_an_empty_password(algorithm: str, name: str) -> None:
    assert not matches(b"", digest(name, b""), algorithm)


def test_an_empty_password_is_none_for_bcrypt_either() -> None:
    assert not matches(b"", bcrypt.hashpw(b"", bcrypt.gensalt(4)).decode(), BCRYPT)


@pytest.mark.parametrize("password", [b"x" * 100, b"a\0b"])
def test_what_bcrypt_does_not_take_is_wrong(password: bytes) -> None:
    assert not matches(password, BY_BCRYPT, BCRYPT)


@pytest.mark.parametrize(
    ("known", "algorithm"),
    [
        ("no base64!", SHA256),
        ("c2FsdA==", SHA256),
        (digest("sha512", b"x"), SHA256),
        (digest("sha256", b"x"), SHA512),
        (digest("sha256", b"x"), MD5),
        ("ä", SHA256),
        (digest("sha256", b"x"), BCRYPT),
        ("", "rabbit_password_hashing_rot13"),
    ],
)
def test_what_is_no_hash(known: str, algorithm: str) -> None:
    with pytest.raises(InvalidHash):
        check_hash(known, algorithm)


def test_no_password_is_a_hash_that_nothing_matches() -> None:
    for algorithm in (SHA256, SHA512, MD5, BCRYPT):
        check_hash("", algorithm)
        assert not matches(b"", "", algorithm)
        assert not matches(b"x", "", algorithm)


@pytest.mark.parametrize(
    ("name", "algorithm"),
    [
        ("rabbit_password_hashing_sha256", SHA256),
        ("rabbit_password_hashing_sha512", SHA512),
        ("rabbit_password_hashing_md5", MD5),
        ("SHA256", SHA256),
        ("Bcrypt", BCRYPT),
        ("lavinmq_bcrypt", BCRYPT),
    ],
)
def test_names_of_algorithms(name: str, algorithm: str) -> None:
    assert algorithm_named(name) == algorithm


def test_an_unknown_algorithm() -> None:
    with pytest.raises(InvalidHash, match="unknown hashing algorithm 'rot13'"):
        algorithm_named("rot13")


@pytest.mark.parametrize("cost", ["16", "31", "99"])
def test_a_bcrypt_hash_that_takes_too_long_is_refused(cost: str) -> None:
    """Strangers are compared with the hashes of others, too: one of cost 31 would keep a thread for a week."""
    with pytest.raises(InvalidHash, match="takes too long"):
        check_hash(BY_BCRYPT.replace("$04$", f"${cost}$"), BCRYPT)


@pytest.mark.parametrize(
    "known", ["$2", "$2b$04$", "$2b$4$" + "x" * 53, BY_BCRYPT[:-1], BY_BCRYPT + "x", BY_BCRYPT + "\n"]
)
def test_what_only_looks_like_bcrypt_is_refused(known: str) -> None:
    with pytest.raises(InvalidHash, match="not a bcrypt hash"):
        check_hash(known, BCRYPT)
