"""The README's table of settings, made from the settings: ``python -m upscaler_site.conf.settings_table``."""

import importlib
import os
import re
from pathlib import Path

from upscaler_site.conf import env

README = Path(__file__).resolve().parent.parent.parent / "README.md"
BEGIN, END = "<!-- configuration: begin -->", "<!-- configuration: end -->"


def table() -> str:
    """Markdown: every variable that settings.py reads, in reading order, with its default and what it means."""
    importlib.import_module("upscaler_site.settings")
    lines = ["| Variable | Default | Meaning |", "|---|---|---|"]
    for variable in env.VARIABLES.values():
        default = f"`{variable.default}`" if variable.default else ""
        lines.append(f"| `{variable.name}` | {default} | {variable.help} |".replace("|  |", "| |"))
    return "\n".join(lines)


def in_readme(text: str) -> str:
    """The table that ``text`` holds now."""
    found = re.search(f"{re.escape(BEGIN)}\n(.*?)\n{re.escape(END)}", text, re.DOTALL)
    if found is None:
        raise ValueError(f"README.md has no {BEGIN} … {END}")
    return found[1]


def main() -> None:
    """Write the table into the README."""
    text = README.read_text(encoding="utf-8")
    held = f"{BEGIN}\n{in_readme(text)}\n{END}"  # with its marks: a short text would be found elsewhere, too
    README.write_text(text.replace(held, f"{BEGIN}\n{table()}\n{END}"), encoding="utf-8")


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "upscaler_site.settings")
    main()
