"""Indexes of the batches' list and of the forecasts.

IF NOT EXISTS: for some hours these stood in 0001_initial, so a database of a development version has them already.
"""

from django.db import migrations, models


class Migration(migrations.Migration):
    """See above."""

    dependencies = [("jobs", "0002_worker_birth")]

    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.AddIndex("batch", models.Index(fields=["-created_at"], name="batch_newest")),
                migrations.AddIndex(
                    "job",
                    models.Index(
                        fields=["model", "-finished_at"],
                        condition=models.Q(("reused_from__isnull", True), ("status", "completed")),
                        name="job_measured",
                    ),
                ),
            ],
            database_operations=[
                migrations.RunSQL(
                    'CREATE INDEX IF NOT EXISTS "batch_newest" ON "jobs_batch" ("created_at" DESC)',
                    'DROP INDEX IF EXISTS "batch_newest"',
                ),
                migrations.RunSQL(
                    'CREATE INDEX IF NOT EXISTS "job_measured" ON "jobs_job" ("model", "finished_at" DESC) '
                    'WHERE ("reused_from" IS NULL AND "status" = \'completed\')',
                    'DROP INDEX IF EXISTS "job_measured"',
                ),
            ],
        )
    ]
