"""The audit log, and what keeps it as it was written.

A trigger refuses UPDATE and DELETE. The one way out is `audit_purge`, which removes entries older than a number of days,
30 at least. This guards against accidents and against whoever finds a way to run statements as the service: the tables'
owner could still drop the trigger.
"""

import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models


TRIGGER = """
CREATE FUNCTION audit_entry_written_once() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' AND OLD.at < NULLIF(current_setting('audit.purge_before', true), '')::timestamptz
        AND OLD.at < statement_timestamp() - interval '30 days'
    THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION 'entries of the audit log are never changed' USING ERRCODE = 'restrict_violation';
END $$;

CREATE TRIGGER audit_entry_written_once BEFORE UPDATE OR DELETE ON audit_entry FOR EACH ROW
    EXECUTE FUNCTION audit_entry_written_once();

CREATE FUNCTION audit_purge(days integer) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    purged bigint;
BEGIN
    IF days < 30 THEN
        RAISE EXCEPTION 'entries of the audit log are kept for 30 days at least';
    END IF;
    PERFORM set_config('audit.purge_before', (statement_timestamp() - make_interval(days => days))::text, true);
    DELETE FROM audit_entry WHERE at < statement_timestamp() - make_interval(days => days);
    GET DIAGNOSTICS purged = ROW_COUNT;
    PERFORM set_config('audit.purge_before', '', true);
    RETURN purged;
END $$;
"""

DROP = """
DROP TRIGGER IF EXISTS audit_entry_written_once ON audit_entry;
DROP FUNCTION IF EXISTS audit_entry_written_once();
DROP FUNCTION IF EXISTS audit_purge(integer);
"""


class Migration(migrations.Migration):
    """See above."""

    initial = True

    dependencies = [
    ]

    operations = [
        migrations.CreateModel(
            name='Actor',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('staff', 'Staff'), ('key', 'API key'), ('caller', 'Caller without a key'), ('system', 'The service itself')], max_length=10)),
                ('reference', models.CharField(blank=True, max_length=40)),
                ('name', models.CharField(max_length=200)),
            ],
            options={
                'constraints': [models.UniqueConstraint(condition=models.Q(('reference', ''), _negated=True), fields=('kind', 'reference', 'name'), name='actor_once')],
            },
        ),
        migrations.CreateModel(
            name='Entry',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('action', models.CharField(choices=[('cancelled', 'Cancelled'), ('deleted', 'Deleted'), ('cleaned_up', 'Cleaned up'), ('downloaded', 'Downloaded'), ('exported', 'Exported'), ('erased', 'Erased'), ('key_made', 'Key made'), ('key_revoked', 'Key revoked'), ('model_imported', 'Model imported'), ('model_deleted', 'Model deleted'), ('logged_in', 'Logged in'), ('login_failed', 'Log-in failed')], max_length=20)),
                ('object_kind', models.CharField(max_length=20)),
                ('object_id', models.CharField(blank=True, max_length=200)),
                ('detail', models.JSONField(blank=True, default=dict)),
                ('request_id', models.CharField(blank=True, max_length=64)),
                ('address_hash', models.CharField(blank=True, max_length=16)),
                ('actor', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='entries', to='audit.actor')),
            ],
            options={
                'verbose_name': 'audit entry',
                'verbose_name_plural': 'audit entries',
                'ordering': ['-id'],
                'default_permissions': ('view',),
                'indexes': [models.Index(fields=['at'], name='entry_at'), models.Index(fields=['object_id', '-id'], name='entry_object'), models.Index(fields=['actor', '-id'], name='entry_actor'), models.Index(fields=['action', '-id'], name='entry_action')],
            },
        ),
        migrations.RunSQL(TRIGGER, DROP),
    ]
