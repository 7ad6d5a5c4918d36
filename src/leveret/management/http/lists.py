"""Lists: filtered by name, sorted, in pages, with the columns that are asked for (reference: A.19).

A list is made from its items and from a function for each column. The columns that a page doesn't show are not worked
out, and sorting works out just those that it sorts by. All of it is done in slices, between which the broker works, so
an item may be gone when its turn comes; its columns can still be read.
"""

from __future__ import annotations

import heapq
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from time import perf_counter
from typing import Any, Final, Generic, TypeAlias, TypeVar

from leveret.broker.broker import Broker
from leveret.broker.pattern import InvalidPattern, Pattern
from leveret.management.history import Ranges, asked_ranges
from leveret.management.http.answers import Answer, Streamed, encoded, of_generated
from leveret.management.http.call import Call
from leveret.management.http.columns import asked_for, dotted, extracted
from leveret.management.http.errors import Refused, bad_request
from leveret.management.http.slices import in_chunks, in_slices

Item = TypeVar("Item")
ListColumns: TypeAlias = Mapping[str, Callable[[Item, Broker], Any]]

BY_VHOST_AND_NAME: Final = ("vhost", "name")
DEFAULT_PAGE_SIZE: Final = 100
LARGEST_PAGE: Final = 500
LOOKED_AT_AT_ONCE: Final = 200  # items, which takes less than a millisecond
SHOWN_AT_ONCE: Final = 10  # likewise, but for those with samples: each may have thousands
NO_SAMPLES: Final = Ranges()
ALIKE: Final[tuple[set[type], ...]] = (
    {str},
    {int},
    {float},
    {int, float},
    set(),
)  # types whose values can be compared as they are
LONGEST_SEARCH: Final = 1.0  # seconds for all names of a list together
PIECE: Final = 65536  # octets of JSON, about


class Absent:
    """The value of a column that an item doesn't have: it is left out."""


ABSENT: Final = Absent()


class Page:
    """The part of a list that is asked for, and of which names."""

    def __init__(self, number: int, size: int, name: str, is_pattern: bool) -> None:
        self.number: Final = number
        self.size: Final = size
        self.begin: Final = (number - 1) * size
        self.end: Final = number * size
        self.filters: Final = name != ""
        self.has_pattern: Final = is_pattern and name != ""
        self._pattern: Final = case_blind(name) if self.has_pattern else None
        self._time_left = LONGEST_SEARCH
        self._name: Final = name.lower()

    def shows(self, name: str) -> bool:
        """Whether the item of that name is one of those that are asked for. Refused if the pattern takes too long."""
        if self._pattern is None:
            return self._name in name.lower()
        if self._time_left < 0 or self._pattern.took_too_long:
            raise invalid_page()
        begin = perf_counter()
        found = self._pattern.matches(name)
        self._time_left -= perf_counter() - begin
        return found

    def check(self, count: int) -> None:
        """Refused if so many items don't reach to this page."""
        if self.begin > count:
            reason = f"Page out of range, page: {self.number} page size: {self.size}, len: {count}"
            raise Refused(400, "page_out_of_range", reason)


class List(Generic[Item]):
    """One kind of list: its columns, and by which of them it is sorted unasked."""

    def __init__(
        self,
        columns: ListColumns[Item],
        sorted_by: Sequence[str] = BY_VHOST_AND_NAME,
        paged: bool = True,
        searched: str = "name",
    ) -> None:
        """`searched` is the column that a page's `name` is looked for in."""
        self.columns: Final = columns
        self.sorted_by: Final = sorted_by
        self.paged: Final = paged
        self.searched: Final = searched

    async def answer(self, call: Call, items: Iterable[Item]) -> Answer | Streamed:
        """The answer to a call for a list of these items. Refused for a page that is not there."""
        page = asked_page(call.query) if self.paged else None
        found = [chunk async for chunk in in_slices(in_chunks(items, LOOKED_AT_AT_ONCE))]
        if page is None:
            return await of_generated(self._pieces(call, await self._ordered(call, found), "[", "]"))
        total = sum(map(len, found))
        if page.filters:
            name, broker = self.columns[self.searched], call.broker
            if page.has_pattern:  # each name may take a while
                found = [*in_chunks(chain.from_iterable(found), 1)]
            matching = [item async for chunk in in_slices(found) for item in chunk if page.shows(name(item, broker))]
            found = [*in_chunks(matching, LOOKED_AT_AT_ONCE)]
        count = sum(map(len, found))
        page.check(count)
        shown = islice(await self._ordered(call, found), page.begin, page.end)
        size = max(0, min(count, page.end) - page.begin)
        begin = f'{{"filtered_count":{count},"item_count":{size},"items":['
        end = (
            f'],"page":{page.number},"page_count":{-(-count // page.size)},"page_size":{page.size},'
            f'"total_count":{total}}}'
        )
        return await of_generated(self._pieces(call, shown, begin, end))

    def row(self, item: Item, broker: Broker) -> dict[str, Any]:
        """All that is said of one item."""
        return row_of(item, broker, self.columns.items())

    async def _ordered(self, call: Call, chunks: Sequence[list[Item]]) -> Iterator[Item]:
        """The items in the order that is asked for. Chunks are sorted, and merged as far as somebody takes items."""
        asked = call.query.get("sort")
        if asked == "":
            return chain.from_iterable(chunks)
        columns = [column for column in await self._sort_values(call.broker, chunks, asked) if not is_uniform(column)]
        backwards = call.is_set("sort_reverse")
        parts: list[list[int]] = []  # positions alone: tuples would have the garbage collector look at the broker
        at = 0
        async for chunk in in_slices(chunks):
            positions = list(range(at, at + len(chunk)))
            if backwards:
                positions.reverse()
            for column in reversed(columns):
                positions.sort(key=column.__getitem__, reverse=backwards)
            parts.append(positions)
            at += len(chunk)
        items = [*chain.from_iterable(chunks)]
        merged = heapq.merge(*parts, key=lambda at: (*[column[at] for column in columns], at), reverse=backwards)
        return (items[position] for position in merged)

    async def _sort_values(self, broker: Broker, chunks: Sequence[list[Item]], asked: str | None) -> list[list[Any]]:
        """What items are sorted by, a list for each name that leads to it, such that any two can be compared.

        Of an item all is asked at once, while the processor has it at hand. What no item has makes no difference.
        """
        paths = [name.split(".") for name in dict.fromkeys([asked, *self.sorted_by] if asked else self.sorted_by)]
        known = [(self.columns[path[0]], path[1:], list[Any]()) for path in paths if path[0] in self.columns]
        async for chunk in in_slices(chunks):
            for extract, below, values in known:
                found = [extract(item, broker) for item in chunk]
                values += [dotted(value, below) for value in found] if below else found
        return [
            values if set(map(type, values)) in ALIKE else [sort_key(value) for value in values]
            for _, _, values in known
        ]

    async def _pieces(self, call: Call, items: Iterable[Item], begin: str, end: str) -> AsyncGenerator[bytes]:
        broker = call.broker
        columns = asked_for(call.query)
        shown = [(name, extract) for name, extract in self.columns.items() if columns is None or name in columns]
        gathered: list[str] = []
        size = 0
        at_once = SHOWN_AT_ONCE if asked_ranges(call.query) == NO_SAMPLES else 1
        async for chunk in in_slices(in_chunks(items, at_once)):
            rows = extracted([row_of(item, broker, shown) for item in chunk], columns)
            gathered.append(encoded(rows)[1:-1])
            size += len(gathered[-1])
            if size >= PIECE:
                yield (begin + ",".join(gathered)).encode()
                begin = ","
                gathered.clear()
                size = 0
        if not gathered and begin == ",":
            begin = ""
        yield (begin + ",".join(gathered) + end).encode()


def row_of(item: Item, broker: Broker, columns: Iterable[tuple[str, Callable[[Item, Broker], Any]]]) -> dict[str, Any]:
    """What these columns say of an item, without those that it doesn't have."""
    return {name: value for name, column in columns if (value := column(item, broker)) is not ABSENT}


def is_uniform(values: list[Any]) -> bool:
    """Whether all values are the same, so that sorting by them makes no difference."""
    return not values or values.count(values[0]) == len(values)


def sort_key(value: Any) -> tuple[int, Any]:
    """What a value is sorted by: in Erlang's order numbers, then atoms, objects, lists and texts."""
    if isinstance(value, bool):
        return 1, "true" if value else "false"
    if isinstance(value, (int, float)):
        return 0, value
    if isinstance(value, str):
        return 4, value
    if isinstance(value, dict):
        return 2, [(name, sort_key(part)) for name, part in sorted(value.items())]
    if isinstance(value, list):
        return 3, [sort_key(part) for part in value]
    return (1, "null") if value is None else (0, 0)


def case_blind(name: str) -> Pattern:
    """The pattern that names are to match, in upper case or lower. Refused if it is none."""
    try:
        return Pattern(f"(?i){name}")
    except InvalidPattern:
        raise invalid_page() from None


def asked_page(query: Mapping[str, str]) -> Page | None:
    """The page that is asked for, None if there is none. Refused if there can't be such a page."""
    number, size = number_of(query.get("page")), number_of(query.get("page_size"))
    if number is None:
        return None
    if number <= 0 or (size is not None and not 0 < size <= LARGEST_PAGE):
        shown = "undefined" if size is None else size
        reason = f"Invalid pagination parameters: page number {number}, page size {shown}"
        raise Refused(400, "invalid_pagination_parameters", reason)
    return Page(number, size or DEFAULT_PAGE_SIZE, query.get("name", ""), query.get("use_regex") == "true")


def number_of(text: str | None) -> int | None:
    """A number of the query. Refused if it is none."""
    if text is None:
        return None
    digits = text[1:] if text[:1] in ("-", "+") else text
    if not (digits.isascii() and digits.isdigit() and len(digits) < 10):
        raise invalid_page()
    return int(text)


def invalid_page() -> Refused:
    """The error for what can't be understood as a page."""
    return bad_request("Pagination parameters are invalid")
