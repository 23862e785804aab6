"""The index of the job list's filter by reason of failure, to which the Operations page links."""

from django.db import migrations, models


class Migration(migrations.Migration):
    """See above."""

    dependencies = [("jobs", "0006_chains")]

    operations = [
        migrations.AddIndex(
            "job",
            models.Index(
                fields=["error_code", "-created_at", "-id"],
                condition=models.Q(("status", "failed")),
                name="job_error_newest",
            ),
        ),
    ]
