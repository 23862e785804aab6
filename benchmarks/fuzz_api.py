"""Throws generated bad calls at a running service and checks what comes back and what is left behind.

    python -m benchmarks.fuzz_api --url http://localhost:8000 --data-dir var --model tiny-x2 --cases 5000 [--seed 1]

After every call: no 5xx (but 503 and 507 that name a reason the service means), errors have the error shape, and what
must be refused is refused. After all calls: one row per accepted call and not one more, no file without a row, nothing
in the directory of uploads. Prints the figures; ends with 1 when anything was wrong.
"""

import argparse
import http.client
import json
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.bad_calls import calls
from benchmarks.call import Call

MEANT = {"model_not_available", "queue_full", "storage_full", "too_many_waiting"}


@dataclass
class Findings:
    """The answers, counted."""

    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)
    accepted: int = 0
    problems: list[str] = field(default_factory=list)


def send(host: str, port: int, call: Call) -> tuple[int, bytes]:
    """Return status and body."""
    connection = http.client.HTTPConnection(host, port, timeout=60)
    try:
        connection.putrequest(
            call.method, f"/api/v1/{call.path}", skip_host="Host" in call.headers, skip_accept_encoding=True
        )
        for name, value in call.headers.items():
            connection.putheader(name, value.encode("latin-1", "replace"))
        if call.body or call.method in ("POST", "PUT", "PATCH"):
            connection.putheader("Content-Length", str(len(call.body)))
        connection.endheaders()
        try:
            if call.body:
                connection.send(call.body)
        except (BrokenPipeError, ConnectionResetError):
            pass  # refused before it was read as a whole: the answer is there to be read
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def judge(call: Call, status: int, body: bytes, findings: Findings) -> None:
    """Write down what is wrong with an answer."""
    findings.statuses[call.kind, status] += 1
    asked = f"{call.method} /{call.path[:80]} {str(call.headers)[:100]} {call.body[:120]!r}"
    shown = f"{call.kind}: {asked} -> {status} {body[:200]!r}"
    if status < 400:
        if call.must_fail:
            findings.problems.append(f"not refused: {shown}")
        if call.method == "POST" and status == 202 and call.path.split("?")[0] in ("jobs", "upscale-batch", "upscale"):
            shape = json.loads(body)
            findings.accepted += len(shape["job_ids"]) if "job_ids" in shape else 1
        return
    if call.method == "HEAD":
        return
    try:
        shape = json.loads(body)
        good = all(isinstance(shape[name], str) and shape[name] for name in ("detail", "code"))
        good = good and (shape["code"] != "validation_error" or isinstance(shape.get("errors", []), list))
    except (ValueError, KeyError, TypeError):
        good = False
    if not good:
        findings.problems.append(f"no error shape: {shown}")
    elif status >= 500 and not (good and status in (503, 507) and shape["code"] in MEANT):
        findings.problems.append(f"5xx: {shown}")


def total(host: str, port: int) -> int:
    """Count the rows of the job table."""
    return int(json.loads(send(host, port, Call("", "GET", "jobs?limit=1"))[1])["total"])


def left_behind(data_dir: Path, rows: int) -> list[str]:
    """Return the files on the disk that should not be there."""
    files = data_dir / "files"
    left = [path.name for path in (files / "uploads").glob("*")] + [path.name for path in files.rglob("*.part")]
    problems = [f"left behind: {left[:5]}, {len(left)} in all"] if left else []
    inputs = sum(1 for path in (files / "inputs").rglob("*") if path.is_file())
    return problems + ([f"{inputs} input files for {rows} rows"] if inputs != rows else [])


def run(url: str, model: str, count: int, seed: int, data_dir: Path | None = None) -> Findings:
    """Send the calls, one after another."""
    address = urlsplit(url)
    host, port = address.hostname or "localhost", address.port or 80
    findings = Findings()
    before = total(host, port)
    for number, call in enumerate(calls(count, seed, model)):
        try:
            judge(call, *send(host, port, call), findings)
        except (OSError, http.client.HTTPException) as error:
            findings.problems.append(
                f"no answer to case {number} ({call.kind} {call.method} {call.path[:60]}): {error!r}"
            )
    rows = total(host, port)
    if rows - before != findings.accepted:
        findings.problems.append(f"{rows - before} new rows for {findings.accepted} accepted calls")
    if data_dir:
        findings.problems += left_behind(data_dir, rows)
    return findings


def main() -> int:
    """Run and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="http://localhost:8000")
    parser.add_argument("--data-dir", type=Path, help="look for files that were left behind")
    parser.add_argument("--model", default="bundled-compact-x4")
    parser.add_argument("--cases", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    started = time.monotonic()
    findings = run(options.url, options.model, options.cases, options.seed, options.data_dir)
    print(f"{options.cases} calls in {time.monotonic() - started:.0f} s, {findings.accepted} accepted")
    for kind in sorted({kind for kind, _ in findings.statuses}):
        answers = {status: count for (k, status), count in sorted(findings.statuses.items()) if k == kind}
        print(f"  {kind:20} {answers}")
    for problem in findings.problems[:40]:
        print("PROBLEM", problem)
    print(f"{len(findings.problems)} problems")
    return 1 if findings.problems else 0


if __name__ == "__main__":
    sys.exit(main())
