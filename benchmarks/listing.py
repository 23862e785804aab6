"""How long a page of the job list takes with a million rows, and whether every page comes from an index.

    python -m benchmarks.listing [--rows 1000000]

Works in a database of its own beside the configured one, which is dropped at the end.
"""

import argparse
import statistics
import time
from datetime import timedelta

INSERT = """
INSERT INTO jobs_job (
    id, status, priority, model, created_at, queued_at, started_at, finished_at, attempts, tiles_done, cancel_requested,
    input_file, input_name, input_sha256, input_bytes, input_format, input_width, input_height, input_frames,
    result_file, preview_file, result_format, result_sha256, report, options, fingerprint,
    request_id, worker, error, error_code, webhook_url, webhook_events
)
SELECT
    gen_random_uuid(), CASE WHEN mod(n, 50) = 0 THEN 'failed' ELSE 'completed' END, 10,
    CASE WHEN mod(n, 10000) = 0 THEN 'rare' WHEN mod(n, 3) = 0 THEN 'RealESRGAN_x2plus' ELSE 'RealESRGAN_x4plus' END,
    now() - n * interval '1 second', now(), now(), now(), 1, 1, false,
    'inputs/x', 'a.png', repeat('0', 64), 1000, 'png', 100, 100, 1,
    'results/x', '', 'png', repeat('1', 64), '{"seconds": {"infer": 1.0}}', '{}', '',
    '', 'w', '', '', '', '[]'
FROM generate_series(1, %s) AS n
"""


def main() -> None:
    """Fill, measure, drop."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    rows = parser.parse_args().rows

    import os

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "upscaler_site.settings")
    from contextlib import ExitStack

    import django

    from upscaler_site.lone_command import database_for

    django.setup()
    from django.db import connection
    from django.utils import timezone

    from jobs.listing import Filters, page_of
    from jobs.models import Job

    stack = ExitStack()
    database_for(["manage.py", "shell"], stack)
    kept = connection.settings_dict["NAME"]
    connection.creation.create_test_db(verbosity=0, autoclobber=True)
    try:
        with connection.cursor() as cursor:
            cursor.execute(INSERT, [rows])
            cursor.execute("VACUUM ANALYZE jobs_job")
        middle = timezone.now() - timedelta(seconds=rows / 2)
        cases = {
            "no filter": Filters(),
            "status=completed": Filters(status="completed"),
            "status=failed (2 %)": Filters(status="failed"),
            "status=queued (none)": Filters(status="queued"),
            "model (two thirds)": Filters(model="RealESRGAN_x4plus"),
            "model (1 in 10,000)": Filters(model="rare"),
            "created_before the middle": Filters(created_before=middle),
        }
        for name, filters in cases.items():
            times = []
            for _ in range(7):
                started = time.perf_counter()
                page = page_of(Job.objects.all(), filters, limit=100)
                times.append(time.perf_counter() - started)
            print(f"{name:28} {statistics.median(times) * 1000:8.1f} ms  total {page.total}")
        cursor_text = None
        times = []
        for _ in range(20):
            started = time.perf_counter()
            page = page_of(Job.objects.all(), Filters(created_before=middle), limit=100, cursor=cursor_text)
            times.append(time.perf_counter() - started)
            cursor_text = page.next_cursor
        print(f"{'20 pages from the middle':28} {statistics.median(times) * 1000:8.1f} ms each")
        from jobs.listing import filtered

        print(filtered(Job.objects.all(), Filters()).order_by("-created_at", "-id")[:101].explain())
        print(filtered(Job.objects.all(), Filters(status="completed")).order_by().values("id").explain())
    finally:
        connection.creation.destroy_test_db(kept, verbosity=0)
        stack.close()


if __name__ == "__main__":
    main()
