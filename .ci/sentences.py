"""The sentences of errors and notes in the code, as templates: ``f"Job not found: {job_id}"`` is one with a place."""

import ast
import re
from collections import Counter
from pathlib import Path

#: Where texts for callers and visitors are raised, noted and stored. The rest is for operators, and English.
FILES = [
    "jobs/actions.py", "jobs/chains.py", "jobs/errors.py", "jobs/models/job_queryset.py",
    "jobs/api/parsers.py", "jobs/api/serializers/*.py",
    "jobs/api/views/*.py", "jobs/auth/authentication.py", "jobs/storage/files.py", "jobs/storage/pyramid/*.py",
    "jobs/submission/*.py", "jobs/webhooks/subscription.py", "jobs/worker/execution.py",
    "jobs/engine/codec.py", "jobs/engine/upscaler.py", "jobs/engine/tile_runner.py",
    "jobs/engine/codecs/decode.py", "jobs/engine/codecs/encode.py", "jobs/engine/codecs/foreign.py",
    "jobs/engine/codecs/frame_times.py", "jobs/engine/codecs/open.py", "jobs/engine/codecs/output_format.py",
    "jobs/engine/codecs/probe.py", "jobs/engine/codecs/truncation.py", "jobs/engine/codecs/metadata/carry.py",
    "jobs/engine/codecs/metadata/credentials.py", "jobs/engine/codecs/metadata/read.py",
    "jobs/engine/codecs/jpeg/writer.py",
    "jobs/engine/codecs/jpeg/metadata.py", "jobs/engine/codecs/gain_map/read.py", "jobs/engine/codecs/tiff/file.py",
    "modelstore/catalog.py", "modelstore/errors.py", "modelstore/safe_http.py", "modelstore/storage/deletion.py",
    "modelstore/storage/weights.py", "modelstore/serializers.py", "modelstore/downloads/*.py", "modelstore/views.py",
    "upscaler_site/api/errors.py", "upscaler_site/api/error_pages.py", "upscaler_site/api/middleware.py",
    "upscaler_site/web/admission.py", "upscaler_site/web/request_body.py",
]  # fmt: skip
#: Arguments and calls whose texts are for the API's documentation, the log, the database or the disk.
_KEYWORDS = {"help_text", "description", "summary", "name", "fmt", "default_detail"}
_CALLS = re.compile(
    r"log(ger)?\.\w+|extend_schema\w*|OpenApi\w+|header|link|re\.\w+|\w*\.execute|getattr|cast|.*\.SQL|Example|example"
)
_WORDS = re.compile(r"[A-Za-z]{2,}[,;:]? .*[A-Za-z]{2,}")
_NOT = re.compile(
    r"\n|^(SELECT|SET|UPDATE|INSERT|LISTEN|WITH) |://|^[<>]|^(bytes|private|Bearer|attachment)\b|realm=|^%"
)


def sentences(root: Path) -> dict[str, set[str]]:
    """Return template -> the files that it stands in."""
    found: dict[str, set[str]] = {}
    for pattern in FILES:
        paths = sorted(root.glob(pattern))
        if not paths:
            raise SystemExit(f".ci/sentences.py names {pattern}, and there is none")
        for path in paths:
            for text in _of(ast.parse(path.read_text())):
                found.setdefault(text, set()).add(str(path.relative_to(root)))
    return dict(sorted(found.items()))


def _of(tree: ast.Module) -> list[str]:
    skipped: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr):  # docstrings
            skipped.add(id(node.value)) if isinstance(node.value, ast.Constant) else None
        elif (isinstance(node, ast.keyword) and node.arg in _KEYWORDS) or (
            isinstance(node, ast.Call) and _CALLS.fullmatch(ast.unparse(node.func))
        ):
            skipped |= {id(inner) for inner in ast.walk(node)}
        elif isinstance(node, ast.AnnAssign):
            skipped |= {id(inner) for inner in ast.walk(node.annotation)}
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            skipped |= {id(inner) for decorator in node.decorator_list for inner in ast.walk(decorator)}
            if isinstance(node, ast.FunctionDef):
                inside = [node.returns, *(each.annotation for each in node.args.args + node.args.kwonlyargs)]
                skipped |= {id(inner) for part in inside if part for inner in ast.walk(part)}
        elif isinstance(node, ast.JoinedStr):
            skipped |= {id(inner) for inner in node.values if isinstance(inner, ast.Constant)}
    texts = [_text(node) for node in ast.walk(tree) if id(node) not in skipped]
    return [text for text in texts if text and _WORDS.search(re.sub(r"\{\w+\}", "", text)) and not _NOT.search(text)]


def _text(node: ast.AST) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if not isinstance(node, ast.JoinedStr):
        return ""
    names: Counter[str] = Counter()
    pieces = []
    for part in node.values:
        if isinstance(part, ast.Constant):
            pieces.append(str(part.value))
            continue
        assert isinstance(part, ast.FormattedValue)
        words = re.findall(r"[A-Za-z_]\w*", ast.unparse(part.value))
        name = next(
            (word.lower().strip("_") for word in reversed(words) if word not in {"upper", "strerror", "error", "len"}),
            "x",
        )
        names[name] += 1
        pieces.append("{" + (name if names[name] == 1 else f"{name}_{names[name]}") + "}")
    return "".join(pieces)
