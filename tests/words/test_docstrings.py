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
    r"\((N|n|H|h|rows|height|out|visible|\.\.\.), [^)]*\)|\(N,\)|\bpx\b|\bbytes\b|\bpixels\b|\bseconds\b"
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
