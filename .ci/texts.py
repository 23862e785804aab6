"""The texts of the project that are translated, and where they stand: the page, its scripts, errors and notes."""

import ast
import json
import re
from collections import Counter
from pathlib import Path

#: Where texts for callers and visitors are raised, noted and stored. The rest is for operators, and English.
FILES = [
    "jobs/actions.py", "jobs/chains.py", "jobs/errors.py", "jobs/models/job_queryset.py",
    "jobs/api/parsers.py", "jobs/api/serializers/*.py",
    "jobs/api/views/*.py", "jobs/auth/authentication.py", "jobs/storage/files.py", "jobs/storage/pyramid/*.py",
    "jobs/submission/*.py", "jobs/webhooks/subscription.py", "jobs/worker/attempt.py", "jobs/worker/storing.py",
    "jobs/engine/codec.py", "jobs/engine/upscaler.py",
    "jobs/engine/codecs/decode.py", "jobs/engine/codecs/encode.py", "jobs/engine/codecs/foreign.py",
    "jobs/engine/codecs/open.py", "jobs/engine/codecs/output_format.py",
    "jobs/engine/codecs/probe.py", "jobs/engine/codecs/truncation.py",
    "modelstore/catalog.py", "modelstore/errors.py", "modelstore/safe_http.py", "modelstore/storage/deletion.py",
    "modelstore/storage/weights.py", "modelstore/sentences.py", "modelstore/serializers.py",
    "modelstore/downloads/*.py",
    "modelstore/views.py",
    "upscaler_site/api/errors.py", "upscaler_site/api/error_pages.py", "upscaler_site/api/middleware.py",
    "upscaler_site/web/admission.py", "upscaler_site/web/request_body.py",
]  # fmt: skip
#: Caught by ourselves, written into files, or said to operators only.
_NOT_TOLD = {
    "an image", "in progress", "unknown data organization", "unknown pixel mode", "the file is closed",
    "text/plain; charset=utf-8", "Xintao Wang and others", "{model} {scale}x, Real-ESRGAN upscaler {upscaler_version}",
    "a chain of no networks", "Job ids, separated by commas; at most {most}.", "Cleaned up", "Would clean up",
    "{verb} {jobs} job directories older than {hours} hours", "the models directory cannot be written: {or}",
    "job {id} has no preview", "job {id} has no result", "HTTP 416: cannot resume, starting over",
}  # fmt: skip
#: Arguments and calls whose texts are for the API's documentation, the log, the database or the disk.
_KEYWORDS = {"help_text", "description", "summary", "name", "fmt", "default_detail"}
_CALLS = re.compile(
    r"log(ger)?\.\w+|extend_schema\w*|OpenApi\w+|header|link|re\.\w+|\w*\.execute|getattr|cast|.*\.SQL|Example|example"
)
_WORDS = re.compile(r"[A-Za-z]{2,}[,;:]? .*[A-Za-z]{2,}|^ (mega)?pixels$|^2x upscaling$")
_PLACES = re.compile(r"\{\w+\}")
_NOT = re.compile(
    r"\n|^(SELECT|SET|UPDATE|INSERT|LISTEN|WITH) |://|^[<>]|^(bytes|private|Bearer|attachment)\b|realm=|^%"
)


#: A text and its plural, "" where it has none.
Text = tuple[str, str]

_TRANSLATE = re.compile(r"""\{% translate (?:"([^"]*)"|'([^']*)') %\}""")
_BLOCK = re.compile(r"\{% blocktranslate[^%]*%\}(.*?)(?:\{% plural %\}(.*?))?\{% endblocktranslate %\}", re.DOTALL)
_VARIABLE = re.compile(r"\{\{ (\w+) \}\}")
_GETTEXT = re.compile(r'\bgettext\("((?:[^"\\]|\\.)*)"\)')
_NGETTEXT = re.compile(r'\bngettext\(\s*"((?:[^"\\]|\\.)*)",\s*"((?:[^"\\]|\\.)*)",')


def page(root: Path) -> dict[Text, list[str]]:
    """Return the texts of the page's templates, and those that the page's code marks by gettext_lazy."""
    found: dict[Text, list[str]] = {}
    templates = root / "templates"
    for path in [templates / "base.html", *sorted((templates / "page").rglob("*.html"))]:
        source, name = path.read_text(), str(path.relative_to(root))
        singles = [match[1] or match[2] for match in _TRANSLATE.finditer(source)]
        blocks = [
            [_VARIABLE.sub(r"%(\1)s", part or "") for part in match.groups()] for match in _BLOCK.finditer(source)
        ]
        marks = len(re.findall(r"\{% (block)?trans", source))
        if marks != len(singles) + len(blocks):
            raise SystemExit(f"{name}: {marks} texts are marked, {len(singles) + len(blocks)} can be read")
        for text, plural in [(text, "") for text in singles] + [(text, plural) for text, plural in blocks]:
            found.setdefault((text, plural), []).append(name)
    for path in sorted((root / "upscaler_site").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in {"gettext", "gettext_lazy"}:
                text = ast.literal_eval(node.args[0])
                found.setdefault((text, ""), []).append(str(path.relative_to(root)))
    return {text: sorted(set(places)) for text, places in found.items()}


def scripts(root: Path) -> dict[Text, list[str]]:
    """Return the texts of the page's scripts."""
    found: dict[Text, list[str]] = {}
    for path in sorted((root / "templates" / "static" / "page").rglob("*.js")):
        source, name = path.read_text(), str(path.relative_to(root))
        plurals = [(match[1], match[2]) for match in _NGETTEXT.finditer(source)]
        singles = [(match[1], "") for match in _GETTEXT.finditer(source)]
        marks = len(re.findall(r"\bn?gettext\(", source))
        if marks != len(plurals) + len(singles):
            raise SystemExit(f"{name}: {marks} texts are marked, {len(plurals) + len(singles)} can be read")
        for text, plural in singles + plurals:
            found.setdefault((json.loads(f'"{text}"'), json.loads(f'"{plural}"')), []).append(name)
    for text, plural in found:
        if plural and (text, "") in found:
            raise SystemExit(f"{text!r} stands with a plural and without one: catalogues hold each text once")
    return {text: sorted(set(places)) for text, places in found.items()}


def sentences(root: Path) -> dict[Text, list[str]]:
    """Return the sentences of errors and notes: ``f"Job not found: {job_id}"`` is a template with a place."""
    found: dict[Text, list[str]] = {}
    for pattern in FILES:
        paths = sorted(root.glob(pattern))
        if not paths:
            raise SystemExit(f".ci/texts.py names {pattern}, and there is none")
        for path in paths:
            keywords = _KEYWORDS - ({"description"} if path.name == "catalog.py" else set())  # a model's, for people
            for text in _of(ast.parse(path.read_text()), keywords):
                found.setdefault((text, ""), []).append(str(path.relative_to(root)))
    for status in re.findall(r'= "([a-z]+)"', (root / "jobs" / "states.py").read_text()):
        found.setdefault((status, ""), []).append("jobs/states.py")
    return {text: sorted(set(places)) for text, places in sorted(found.items())}


def _of(tree: ast.Module, keywords: set[str]) -> list[str]:
    skipped: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr):  # docstrings
            skipped.add(id(node.value)) if isinstance(node.value, ast.Constant) else None
        elif (isinstance(node, ast.keyword) and node.arg in keywords) or (
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
    texts = {_text(node) for node in ast.walk(tree) if id(node) not in skipped} - _NOT_TOLD
    return [text for text in sorted(texts) if _WORDS.search(_PLACES.sub("", text)) and not _NOT.search(text)]


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
