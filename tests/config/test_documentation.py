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
PAGES = ("docs/configuration.md", "docs/logging.md")


def test_the_tables_are_those_of_the_settings() -> None:
    page = PAGE.read_text()
    assert written(page) == page, "python -m tests.config.documentation writes the tables anew"


def test_the_readme_has_every_flag() -> None:
    readme = (PROJECT / "README.md").read_text()
    missing = [setting.flag for setting in SETTINGS.values() if setting.flag and f"`{setting.flag}" not in readme]
    assert missing == []


@pytest.mark.parametrize("page", PAGES)
def test_every_example_is_right(page: str, tmp_path: Path) -> None:
    blocks = BLOCKS.findall((PROJECT / page).read_text())
    assert blocks
    for language, text in blocks:
        path = tmp_path / ("leveret.toml" if language == "toml" else "rabbitmq.conf")
        path.write_text(text)
        found = configure(file=str(path), environment={"SHOP_PASSWORD": "x"})
        assert [warning for warning in found.warnings if "ignored" in warning] == [], text
