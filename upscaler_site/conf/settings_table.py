"""The table of docs/configuration.md, made from the settings: ``python -m upscaler_site.conf.settings_table``."""

import importlib
import os
import re
from pathlib import Path

from upscaler_site.conf import env

DOCUMENT = Path(__file__).resolve().parent.parent.parent / "docs" / "configuration.md"
BEGIN, END = "<!-- configuration: begin -->", "<!-- configuration: end -->"


def table() -> str:
    """Return Markdown: every variable that settings.py reads, in reading order, with its default and meaning."""
    importlib.import_module("upscaler_site.settings")
    lines = ["| Variable | Default | Meaning |", "|---|---|---|"]
    for variable in env.VARIABLES.values():
        default = f"`{variable.default}`" if variable.default else ""
        lines.append(f"| `{variable.name}` | {default} | {variable.help} |".replace("|  |", "| |"))
    return "\n".join(lines)


def table_in(text: str) -> str:
    """Return the table that ``text`` holds now."""
    found = re.search(f"{re.escape(BEGIN)}\n(.*?)\n{re.escape(END)}", text, re.DOTALL)
    if found is None:
        raise ValueError(f"{DOCUMENT.name} has no {BEGIN} … {END}")
    return found[1]


def main() -> None:
    """Write the table into the document."""
    text = DOCUMENT.read_text(encoding="utf-8")
    held = f"{BEGIN}\n{table_in(text)}\n{END}"  # with its marks: a short text would be found elsewhere, too
    DOCUMENT.write_text(text.replace(held, f"{BEGIN}\n{table()}\n{END}"), encoding="utf-8")


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "upscaler_site.settings")
    main()
