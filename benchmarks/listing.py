"""Time of a page of the job list with a million rows, and the way that Postgres takes: by an index, or row by row.

    python -m benchmarks.listing [--rows 1000000]

What is explained are the very statements of `page_of`, caught on their way. Works in a database of its own beside the
configured one, which is dropped at the end.
"""

import argparse
import re
import statistics
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

INSERT = """
INSERT INTO jobs_job (
    id, status, priority, model, created_at, queued_at, started_at, finished_at, attempts, tiles_done, cancel_requested,
    input_file, input_name, input_sha256, input_bytes, input_format, input_width, input_height, input_frames,
    result_file, preview_file, result_format, result_sha256, report, options, fingerprint,
    request_id, worker, error, error_code, webhook_url, webhook_events, batch_id, api_key_id
)
SELECT
    gen_random_uuid(), CASE WHEN mod(n, 50) = 0 THEN 'failed' ELSE 'completed' END, 10,
    CASE WHEN mod(n, 10000) = 0 THEN 'rare' WHEN mod(n, 3) = 0 THEN 'RealESRGAN_x2plus' ELSE 'RealESRGAN_x4plus' END,
    now() - n * interval '1 second', now(), now(), now(), 1, 1, false,
    'inputs/x', 'a.png', repeat('0', 64), 1000, 'png', 100, 100, 1,
    'results/x', '', 'png', repeat('1', 64), '{"seconds": {"infer": 1.0}}', '{}', '',
    '', 'w', '', '', '', '[]', CASE WHEN n BETWEEN 5000 AND 5099 THEN %(batch)s::uuid END,
    CASE WHEN mod(n, 2) = 0 THEN %(busy)s::uuid WHEN mod(n, 10001) = 0 THEN %(idle)s::uuid END
FROM generate_series(1, %(rows)s) AS n
"""


class Statements:
    """Catches what is asked of the database, with the seconds that each answer took."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, Any, float]] = []

    def __call__(self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        """Pass the statement on; Django's wrapper of every execution."""
        started = time.perf_counter()
        try:
            return execute(sql, params, many, context)
        finally:
            self.seen.append((sql, params, time.perf_counter() - started))


def found_by(plan: str) -> str:
    """Return the nodes of a plan that touch a table, first to last."""
    nodes = re.findall(r"(?:Parallel )?(?:Seq|Index|Index Only|Bitmap Heap|Bitmap Index) Scan[^(]*", plan)
    return ", ".join(re.sub(r" on jobs_job\b", "", node).strip() for node in nodes)


def main() -> None:
    """Fill, measure, drop."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    rows = parser.parse_args().rows

    import os

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "upscaler_site.settings")
    from contextlib import ExitStack

    import django

    from upscaler_site.postgres.for_command import database_for

    django.setup()
    from django.db import connection
    from django.utils import timezone

    from jobs.api.pagination import Filters, page_of
    from jobs.models import ApiKey, Batch, Job

    stack = ExitStack()
    database_for(["manage.py", "shell"], stack)
    kept = connection.settings_dict["NAME"]
    connection.creation.create_test_db(verbosity=0, autoclobber=True)
    try:
        batch = Batch.objects.create()
        busy, idle = (ApiKey.objects.create(**_key(name)) for name in ("busy", "idle"))
        with connection.cursor() as cursor:
            cursor.execute(INSERT, {"rows": rows, "batch": str(batch.pk), "busy": busy.pk, "idle": idle.pk})
            cursor.execute("VACUUM ANALYZE jobs_job")
        middle, everybodys = timezone.now() - timedelta(seconds=rows / 2), Job.objects.all()
        half = page_of(everybodys, Filters(created_before=middle), limit=1).next_cursor
        rare = page_of(everybodys, Filters(model="rare"), limit=50).next_cursor
        cases = {
            "no filter": (everybodys, Filters(), None),
            "no filter, from the middle": (everybodys, Filters(), half),
            "status=completed": (everybodys, Filters(status="completed"), None),
            "status=completed, from the middle": (everybodys, Filters(status="completed"), half),
            "status=failed (2 %)": (everybodys, Filters(status="failed"), None),
            "status=queued (none)": (everybodys, Filters(status="queued"), None),
            "model (two thirds)": (everybodys, Filters(model="RealESRGAN_x4plus"), None),
            "model (1 in 10,000)": (everybodys, Filters(model="rare"), None),
            "model (1 in 10,000), its 2nd page": (everybodys, Filters(model="rare"), rare),
            "model and status": (everybodys, Filters(model="RealESRGAN_x4plus", status="failed"), None),
            "model that nobody used, and status": (everybodys, Filters(model="none", status="completed"), None),
            "created_before the middle": (everybodys, Filters(created_before=middle), None),
            "created_after the middle": (everybodys, Filters(created_after=middle), None),
            "one batch of 100": (everybodys, Filters(batch=batch.pk), None),
            "a key with half of the jobs": (Job.objects.visible_to(busy), Filters(), None),
            "the same, from the middle": (Job.objects.visible_to(busy), Filters(), half),
            "a key with 1 job in 10,000": (Job.objects.visible_to(idle), Filters(), None),
            "a key with 1 in 10,000, and status": (Job.objects.visible_to(idle), Filters(status="failed"), None),
        }
        print(f"{'':36} page    count      total  the page is found by / the count is")
        for name, (jobs, filters, place) in cases.items():
            statements, total = Statements(), 0
            with connection.execute_wrapper(statements):
                for _ in range(7):
                    total = page_of(jobs, filters, limit=100, cursor=place).total
            page, count = (
                statistics.median(seconds for _, _, seconds in statements.seen[which::2]) * 1000 for which in (0, 1)
            )
            paths = [found_by(_explain(sql, params)) for sql, params, _ in statements.seen[:2]]
            print(f"{name:34} {page:6.1f} {count:8.1f} {total:10}  {paths[0]} / {paths[1]}")
    finally:
        connection.creation.destroy_test_db(kept, verbosity=0)
        stack.close()


def _key(name: str) -> dict[str, Any]:
    """Values of a key that nobody can use."""
    return {"name": name, "prefix": name, "digest": name, "scopes": []}


def _explain(sql: str, params: Any) -> str:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {sql}", params)
        return "\n".join(line for (line,) in cursor.fetchall())


if __name__ == "__main__":
    main()
