"""Lists: filtered by name, sorted, in pages, with the columns that are asked for (reference: A.19).

A list is made from its items and from a function for each column. The columns that a page doesn't show are not worked
out, and sorting works out just those that it sorts by. All of it is done in slices, between which the broker works, so
an item may be gone when its turn comes; its columns can still be read.
"""

from __future__ import annotations

import heapq
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Generic, TypeAlias, TypeVar

from leveret.broker.broker import Broker
from leveret.broker.pattern import InvalidPattern, Pattern
from leveret.management.http.answers import Answer, encoded, of_pieces
from leveret.management.http.call import Call
from leveret.management.http.columns import asked_for, dotted, extracted
from leveret.management.http.errors import Refused, bad_request
from leveret.management.http.slices import in_slices

Item = TypeVar("Item")
ListColumns: TypeAlias = Mapping[str, Callable[[Item, Broker], Any]]

BY_VHOST_AND_NAME: Final = ("vhost", "name")
DEFAULT_PAGE_SIZE: Final = 100
LARGEST_PAGE: Final = 500
SORTED_AT_ONCE: Final = 500  # items, which takes less than a millisecond
PIECE: Final = 65536  # octets of JSON, about


class Absent:
    """The value of a column that an item doesn't have: it is left out."""


ABSENT: Final = Absent()


class Page:
    """The part of a list that is asked for."""

    def __init__(self, number: int, size: int, name: str, is_pattern: bool) -> None:
        self.number: Final = number
        self.size: Final = size
        self.pattern: Final = case_blind(name) if is_pattern and name else None
        self.name: Final = "" if is_pattern else name.lower()

    def shows(self, name: str) -> bool:
        """Whether the item of that name is one of those that are asked for."""
        return self.name in name.lower() if self.pattern is None else self.pattern.matches(name)

    def out_of_range(self, count: int) -> bool:
        """Whether so many items don't reach to this page."""
        return (self.number - 1) * self.size > count


class List(Generic[Item]):
    """One kind of list: its columns, and by which of them it is sorted unasked."""

    def __init__(
        self, columns: ListColumns[Item], sorted_by: Sequence[str] = BY_VHOST_AND_NAME, paged: bool = True
    ) -> None:
        self.columns: Final = columns
        self.sorted_by: Final = sorted_by
        self.paged: Final = paged

    async def answer(self, call: Call, items: Iterable[Item]) -> Answer:
        """The answer to a call for a list of these items. Refused for a page that is not there."""
        page = asked_page(call.query) if self.paged else None
        found = [item async for item in in_slices(items)]
        total = len(found)
        if page is not None:
            found = await self._filtered(call.broker, found, page)
        ordered = await self._sorted(call, found)
        if page is None:
            return of_pieces([piece async for piece in self._pieces(call, ordered, "[", "]")])
        if page.out_of_range(len(ordered)):
            reason = f"Page out of range, page: {page.number} page size: {page.size}, len: {len(ordered)}"
            raise Refused(400, "page_out_of_range", reason)
        shown = ordered[(page.number - 1) * page.size : page.number * page.size]
        begin = f'{{"filtered_count":{len(ordered)},"item_count":{len(shown)},"items":['
        pages = -(-len(ordered) // page.size)
        end = f'],"page":{page.number},"page_count":{pages},"page_size":{page.size},"total_count":{total}}}'
        return of_pieces([piece async for piece in self._pieces(call, shown, begin, end)])

    def row(self, item: Item, broker: Broker) -> dict[str, Any]:
        """All that is said of one item."""
        return present({name: column(item, broker) for name, column in self.columns.items()})

    async def _filtered(self, broker: Broker, items: Sequence[Item], page: Page) -> list[Item]:
        name = self.columns["name"]
        return [item async for item in in_slices(items) if page.shows(name(item, broker))]

    async def _sorted(self, call: Call, items: Sequence[Item]) -> list[Item]:
        """The items in the order that is asked for: by parts, which are then merged."""
        asked = call.query.get("sort") or None
        if call.query.get("sort") == "":
            return list(items)
        paths = [name.split(".") for name in ([asked] if asked else []) + list(self.sorted_by)]
        extractors = [(self.columns[path[0]], path[1:]) for path in paths if path[0] in self.columns]
        broker = call.broker
        keyed: list[tuple[list[tuple[int, Any]], int, Item]] = []
        position = 0
        async for item in in_slices(items):
            key = [sort_key(dotted(extract(item, broker), path)) for extract, path in extractors]
            keyed.append((key, position, item))
            position += 1
        parts = [
            sorted(keyed[at : at + SORTED_AT_ONCE]) async for at in in_slices(range(0, len(keyed), SORTED_AT_ONCE))
        ]
        merged = parts[0] if len(parts) == 1 else heapq.merge(*parts)
        result = [item async for _, _, item in in_slices(merged)]
        return result[::-1] if call.is_set("sort_reverse") else result

    async def _pieces(self, call: Call, items: Sequence[Item], begin: str, end: str) -> AsyncIterator[bytes]:
        broker = call.broker
        columns = asked_for(call.query)
        shown = [(name, extract) for name, extract in self.columns.items() if columns is None or name in columns]
        gathered = [begin]
        size = 0
        separator = ""
        async for item in in_slices(items):
            row: Any = present({name: extract(item, broker) for name, extract in shown})
            text = encoded(row if columns is None else extracted(row, columns))
            gathered.append(separator + text)
            separator = ","
            size += len(text)
            if size >= PIECE:
                yield "".join(gathered).encode()
                gathered.clear()
                size = 0
        gathered.append(end)
        yield "".join(gathered).encode()


def present(row: dict[str, Any]) -> dict[str, Any]:
    """A row without the columns that the item doesn't have."""
    return {name: value for name, value in row.items() if value is not ABSENT}


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
