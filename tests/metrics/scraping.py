"""Scrapes as Prometheus makes them: through HTTP, read with the official library's parser."""

from __future__ import annotations

import http.client
from collections.abc import Mapping
from dataclasses import dataclass, field

from prometheus_client.parser import text_string_to_metric_families

TIMEOUT = 20.0  # seconds
Labels = frozenset[tuple[str, str]]


@dataclass
class Scrape:
    """Types and help texts by the names on the lines that tell them, and the values by name and labels."""

    types: dict[str, str] = field(default_factory=dict)
    helps: dict[str, str] = field(default_factory=dict)
    values: dict[tuple[str, Labels], float] = field(default_factory=dict)

    def value(self, name: str, **labels: str) -> float:
        """The value of a metric with exactly these labels."""
        return self.values[name, frozenset(labels.items())]

    def label_names(self, name: str) -> set[str]:
        """The names of the labels that a metric has."""
        return {label for known, labels in self.values if known == name for label, _ in labels}

    def of(self, name: str) -> dict[Labels, float]:
        """All values of a metric."""
        return {labels: value for (known, labels), value in self.values.items() if known == name}


def fetch(port: int, path: str, headers: Mapping[str, str] | None = None) -> tuple[int, Mapping[str, str], bytes]:
    """Status, headers and body of one answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)
    try:
        connection.request("GET", path, headers=dict(headers or {}))
        response = connection.getresponse()
        return response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
    finally:
        connection.close()


def parsed(text: str) -> Scrape:
    """What a text says. A metric that is told twice is an error: Prometheus would refuse all of it."""
    scrape = Scrape()
    for line in text.splitlines():
        if line.startswith("# "):
            _, what, name, rest = line.split(" ", 3)
            known = scrape.types if what == "TYPE" else scrape.helps
            assert name not in known, f"{line} is told twice"
            known[name] = rest
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            key = sample.name, frozenset(sample.labels.items())
            assert key not in scrape.values, f"{key} is told twice"
            scrape.values[key] = sample.value
    return scrape


def scrape(port: int, path: str = "/metrics") -> Scrape:
    """One scrape, which has to be answered with 200."""
    status, headers, body = fetch(port, path)
    assert status == 200 and headers["content-type"].startswith("text/plain; version=0.0.4"), (status, headers, body)
    return parsed(body.decode())
