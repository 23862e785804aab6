"""The trigger that writes monitoring_jobend: in the transaction that ends a job, whoever ends it."""

from django.db import migrations

CREATE = """
CREATE FUNCTION monitoring_note_job_end() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO monitoring_jobend
        (at, job_id, status, model, error_code, reused, input_pixels, queue_seconds, processing_seconds, report)
    VALUES (
        NEW.finished_at, NEW.id, NEW.status, NEW.model, NEW.error_code, NEW.reused_from IS NOT NULL,
        NEW.input_width::bigint * NEW.input_height * NEW.input_frames,
        EXTRACT(EPOCH FROM NEW.started_at - NEW.queued_at), NEW.processing_seconds, NEW.report
    );
    RETURN NULL;
END $$;

CREATE TRIGGER monitoring_job_ended AFTER UPDATE OF status ON jobs_job FOR EACH ROW
    WHEN (NEW.status IN ('completed', 'failed', 'cancelled') AND OLD.status IS DISTINCT FROM NEW.status)
    EXECUTE FUNCTION monitoring_note_job_end();

CREATE TRIGGER monitoring_job_born_ended AFTER INSERT ON jobs_job FOR EACH ROW
    WHEN (NEW.status IN ('completed', 'failed', 'cancelled'))
    EXECUTE FUNCTION monitoring_note_job_end();
"""

DROP = """
DROP TRIGGER IF EXISTS monitoring_job_ended ON jobs_job;
DROP TRIGGER IF EXISTS monitoring_job_born_ended ON jobs_job;
DROP FUNCTION IF EXISTS monitoring_note_job_end();
"""


class Migration(migrations.Migration):
    dependencies = [("monitoring", "0001_initial"), ("jobs", "0001_initial")]

    operations = [migrations.RunSQL(CREATE, DROP)]
