"""Room for the names of a chain, and the list of jobs with one. A longer varchar rewrites neither table nor index."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    """See above."""

    atomic = False  # an index that is made beside running work needs that

    dependencies = [("jobs", "0005_worker_choices")]

    operations = [
        migrations.AlterField("job", "model", models.CharField(max_length=302)),
        AddIndexConcurrently(
            "job",
            models.Index(
                fields=["-created_at", "-id"],
                condition=models.Q(("model__contains", "+")),
                name="job_chain_newest",
            ),
        ),
    ]
