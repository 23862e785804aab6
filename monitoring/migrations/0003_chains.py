"""Room for the names of a chain in the ledger that a trigger writes. A longer varchar rewrites no table."""

from django.db import migrations, models


class Migration(migrations.Migration):
    """See above."""

    dependencies = [("monitoring", "0002_note_job_ends")]

    operations = [migrations.AlterField("jobend", "model", models.CharField(max_length=302))]
