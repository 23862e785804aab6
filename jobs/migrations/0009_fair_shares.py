"""Turns, callers, shares and limits. The index of the claim is made beside the old one, which then goes."""

import django.core.validators
from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import migrations, models

_AS_SETTING = "Empty: as the setting says; 0: no limit"


class Migration(migrations.Migration):
    """See above."""

    atomic = False  # an index that is made beside running work needs that

    dependencies = [("jobs", "0008_pause")]

    operations = [
        migrations.CreateModel(
            name="Allowance",
            fields=[
                ("caller", models.CharField(max_length=60, primary_key=True, serialize=False)),
                ("day", models.DateField()),
                ("megapixels", models.FloatField()),
            ],
        ),
        migrations.CreateModel(
            name="Turn",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("caller", models.CharField(max_length=60)),
                ("priority", models.SmallIntegerField()),
                ("begin", models.FloatField()),
                ("finish", models.FloatField()),
                ("step", models.FloatField()),
                ("at", models.DateTimeField()),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("caller", "priority"), name="turn_once")],
            },
        ),
        migrations.AddField(
            "apikey",
            "share",
            models.FloatField(
                db_default=1.0,
                default=1.0,
                help_text="Beside other callers with waiting jobs this one gets so many times as much, 0.1 to 100",
                validators=[
                    django.core.validators.MinValueValidator(0.1),
                    django.core.validators.MaxValueValidator(100.0),
                ],
            ),
        ),
        migrations.AddField(
            "apikey", "max_queued_jobs", models.PositiveIntegerField(blank=True, help_text=_AS_SETTING, null=True)
        ),
        migrations.AddField(
            "apikey", "max_running_jobs", models.PositiveIntegerField(blank=True, help_text=_AS_SETTING, null=True)
        ),
        migrations.AddField(
            "apikey", "max_stored_bytes", models.PositiveBigIntegerField(blank=True, help_text=_AS_SETTING, null=True)
        ),
        migrations.AddField(
            "apikey",
            "max_megapixels_per_day",
            models.FloatField(
                blank=True,
                help_text=_AS_SETTING,
                null=True,
                validators=[django.core.validators.MinValueValidator(0.0)],
            ),
        ),
        migrations.AddField("job", "caller", models.CharField(blank=True, db_default="", max_length=60)),
        migrations.AddField("job", "turn", models.FloatField(db_default=0.0)),
        migrations.AddField("job", "promoted_at", models.DateTimeField(blank=True, null=True)),
        migrations.RenameIndex("job", new_name="job_claim_before", old_name="job_claim"),
        AddIndexConcurrently(
            "job",
            models.Index(
                fields=["-priority", "turn", "queued_at", "id"],
                include=("caller",),
                condition=models.Q(("status", "queued")),
                name="job_claim",
            ),
        ),
        RemoveIndexConcurrently("job", "job_claim_before"),
        AddIndexConcurrently(
            "job",
            models.Index(
                fields=["caller"],
                condition=models.Q(("api_key__isnull", True), models.Q(("caller", ""), _negated=True)),
                name="job_caller",
            ),
        ),
    ]
