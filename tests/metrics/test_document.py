"""What docs/monitoring.md tells of is there: metrics in alert rules and in the table of our own, families, probes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.ctl.conftest import leveretctl
from tests.metrics.scraping import fetch, scrape
from tests.support.broker_process import BrokerProcess

DOCUMENT = (Path(__file__).parents[2] / "docs" / "monitoring.md").read_text()
EXPRESSIONS = re.findall(r"^ +expr: (.+)$", DOCUMENT, re.MULTILINE)
SCRAPED_FAMILIES = re.findall(r"^ +family: \[(.+)\]$", DOCUMENT, re.MULTILINE)
PATHS = sorted(set(re.findall(r"path: (/api/\S+),", DOCUMENT)))
COMMANDS = sorted(set(re.findall(r"command: \[rabbitmq-diagnostics, (.+?)\]", DOCUMENT)))

pytestmark = pytest.mark.usefixtures("traffic")


def test_alert_rules_ask_for_metrics_that_are_there(leveret: BrokerProcess) -> None:
    (families,) = SCRAPED_FAMILIES
    detailed = "/metrics/detailed?" + "&".join(f"family={name.strip()}" for name in families.split(","))
    there = {name for path in ("/metrics", detailed) for name, _ in scrape(leveret.metrics_port, path).values}
    asked = {name for text in EXPRESSIONS for name in re.findall(r"\b(?:rabbitmq|leveret)_\w+", text)}
    assert len(EXPRESSIONS) > 5 and asked <= there, asked - there


def test_the_table_of_our_own_has_them_all(leveret: BrokerProcess) -> None:
    types = scrape(leveret.metrics_port).types
    table = dict(re.findall(r"^\| `(leveret_\w+)` \| (\w+) \|", DOCUMENT, re.MULTILINE))
    assert table == {name: kind for name, kind in types.items() if name.startswith("leveret_")}


@pytest.mark.parametrize("path", PATHS)
def test_probes_through_http_need_no_user(leveret: BrokerProcess, path: str) -> None:
    assert fetch(leveret.http_port, path)[::2] == (200, b'{"status":"ok"}')


@pytest.mark.parametrize("arguments", COMMANDS)
def test_probes_by_command(leveret: BrokerProcess, arguments: str) -> None:
    result = leveretctl(*arguments.split(", "), data_dir=leveret.data_dir)
    assert result.returncode == 0, result.stderr
