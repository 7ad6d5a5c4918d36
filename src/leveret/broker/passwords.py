"""Password hashes, as RabbitMQ keeps them: four octets of salt and the digest of salt and password, in base64.

New passwords get SHA-256. The others come in with definitions: SHA-512 and MD5 from RabbitMQ, bcrypt from LavinMQ.
Bcrypt is slow on purpose, so whoever checks it on the event loop would stop the broker (`is_slow`); it needs the
library of that name, which is not installed unasked.
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
import re
from typing import Any, Final

SHA256: Final = "rabbit_password_hashing_sha256"
SHA512: Final = "rabbit_password_hashing_sha512"
MD5: Final = "rabbit_password_hashing_md5"
BCRYPT: Final = "bcrypt"
DIGESTS: Final = {SHA256: "sha256", SHA512: "sha512", MD5: "md5"}
DIGEST_SIZES: Final = {16: MD5, 32: SHA256, 64: SHA512}
BCRYPT_HASH: Final = re.compile(r"\$2[abxy]?\$([0-9]{2})\$[./A-Za-z0-9]{53}")
HIGHEST_COST: Final = 15  # some seconds; each more takes twice as long
SALT: Final = 4  # octets
NO_PASSWORD: Final = ""  # the hash of users who can't log in with one


class InvalidHash(Exception):
    """A hash that can't be checked a password against; says why."""


def hashed(password: bytes, salt: bytes) -> str:
    """The hash of a new password."""
    return binascii.b2a_base64(salt + hashlib.sha256(salt + password).digest(), newline=False).decode()


def algorithm_named(name: str) -> str:
    """The algorithm that RabbitMQ or LavinMQ calls by that name, or InvalidHash."""
    for algorithm in (SHA256, SHA512, MD5, BCRYPT):
        if name.lower().endswith(algorithm.rpartition("_")[2]):
            return algorithm
    raise InvalidHash(f"unknown hashing algorithm '{name}'")


def algorithm_of(password_hash: str) -> str:
    """What a hash of which nobody says so was made with: its size tells. RabbitMQ says so from 3.6.1 on."""
    if password_hash.startswith("$2"):
        return BCRYPT
    return DIGEST_SIZES.get(len(octets_of(password_hash)) - SALT, SHA256)


def check_hash(password_hash: str, algorithm: str) -> None:
    """InvalidHash if no password could ever match it, but for the empty one, which is meant so."""
    if algorithm != BCRYPT and algorithm not in DIGESTS:
        raise InvalidHash(f"unknown hashing algorithm '{algorithm}'")
    if password_hash == NO_PASSWORD:
        return
    if algorithm == BCRYPT:
        found = BCRYPT_HASH.fullmatch(password_hash)
        if found is None:
            raise InvalidHash("not a bcrypt hash")
        if int(found[1]) > HIGHEST_COST:
            raise InvalidHash(f"a bcrypt hash with a cost above {HIGHEST_COST} takes too long to be checked")
        if bcrypt() is None:
            raise InvalidHash("bcrypt hashes need the Python package bcrypt: pip install leveret[bcrypt]")
        return
    size = SALT + hashlib.new(DIGESTS[algorithm], usedforsecurity=False).digest_size
    if len(octets_of(password_hash)) != size:
        raise InvalidHash(f"a hash of {algorithm} has {size} octets in base64")


def is_slow(algorithm: str) -> bool:
    """Whether a check takes longer than the event loop may stand still."""
    return algorithm == BCRYPT


def matches(password: bytes, password_hash: str, algorithm: str) -> bool:
    """Whether this is the password. Nobody can log in with an empty one (RabbitMQ's rule)."""
    if algorithm == BCRYPT:
        return bcrypt_matches(password, password_hash)
    known = octets_of(password_hash)
    digest = hashlib.new(DIGESTS[algorithm], known[:SALT] + password, usedforsecurity=False).digest()
    return hmac.compare_digest(known[SALT:], digest) and password != b""


def bcrypt_matches(password: bytes, password_hash: str) -> bool:
    """As `matches`, for bcrypt."""
    library = bcrypt()
    if library is None:
        return False
    try:
        right: object = library.checkpw(password, password_hash.encode())
    except ValueError:  # longer than 72 octets, or with one that is 0
        return False
    return right is True and password != b""


def octets_of(password_hash: str) -> bytes:
    """The octets that a hash stands for, none if it is no base64."""
    try:
        return binascii.a2b_base64(password_hash.encode(), strict_mode=True)
    except (binascii.Error, UnicodeEncodeError):
        return b""


def bcrypt() -> Any:
    """The library, None if it isn't installed."""
    try:
        import bcrypt as library  # type: ignore[import-not-found, unused-ignore]
    except ImportError:
        return None
    return library
