"""The topic exchange: binding keys are words divided by dots, `*` stands for one word and `#` for any number, none
included.

The binding keys form a trie of words, so that a message costs its own number of words and not the number of
bindings. A key with several `#` is walked by each way that the words can be shared among them; the walk remembers
which `#` it entered at which word, which bounds it by the nodes times the words, however many `#` a hostile binding
has.
"""

from __future__ import annotations

from leveret.amqp.field_table import Table
from leveret.amqp.properties import BasicProperties
from leveret.broker.binding import Binding, Destination
from leveret.broker.exchange.base import DestinationCount, Exchange


class TrieNode:
    """The bindings whose keys share their words up to here."""

    def __init__(self) -> None:
        self.children: dict[str, TrieNode] = {}  # `*` and `#` are children like any word
        self.destinations = DestinationCount()


class TopicExchange(Exchange):
    """Routes by the pattern of the routing key's words."""

    type_name = "topic"

    def __init__(self, name: str, durable: bool, auto_delete: bool, internal: bool, arguments: Table) -> None:
        super().__init__(name, durable, auto_delete, internal, arguments)
        self.root = TrieNode()

    def index(self, binding: Binding) -> None:
        node = self.root
        for word in words(binding.routing_key):
            child = node.children.get(word)
            if child is None:
                child = node.children[word] = TrieNode()
            node = child
        node.destinations.add(binding.destination)

    def unindex(self, binding: Binding) -> None:
        path = [self.root]
        key_words = words(binding.routing_key)
        for word in key_words:
            path.append(path[-1].children[word])
        path[-1].destinations.remove(binding.destination)
        for depth in range(len(key_words), 0, -1):
            if path[depth].children or path[depth].destinations.counts:
                break
            del path[depth - 1].children[key_words[depth - 1]]

    def match(self, routing_key: str, properties: BasicProperties, found: list[Destination]) -> None:
        key_words = words(routing_key)
        last = len(key_words)
        seen: set[tuple[TrieNode, int]] = set()  # of the nodes under a `#`
        to_visit: list[tuple[TrieNode, int]] = [(self.root, 0)]
        while to_visit:
            node, at = to_visit.pop()
            rest = node.children.get("#")
            if rest is not None:
                for later in range(at, last + 1):
                    if (rest, later) in seen:
                        break  # whoever came here first went on to all later words
                    seen.add((rest, later))
                    to_visit.append((rest, later))
            if at == last:
                found.extend(node.destinations.counts)
                continue
            child = node.children.get(key_words[at])
            if child is not None:
                to_visit.append((child, at + 1))
            child = node.children.get("*")
            if child is not None:
                to_visit.append((child, at + 1))


def words(key: str) -> list[str]:
    """The words of a key; the empty key has none."""
    return key.split(".") if key else []
