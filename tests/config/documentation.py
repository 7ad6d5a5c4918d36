"""The tables of docs/configuration.md, made from the table of settings.

`python -m tests.config.documentation` writes them anew; a test holds the page to them.
"""

from __future__ import annotations

import re
from pathlib import Path

from leveret.server.setting_table import Setting
from leveret.server.settings import SETTINGS

PAGE = Path(__file__).parent.parent.parent / "docs" / "configuration.md"
PLACEHOLDER = re.compile(r"\$\w+")
BEGIN, END = "<!-- settings: begin -->\n", "<!-- settings: end -->\n"
HEADER = "| Setting | Default | What it is | Flag, variable, rabbitmq.conf |\n|---|---|---|---|\n"


def tables() -> str:
    """A table for each section."""
    sections: dict[str, list[Setting]] = {}
    for setting in SETTINGS.values():
        sections.setdefault(setting.section, []).append(setting)
    return "".join(
        f"\n### {section}\n\n{HEADER}{''.join(map(row, settings))}" for section, settings in sections.items()
    )


def row(setting: Setting) -> str:
    default = setting.kind.show(setting.default)
    if setting.secret:
        default = f"`{default}`" if default else "none"
    elif default:
        default = f"`{default}`"
    else:
        default = setting.unset or "none"
    meaning = setting.meaning[0].upper() + setting.meaning[1:]
    if setting.planned:
        meaning += f" (no effect yet: it waits for {setting.planned})"
    derived = f"LEVERET_{setting.key.replace('.', '_').upper()}"
    variables = [name for name in setting.environment if name != derived]
    names = [*([setting.flag] if setting.flag else []), *variables, *([] if setting.kind.parts else setting.rabbitmq)]
    named = ", ".join(f"`{PLACEHOLDER.sub('NAME', name)}`" for name in names)
    if setting.kind.parts:
        named += f"`{setting.key}.NAME.` and {', '.join(f'`{part}`' for part in setting.kind.parts)}"
    return f"| `{setting.key}` | {default.replace('|', chr(92) + '|')} | {meaning} | {named} |\n"


def written(page: str) -> str:
    """The page with the tables in their place."""
    before, rest = page.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}{tables()}\n{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text()))
