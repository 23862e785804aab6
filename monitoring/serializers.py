"""The bodies of the monitoring endpoints, for the answers and for the API documentation."""

from rest_framework import serializers


class HealthSerializer(serializers.Serializer[None]):
    """GET /health."""

    status = serializers.ChoiceField(choices=["ok"], help_text="This process answers")
    version = serializers.CharField()
    uptime_seconds = serializers.FloatField(help_text="Since the web process that answers was started")
    message = serializers.CharField()


class LiveSerializer(serializers.Serializer[None]):
    """GET /health/live."""

    alive = serializers.BooleanField()


class FindingSerializer(serializers.Serializer[None]):
    """One question of readiness."""

    name = serializers.ChoiceField(choices=["database", "storage", "worker", "model"])
    ok = serializers.BooleanField()
    detail = serializers.CharField(help_text="Why, in one line")


class ReadySerializer(serializers.Serializer[None]):
    """GET /health/ready, of 200 and 503 alike."""

    ready = serializers.BooleanField(help_text="All checks are ok")
    checks = FindingSerializer(many=True)
    detail = serializers.CharField(required=False, help_text="Of 503 only: what is missing")
    code = serializers.ChoiceField(choices=["not_ready"], required=False, help_text="Of 503 only")


class WorkerSerializer(serializers.Serializer[None]):
    """A worker process that reported within the last lease."""

    id = serializers.CharField()
    cluster = serializers.ChoiceField(choices=["gpu", "io"])
    host = serializers.CharField()
    device = serializers.CharField(help_text='"cpu", "cuda:0" …; empty: it does not compute')
    device_name = serializers.CharField()
    device_uuid = serializers.CharField(help_text="Of a graphics card, as its driver names it")
    device_note = serializers.CharField(
        help_text="What DEVICE=auto could not take, or what a CPU computes without, and why"
    )
    precisions = serializers.ListField(
        child=serializers.CharField(), allow_null=True, help_text="That jobs may ask for; null: not known"
    )
    busy = serializers.BooleanField(help_text="Holds a job")
    loaded_models = serializers.ListField(child=serializers.CharField())
    choices = serializers.DictField(
        child=serializers.CharField(),
        help_text="By loaded model: the backend and precision that were chosen on this CPU, and why",
    )
    started_at = serializers.DateTimeField()
    seen_at = serializers.DateTimeField(help_text="Last heartbeat")
    version = serializers.CharField()


class DeviceSerializer(serializers.Serializer[None]):
    """A device that live workers compute on."""

    host = serializers.CharField()
    device = serializers.CharField()
    name = serializers.CharField()
    uuid = serializers.CharField(help_text="Of a graphics card; workers with a card each all call theirs cuda:0")
    memory_mb = serializers.IntegerField()
    memory_used_mb = serializers.IntegerField()


class SystemSerializer(serializers.Serializer[None]):
    """GET /system. A megabyte is 2**20 bytes."""

    status = serializers.ChoiceField(choices=["ok", "degraded"], help_text="degraded: no inference worker is alive")
    version = serializers.CharField()
    uptime_seconds = serializers.FloatField()
    cpu_usage_percent = serializers.FloatField(help_text="Of the web server's host")
    memory_usage_percent = serializers.FloatField(help_text="Of the web server's host")
    disk_usage_percent = serializers.FloatField(help_text="Of the disk that holds the pictures")
    gpu_available = serializers.BooleanField()
    gpu_memory_mb = serializers.IntegerField(help_text="All GPUs of live workers together; 0 without a GPU")
    gpu_memory_used_mb = serializers.IntegerField()
    execution_providers = serializers.ListField(child=serializers.CharField(), help_text='"cuda", "cpu"')
    models_dir_size_mb = serializers.FloatField()
    jobs_queue_length = serializers.IntegerField(help_text="Jobs that wait for a worker")
    workers = WorkerSerializer(many=True, help_text="Live workers of every host")
    devices = DeviceSerializer(many=True, help_text="Devices of live workers, of every host")


class StatsSerializer(serializers.Serializer[None]):
    """GET /stats."""

    total_requests = serializers.IntegerField(help_text="API calls, without health, system and stats")
    successful_requests = serializers.IntegerField(help_text="Answered with a status below 400")
    failed_requests = serializers.IntegerField(help_text="Answered with a status of 400 or more")
    average_processing_time_seconds = serializers.FloatField(
        help_text="Worker's claim to stored result, over all completed jobs; 0 before the first"
    )
    total_images_processed = serializers.IntegerField(help_text="Completed jobs, those included that were cleaned up")
    failed_jobs = serializers.IntegerField()
    cancelled_jobs = serializers.IntegerField()
    reused_results = serializers.IntegerField(help_text="Completed without inference, from an equal earlier job")
