"""The trace that a job belongs to: modelstore/tracing.py says more."""

from django.db import migrations, models


class Migration(migrations.Migration):
    """See above."""

    dependencies = [
        ('jobs', '0011_rights'),
    ]

    operations = [
        migrations.AddField(
            model_name='job',
            name='traceparent',
            field=models.CharField(blank=True, db_default='', max_length=55),
        ),
    ]
