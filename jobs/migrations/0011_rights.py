"""When jobs and their inputs go, what is being erased, and whom a provider names: jobs/models says more."""

import django.db.models.deletion
import jobs.models.job_expiry
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    """See above."""

    dependencies = [
        ('jobs', '0010_ledger'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='StaffIdentity',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('issuer', models.CharField(max_length=200)),
                ('subject', models.CharField(max_length=255)),
            ],
            options={
                'verbose_name_plural': 'staff identities',
                'default_permissions': (),
            },
        ),
        migrations.AlterModelOptions(
            name='apikey',
            options={'ordering': ['-created_at'], 'permissions': [('erase_apikey', 'Can erase everything of an API key')], 'verbose_name': 'API key'},
        ),
        migrations.AddField(
            model_name='apikey',
            name='erase_until',
            field=models.DateTimeField(blank=True, editable=False, null=True),
        ),
        migrations.AddField(
            model_name='apikey',
            name='retain_hours',
            field=models.PositiveIntegerField(blank=True, help_text='Hours that its ended jobs stay, where a call does not say; empty: as usual', null=True),
        ),
        migrations.AddField(
            model_name='job',
            name='delete_after_download',
            field=models.BooleanField(db_default=False, default=False),
        ),
        migrations.AddField(
            model_name='job',
            name='delivered',
            field=jobs.models.job_expiry.ByteRanges(blank=True, editable=False, null=True),
        ),
        migrations.AddField(
            model_name='job',
            name='drop_input',
            field=models.BooleanField(db_default=False, default=False),
        ),
        migrations.AddField(
            model_name='job',
            name='expires_at',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='job',
            name='retain_hours',
            field=models.PositiveIntegerField(blank=True, null=True),
        ),
        migrations.AlterField(
            model_name='job',
            name='input_file',
            field=models.CharField(blank=True, max_length=200),
        ),
        migrations.AddIndex(
            model_name='apikey',
            index=models.Index(condition=models.Q(('erase_until__isnull', False)), fields=['erase_until'], name='key_erasing'),
        ),
        migrations.AddIndex(
            model_name='job',
            index=models.Index(condition=models.Q(('expires_at__isnull', False)), fields=['expires_at'], name='job_expires'),
        ),
        migrations.AddIndex(
            model_name='job',
            index=models.Index(condition=models.Q(('drop_input', True)), fields=['finished_at'], name='job_drop_input'),
        ),
        migrations.AddField(
            model_name='staffidentity',
            name='user',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='identities', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddConstraint(
            model_name='staffidentity',
            constraint=models.UniqueConstraint(fields=('issuer', 'subject'), name='staff_identity_once'),
        ),
    ]
