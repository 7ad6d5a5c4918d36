"""What is written of the settings is what they are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from leveret.server.configuration import configure
from leveret.server.settings import SETTINGS
from tests.config.documentation import PAGE, written

PROJECT = PAGE.parent.parent
BLOCKS = re.compile(r"^```(toml|ini)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
OPTIONS = re.compile(r"(?<=`)--[a-z-]+")
PAGES = ("docs/configuration.md", "docs/logging.md")


def test_the_tables_are_those_of_the_settings() -> None:
    page = PAGE.read_text()
    assert written(page) == page, "python -m tests.config.documentation writes the tables anew"


def test_the_options_of_the_readme_are_flags() -> None:
    """It has the most used ones; docs/configuration.md has all."""
    table = (PROJECT / "README.md").read_text().partition("## Options of `leveret serve`\n")[2].partition("\n## ")[0]
    named = OPTIONS.findall(table)
    assert "--port" in named
    flags = {"--config", *(setting.flag for setting in SETTINGS.values() if setting.flag)}
    assert sorted(set(named) - flags) == []


@pytest.mark.parametrize("page", PAGES)
def test_every_example_is_right(page: str, tmp_path: Path) -> None:
    blocks = BLOCKS.findall((PROJECT / page).read_text())
    assert blocks
    for language, text in blocks:
        path = tmp_path / ("leveret.toml" if language == "toml" else "rabbitmq.conf")
        path.write_text(text)
        found = configure(file=str(path), environment={"SHOP_PASSWORD": "x"})
        assert [warning for warning in found.warnings if "ignored" in warning] == [], text
