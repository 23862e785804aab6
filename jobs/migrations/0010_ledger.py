"""The usage ledger (jobs/models/usage.py), and the trigger that writes a note of each job's end in its statement."""

import django.db.models.deletion
from django.db import migrations, models

#: A report is read with care: it may be of a newer version, and nothing in it may keep a job from ending.
CREATE = """
CREATE FUNCTION jobs_note_usage() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    done boolean := NEW.status = 'completed';
    reuse boolean := NEW.reused_from IS NOT NULL;
    seconds float8 := NEW.processing_seconds;
    kind text := '';
BEGIN
    IF reuse THEN
        seconds := 0;
    ELSIF done THEN
        kind := split_part(COALESCE(NEW.report ->> 'device', ''), ':', 1);
        IF jsonb_typeof(NEW.report #> '{seconds,infer}') = 'number' THEN
            seconds := NEW.report #>> '{seconds,infer}';
        END IF;
    ELSIF NEW.worker <> '' THEN
        SELECT split_part(device, ':', 1) INTO kind FROM jobs_worker WHERE id = NEW.worker;
    END IF;
    INSERT INTO jobs_usagenote (
        day, key_prefix, key_name, model, device, completed, failed, cancelled, reused,
        input_pixels, output_pixels, device_ms, input_bytes, result_bytes)
    SELECT (NEW.finished_at AT TIME ZONE 'UTC')::date, COALESCE(key.prefix, ''), COALESCE(key.name, ''),
        NEW.model, left(COALESCE(kind, ''), 32), done::int,
        (NEW.status = 'failed')::int, (NEW.status = 'cancelled')::int, (done AND reuse)::int,
        CASE WHEN done THEN NEW.input_width::bigint * NEW.input_height * NEW.input_frames ELSE 0 END,
        CASE WHEN done THEN COALESCE(NEW.result_width::bigint * NEW.result_height * NEW.input_frames, 0) ELSE 0 END,
        round(1000 * LEAST(GREATEST(COALESCE(seconds, 0), 0), 1e9)),
        CASE WHEN done THEN NEW.input_bytes ELSE 0 END, CASE WHEN done THEN COALESCE(NEW.result_bytes, 0) ELSE 0 END
    FROM (SELECT 1) AS one LEFT JOIN jobs_apikey AS key ON key.id = NEW.api_key_id;
    RETURN NULL;
END $$;

CREATE TRIGGER jobs_usage_of_ended AFTER UPDATE OF status ON jobs_job FOR EACH ROW
    WHEN (NEW.status IN ('completed', 'failed', 'cancelled') AND OLD.status IS DISTINCT FROM NEW.status)
    EXECUTE FUNCTION jobs_note_usage();

CREATE TRIGGER jobs_usage_of_born_ended AFTER INSERT ON jobs_job FOR EACH ROW
    WHEN (NEW.status IN ('completed', 'failed', 'cancelled'))
    EXECUTE FUNCTION jobs_note_usage();
"""

DROP = """
DROP TRIGGER IF EXISTS jobs_usage_of_ended ON jobs_job;
DROP TRIGGER IF EXISTS jobs_usage_of_born_ended ON jobs_job;
DROP FUNCTION IF EXISTS jobs_note_usage();
"""


class Migration(migrations.Migration):
    """See above."""

    dependencies = [
        ("jobs", "0009_fair_shares"),
    ]

    operations = [
        migrations.CreateModel(
            name='UsageNote',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('completed', models.BigIntegerField(default=0)),
                ('failed', models.BigIntegerField(default=0)),
                ('cancelled', models.BigIntegerField(default=0)),
                ('reused', models.BigIntegerField(default=0)),
                ('input_pixels', models.BigIntegerField(default=0)),
                ('output_pixels', models.BigIntegerField(default=0)),
                ('device_ms', models.BigIntegerField(default=0)),
                ('input_bytes', models.BigIntegerField(default=0)),
                ('result_bytes', models.BigIntegerField(default=0)),
                ('day', models.DateField()),
                ('key_prefix', models.CharField(blank=True, max_length=16)),
                ('key_name', models.CharField(blank=True, max_length=100)),
                ('model', models.CharField(max_length=302)),
                ('device', models.CharField(blank=True, max_length=32)),
            ],
            options={
                'abstract': False,
            },
        ),
        migrations.CreateModel(
            name='UsageTotal',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('completed', models.BigIntegerField(default=0)),
                ('failed', models.BigIntegerField(default=0)),
                ('cancelled', models.BigIntegerField(default=0)),
                ('reused', models.BigIntegerField(default=0)),
                ('input_pixels', models.BigIntegerField(default=0)),
                ('output_pixels', models.BigIntegerField(default=0)),
                ('device_ms', models.BigIntegerField(default=0)),
                ('input_bytes', models.BigIntegerField(default=0)),
                ('result_bytes', models.BigIntegerField(default=0)),
                ('model', models.CharField(max_length=100)),
                ('device', models.CharField(blank=True, max_length=32)),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('model', 'device'), name='usage_total_once')],
            },
        ),
        migrations.CreateModel(
            name='UsageEntry',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('completed', models.BigIntegerField(default=0)),
                ('failed', models.BigIntegerField(default=0)),
                ('cancelled', models.BigIntegerField(default=0)),
                ('reused', models.BigIntegerField(default=0)),
                ('input_pixels', models.BigIntegerField(default=0)),
                ('output_pixels', models.BigIntegerField(default=0)),
                ('device_ms', models.BigIntegerField(default=0)),
                ('input_bytes', models.BigIntegerField(default=0)),
                ('result_bytes', models.BigIntegerField(default=0)),
                ('day', models.DateField()),
                ('key_prefix', models.CharField(blank=True, max_length=16)),
                ('key_name', models.CharField(blank=True, max_length=100)),
                ('model', models.CharField(max_length=302)),
                ('device', models.CharField(blank=True, max_length=32)),
                ('api_key', models.ForeignKey(db_constraint=False, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='jobs.apikey')),
            ],
            options={
                'verbose_name': 'usage entry',
                'verbose_name_plural': 'usage',
                'db_table': 'jobs_usage',
                'ordering': ['-day', '-key_prefix', '-model', '-device'],
                'indexes': [models.Index(fields=['key_prefix', 'day'], name='usage_of_key')],
                'constraints': [models.UniqueConstraint(fields=('day', 'key_prefix', 'model', 'device'), name='usage_once')],
            },
        ),
        migrations.RunSQL(CREATE, DROP),
    ]
