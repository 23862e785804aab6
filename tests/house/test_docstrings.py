"""The words of docstrings: functions open with a verb, and the engine's name shapes and units."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]

#: Annotations of values that have a shape or a unit.
MEASURED = re.compile(r"\b(NDArray|Array|Tensor|Picture|Frame|Window|Block|bytes|Bytes)\b")
#: A shape such as (N, H, W, C) or (height, width, C), a unit, or a range.
MEASURE = re.compile(
    r"\((N|n|H|h|rows|height|out|visible|Cout|\.\.\.), [^)]*\)|\(N,\)|\bpx\b|\bbytes\b|\bpixels\b|\bseconds\b"
    r"|\[0, 1\]|\b[01] to \w+"
)

Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def definitions(folders: list[str]) -> Iterator[tuple[str, Documented]]:
    """Yield every public module, class, function and method with its name."""
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.py")):
            if "migrations" not in path.parts:
                yield from _within(str(path.relative_to(ROOT)), ast.parse(path.read_text()))


def _within(name: str, node: Documented) -> Iterator[tuple[str, Documented]]:
    yield name, node
    if isinstance(node, (ast.Module, ast.ClassDef)):
        for child in node.body:
            if isinstance(child, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) and child.name[0] != "_":
                yield from _within(f"{name}::{child.name}", child)


def test_public_functions_of_the_engine_name_shapes_and_units() -> None:
    silent = [
        name
        for name, node in definitions(["jobs/engine", "modelstore/networks"])
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        and MEASURED.search(f"{ast.unparse(node.args)} {ast.unparse(node.returns) if node.returns else ''}")
        and not MEASURE.search(ast.get_docstring(node) or "")
    ]
    assert not silent


#: Words that open a question or a clause: the reader must guess what the thing does or is.
CLAUSE = frozenset(
    [
        "What",
        "Whatever",
        "Whether",
        "Which",
        "Who",
        "Whoever",
        "Whose",
        "How",
        "Where",
        "Wherever",
        "When",
        "Why",
        "That",
        "If",
    ]
)
#: Words that open a noun phrase: a function's docstring says what it does, so it opens with a verb.
NOUN = frozenset(
    [
        "A",
        "All",
        "An",
        "Any",
        "Each",
        "Every",
        "It",
        "None",
        "Nothing",
        "One",
        "Such",
        "The",
        "These",
        "They",
        "This",
        "Those",
    ]
)


def test_docstrings_open_with_a_verb_or_a_noun() -> None:
    wrong = []
    rooms = ["audit", "jobs", "modelstore", "monitoring", "upscaler_client", "upscaler_site", "benchmarks", "training"]
    for name, node in definitions(rooms):
        words = (ast.get_docstring(node) or "").split()
        first = words[0].strip(".,:;") if words else ""
        refused = CLAUSE | NOUN if _is_function(node) else CLAUSE
        if first in refused or (_is_function(node) and first.lstrip("(`:")[:5] in ("param", "retur", "raise")):
            wrong.append(f"{name}: {' '.join(words[:8])}")
    assert not wrong, "\n".join(wrong)


def _is_function(node: Documented) -> bool:
    """Return True for a function or method; a property is named like a value, so a noun may open it."""
    return isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and not any(
        "property" in ast.unparse(decorator) for decorator in node.decorator_list
    )
