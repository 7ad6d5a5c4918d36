"""The topic exchange: binding keys are words divided by dots, `*` stands for one word and `#` for any number, none
included.

The binding keys form a trie of words, so that a message costs its own number of words and not the number of
bindings. A key with several `#` is walked by each way that the words can be shared among them; the walk remembers
which `#` it entered at which word, which bounds it by the nodes times the words, however many `#` a hostile binding
has.
"""

from __future__ import annotations

from mypy_extensions import i64

from leveret.amqp.field_table import Table
from leveret.amqp.properties import BasicProperties
from leveret.broker.binding import Binding, Destination
from leveret.broker.exchange.base import DestinationCount, Exchange


class TrieNode:
    """The bindings whose keys share their words up to here."""

    def __init__(self) -> None:
        self.words: dict[str, TrieNode] = {}
        self.any_word: TrieNode | None = None  # behind a `*`
        self.any_words: TrieNode | None = None  # behind a `#`
        self.destinations = DestinationCount()

    def child(self, word: str) -> TrieNode | None:
        """The node behind this word of a binding key, if there is one."""
        if word == "*":
            return self.any_word
        if word == "#":
            return self.any_words
        return self.words.get(word)

    def set_child(self, word: str, child: TrieNode | None) -> None:
        """Put a node behind this word of a binding key, or take it away."""
        if word == "*":
            self.any_word = child
        elif word == "#":
            self.any_words = child
        elif child is not None:
            self.words[word] = child
        else:
            del self.words[word]

    def is_leaf(self) -> bool:
        """Whether no binding key goes on from here."""
        return not self.words and self.any_word is None and self.any_words is None


class TopicExchange(Exchange):
    """Routes by the pattern of the routing key's words."""

    type_name = "topic"

    def __init__(self, name: str, durable: bool, auto_delete: bool, internal: bool, arguments: Table) -> None:
        super().__init__(name, durable, auto_delete, internal, arguments)
        self.root = TrieNode()

    def index(self, binding: Binding) -> None:
        node = self.root
        for word in words(binding.routing_key):
            child = node.child(word)
            if child is None:
                child = TrieNode()
                node.set_child(word, child)
            node = child
        node.destinations.add(binding.destination)

    def unindex(self, binding: Binding) -> None:
        path = [self.root]
        key_words = words(binding.routing_key)
        for word in key_words:
            child = path[-1].child(word)
            assert child is not None
            path.append(child)
        path[-1].destinations.remove(binding.destination)
        for depth in range(len(key_words), 0, -1):
            if not path[depth].is_leaf() or path[depth].destinations.counts:
                break
            path[depth - 1].set_child(key_words[depth - 1], None)

    def match(self, routing_key: str, properties: BasicProperties, found: list[Destination]) -> None:
        walk(self.root, words(routing_key), 0, set(), found)


def walk(node: TrieNode, key: list[str], at: i64, seen: set[tuple[TrieNode, int]], found: list[Destination]) -> None:
    """Find what the key's words from `at` on lead to from this node.

    `seen` remembers which nodes behind a `#` were entered at which word.
    """
    last: i64 = len(key)
    rest = node.any_words
    if rest is not None:
        if rest.is_leaf():
            found.extend(rest.destinations.counts)  # the `#` ends the binding key, as it mostly does
        else:
            for later in range(at, last + 1):
                if (rest, int(later)) in seen:
                    break  # whoever came here first went on to all later words
                seen.add((rest, int(later)))
                walk(rest, key, later, seen, found)
    if at == last:
        found.extend(node.destinations.counts)
        return
    child = node.words.get(key[at])
    if child is not None:
        walk(child, key, at + 1, seen, found)
    if node.any_word is not None:
        walk(node.any_word, key, at + 1, seen, found)


def words(key: str) -> list[str]:
    """The words of a key; the empty key has none."""
    return key.split(".") if key else []
