"""What a message's headers say about its deaths: x-death, x-first-death-* and x-last-death-*.

x-death has an entry for each queue and reason, the newest first, that counts repetitions; the keys of an entry, their
types and their order are RabbitMQ 4's. It grows with each queue that a message dies in, by 28 in a chain of delays, so
it is not decoded as long as all its entries are as `_new_entry` writes them: then the new entry is put before the
others, or the known one is raised and put there. Clients may have filled it with anything. Then it is decoded and
encoded, with the same outcome.
"""

from __future__ import annotations

from typing import Final

from librt.strings import BytesWriter, read_i16_be, read_i32_be, read_i64_be, write_i64_be
from mypy_extensions import i64

from leveret.amqp.encoded_table import normalized, sorted_by_key
from leveret.amqp.field_table import FieldValue, decode_value, encode_value
from leveret.broker.death_reasons import REJECTED

X_DEATH: Final = b"x-death"
HIGHEST_COUNT: Final = 2**63 - 1

# The keys of an entry, each with its length before it and its value's letter behind it.
ORIGINAL_EXPIRATION: Final = b"\x13original-expirationS"
COUNT: Final = b"\x05countl"
REASON: Final = b"\x06reasonS"
QUEUE: Final = b"\x05queueS"
TIME: Final = b"\x04timeT"
EXCHANGE: Final = b"\x08exchangeS"
ROUTING_KEYS: Final = b"\x0crouting-keysA"

# The same as numbers, which are compared faster; of those with more than eight octets the first and the last ones.
COUNT_NUMBER: Final[i64] = int.from_bytes(COUNT, "big")
REASON_NUMBER: Final[i64] = int.from_bytes(REASON, "big")
QUEUE_NUMBER: Final[i64] = int.from_bytes(QUEUE, "big")
TIME_NUMBER: Final[i64] = int.from_bytes(TIME, "big")
EXCHANGE_NUMBER: Final[i64] = int.from_bytes(EXCHANGE[:8], "big")
EXCHANGE_REST: Final[i64] = int.from_bytes(EXCHANGE[8:], "big")
ROUTING_KEYS_NUMBER: Final[i64] = int.from_bytes(ROUTING_KEYS[:8], "big")
ROUTING_KEYS_REST: Final[i64] = int.from_bytes(ROUTING_KEYS[8:], "big")

LONGSTR: Final = 0x53
TABLE: Final = 0x46
VALUE_HEAD: Final = 5  # octets of a table or an array before its entries: the letter and the length
ABSENT: Final[i64] = -1
FOREIGN: Final[i64] = -2


class Death:
    """A message dies: in this queue, for this reason, at this time in seconds since 1970, and where it came from.

    `routing_keys`: that it was published with and those of CC.
    """

    def __init__(self, queue: str, reason: str, seconds: i64, exchange: str, routing_keys: list[str]) -> None:
        self.queue: Final = queue
        self.reason: Final = reason
        self.seconds: Final[i64] = seconds
        self.exchange: Final = exchange
        self.routing_keys: Final = routing_keys


def record_death(headers: dict[bytes, bytes], death: Death, expiration: bytes | None) -> dict[bytes, bytes]:
    """The headers, encoded as by split_table, of a message after this death, in RabbitMQ's order.

    `expiration` is that of the message, which it loses.
    """
    recorded: dict[bytes, bytes] = {}
    known = b""
    for name, value in headers.items():
        if name != X_DEATH:
            recorded[name] = normalized(value)
        elif value[:1] == b"A":
            known = value[VALUE_HEAD:]
    deaths = _with_death(known, death, expiration)
    recorded[X_DEATH] = b"A" + len(deaths).to_bytes(4, "big") + deaths
    reason, queue, exchange = _longstr(death.reason), _longstr(death.queue), _longstr(death.exchange)
    if not known:
        recorded[b"x-first-death-exchange"] = exchange
        recorded[b"x-first-death-queue"] = queue
        recorded[b"x-first-death-reason"] = reason
    recorded[b"x-last-death-exchange"] = exchange
    recorded[b"x-last-death-queue"] = queue
    recorded[b"x-last-death-reason"] = reason
    return sorted_by_key(recorded)


def may_have_died_in(x_death: bytes, queue: str) -> bool:
    """Whether the name of this queue stands in the encoded x-death; it may stand there as something else."""
    return QUEUE + _counted(queue) in x_death


def died_in_since_rejected(x_death: bytes) -> set[str]:
    """The queues that a message has died in and was not rejected anywhere since: going there again were a cycle."""
    found: set[str] = set()
    for death in _decoded(x_death):
        if _text_of(death, "reason") == REJECTED:
            break
        name = _text_of(death, "queue")
        if name is not None:
            found.add(name)
    return found


# x-death that stays encoded


def _with_death(known: bytes, death: Death, expiration: bytes | None) -> bytes:
    """The elements of x-death with one more death."""
    at = _find(known, REASON + _counted(death.reason) + QUEUE + _counted(death.queue))
    if at == ABSENT:
        return _new_entry(death, expiration) + known
    if at == FOREIGN:
        return _with_death_decoded(known, death, expiration)
    end = _after_octets(known, at + 1, len(known))
    return _raised(known[at:end]) + known[:at] + known[end:]


def _new_entry(death: Death, expiration: bytes | None) -> bytes:
    """The entry of a first death, as an element of x-death."""
    entry = BytesWriter()
    if expiration is not None:
        entry.write(ORIGINAL_EXPIRATION)
        entry.write(len(expiration).to_bytes(4, "big") + expiration)
    entry.write(COUNT)
    write_i64_be(entry, 1)
    entry.write(REASON)
    entry.write(_counted(death.reason))
    entry.write(QUEUE)
    entry.write(_counted(death.queue))
    entry.write(TIME)
    write_i64_be(entry, death.seconds)
    entry.write(EXCHANGE)
    entry.write(_counted(death.exchange))
    entry.write(ROUTING_KEYS)
    keys = b"".join([_longstr(key) for key in death.routing_keys])
    entry.write(len(keys).to_bytes(4, "big") + keys)
    return b"F" + len(entry).to_bytes(4, "big") + entry.getvalue()


def _raised(entry: bytes) -> bytes:
    """An entry of the form of `_new_entry` that counts one death more."""
    at = _after_expiration(entry, VALUE_HEAD, len(entry)) + len(COUNT)
    count = _next_count(int(read_i64_be(entry, at)))
    return entry[:at] + count.to_bytes(8, "big") + entry[at + 8 :]


def _find(deaths: bytes, reason_and_queue: bytes) -> i64:
    """Where the entry with this reason and queue stands, or ABSENT; FOREIGN if an entry has not `_new_entry`'s form."""
    end: i64 = len(deaths)
    size: i64 = len(reason_and_queue)
    tail = read_i64_be(reason_and_queue, size - 8)  # tells most of them apart
    found = ABSENT
    at: i64 = 0
    while at < end:
        entry_end = _after_octets(deaths, at + 1, end)
        if entry_end < 0 or deaths[at] != TABLE:
            return FOREIGN
        reason_at = _reason_at(deaths, at + VALUE_HEAD, entry_end)
        if reason_at < 0 or not _ends_as_written(deaths, reason_at, entry_end):
            return FOREIGN
        if (
            found == ABSENT
            and reason_at + size <= entry_end
            and read_i64_be(deaths, reason_at + size - 8) == tail
            and deaths[reason_at : reason_at + size] == reason_and_queue
        ):
            found = at
        at = entry_end
    return found


def _reason_at(deaths: bytes, at: i64, end: i64) -> i64:
    """Where the reason begins in the entry that fills deaths[at:end]; below 0 if something else comes before it."""
    at = _after_expiration(deaths, at, end)
    if at < 0 or end - at < 15 or read_i64_be(deaths, at) >> 8 != COUNT_NUMBER:
        return FOREIGN
    return at + 15


def _after_expiration(deaths: bytes, at: i64, end: i64) -> i64:
    """Where the entry goes on after its original-expiration, if it has one; below 0 if that passes its end."""
    start: i64 = len(ORIGINAL_EXPIRATION)
    if end - at < start or deaths[at] != ORIGINAL_EXPIRATION[0] or deaths[at : at + start] != ORIGINAL_EXPIRATION:
        return at
    return _after_octets(deaths, at + start, end)


def _ends_as_written(deaths: bytes, at: i64, end: i64) -> bool:
    """Whether an entry goes on as `_new_entry` goes on from the reason, to its very end."""
    if end - at < 8 or read_i64_be(deaths, at) != REASON_NUMBER:
        return False
    at = _after_octets(deaths, at + 8, end)
    if at < 0 or end - at < 8 or read_i64_be(deaths, at) >> 8 != QUEUE_NUMBER:
        return False
    at = _after_octets(deaths, at + 7, end)
    if at < 0 or end - at < 24 or read_i64_be(deaths, at) >> 16 != TIME_NUMBER:
        return False
    at += 14
    if read_i64_be(deaths, at) != EXCHANGE_NUMBER or i64(read_i16_be(deaths, at + 8)) != EXCHANGE_REST:
        return False
    at = _after_octets(deaths, at + 10, end)
    if at < 0 or end - at < 14 or read_i64_be(deaths, at) != ROUTING_KEYS_NUMBER:
        return False
    if read_i64_be(deaths, at + 6) & 0xFFFFFFFFFFFF != ROUTING_KEYS_REST:
        return False
    return _after_octets(deaths, at + 14, end) == end and _are_longstrs(deaths, at + 18, end)


def _are_longstrs(deaths: bytes, at: i64, end: i64) -> bool:
    """Whether long strings fill this range."""
    while 0 <= at < end:
        if deaths[at] != LONGSTR:
            return False
        at = _after_octets(deaths, at + 1, end)
    return at == end


def _after_octets(data: bytes, at: i64, end: i64) -> i64:
    """Where octets end whose 4-byte length is at `at`; below 0 if that is beyond the end."""
    if end - at < 4:
        return FOREIGN
    after = at + 4 + (i64(read_i32_be(data, at)) & 0xFFFFFFFF)
    return after if after <= end else FOREIGN


def _counted(text: str) -> bytes:
    """The octets of a text after their length."""
    octets = text.encode("utf-8", "surrogateescape")
    return len(octets).to_bytes(4, "big") + octets


def _longstr(text: str) -> bytes:
    """A long string as a value, its letter first."""
    return b"S" + _counted(text)


# x-death that a client has changed


def _with_death_decoded(known: bytes, death: Death, expiration: bytes | None) -> bytes:
    """As `_with_death`, for x-death of any form."""
    first: bytes | None = None
    others: list[bytes] = []
    for element in _decoded(b"A" + len(known).to_bytes(4, "big") + known):
        entry = element.value
        if (
            first is None
            and isinstance(entry, dict)
            and _text_of(element, "queue") == death.queue
            and _text_of(element, "reason") == death.reason
        ):
            count = entry.get("count")
            value = count.value if count is not None and isinstance(count.value, int) else 0
            entry["count"] = FieldValue("l", _next_count(value))
            first = encode_value(element)
        else:
            others.append(encode_value(element))
    return (_new_entry(death, expiration) if first is None else first) + b"".join(others)


def _next_count(count: int) -> int:
    """One death more than a client, or this broker, has counted."""
    if count < 0:
        return 1
    return min(count + 1, HIGHEST_COUNT)


def _decoded(x_death: bytes) -> list[FieldValue]:
    elements = decode_value(x_death).value
    return elements if isinstance(elements, list) else []


def _text_of(death: FieldValue, key: str) -> str | None:
    """A long string in an entry of x-death, which clients may have filled with anything; None if it isn't one."""
    if not isinstance(death.value, dict):
        return None
    field = death.value.get(key)
    return str(field.value) if field is not None and field.kind == "S" else None
