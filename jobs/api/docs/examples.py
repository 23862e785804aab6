"""Bodies that the API's description shows. tests/api checks each against its schema."""

JOB_ID = "550e8400-e29b-41d4-a716-446655440000"
BATCH_ID = "7d1c2a70-55a5-4a4e-9d0a-2f0a3f1c9b11"

ACCEPTED = {
    "success": True,
    "job_id": JOB_ID,
    "status_url": f"/api/v1/jobs/{JOB_ID}",
    "result_url": f"/api/v1/jobs/{JOB_ID}/result",
    "status": "queued",
    "events_url": f"/api/v1/jobs/{JOB_ID}/events",
}

JOB_PROCESSING = {
    "job_id": JOB_ID,
    "status": "processing",
    "model": "RealESRGAN_x4plus",
    "created_at": "2025-02-16T10:30:00Z",
    "started_at": "2025-02-16T10:30:05Z",
    "completed_at": None,
    "processing_time_seconds": None,
    "error": None,
    "error_code": None,
    "progress": {"tiles_done": 12, "tiles_total": 48, "fraction": 0.25},
    "eta_seconds": 33.5,
    "attempts": 1,
    "cancel_requested": False,
    "queue_position": None,
    "priority": "async",
    "options": {"tile_size": 512},
    "batch_id": None,
    "batch_index": None,
    "filename": "large_image.jpg",
    "input_format": "jpeg",
    "input_width": 4032,
    "input_height": 3024,
    "input_frames": 1,
    "input_bytes": 3456789,
    "input_sha256": "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae",
    "result_format": None,
    "result_width": None,
    "result_height": None,
    "result_bytes": None,
    "result_sha256": None,
    "input_available": True,
    "delete_after_download": False,
    "expires_at": None,
    "reused_from": None,
    "status_url": f"/api/v1/jobs/{JOB_ID}",
    "result_url": f"/api/v1/jobs/{JOB_ID}/result",
    "preview_url": f"/api/v1/jobs/{JOB_ID}/preview",
    "events_url": f"/api/v1/jobs/{JOB_ID}/events",
}

JOB_COMPLETED = {
    **JOB_PROCESSING,
    "status": "completed",
    "completed_at": "2025-02-16T10:30:50.230000Z",
    "processing_time_seconds": 45.23,
    "progress": {"tiles_done": 48, "tiles_total": 48, "fraction": 1.0},
    "eta_seconds": None,
    "result_format": "jpeg",
    "result_width": 16128,
    "result_height": 12096,
    "result_bytes": 24567890,
    "expires_at": "2025-02-17T10:30:50.230000Z",
    "result_sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
}

JOB_CANCELLED = {
    **JOB_PROCESSING,
    "status": "cancelled",
    "completed_at": "2025-02-16T10:30:09Z",
    "processing_time_seconds": 4.0,
    "eta_seconds": None,
    "expires_at": "2025-02-17T10:30:09Z",
}

REPORT = {
    "model": "RealESRGAN_x4plus",
    "device": "cuda:0",
    "device_name": "NVIDIA L4",
    "backend": "torch",
    "precision": "fp16",
    "scale": 4.0,
    "tile_size": 512,
    "tile_pad": 32,
    "tiles": 48,
    "passes": 1,
    "seconds": {"decode": 0.05, "infer": 44.1, "encode": 0.4},
    "choice": "",
    "notes": [],
}

DETAIL_PROCESSING = {**JOB_PROCESSING, "report": {}}
DETAIL_STOPPING = {**DETAIL_PROCESSING, "cancel_requested": True}
DETAIL_CANCELLED = {**JOB_CANCELLED, "report": {}}
DETAIL_COMPLETED = {**JOB_COMPLETED, "report": REPORT}

PLAN = {
    "dry_run": True,
    "input_format": "jpeg",
    "input_width": 4032,
    "input_height": 3024,
    "input_frames": 1,
    "output_width": 16128,
    "output_height": 12096,
    "scale": 4.0,
    "passes": 1,
    "tiles": 48,
    "memory_bytes": 1234567890,
    "seconds": 44.9,
    "device_seconds": 44.1,
    "price": "0.017640",
    "currency": "EUR",
    "jobs_ahead": 0,
    "wait_seconds": 0.0,
}

_SUMS = {
    "jobs_completed": 118,
    "jobs_failed": 2,
    "jobs_cancelled": 1,
    "jobs_reused": 9,
    "input_megapixels": 412.5,
    "output_megapixels": 6600.0,
    "device_seconds": 1834.207,
    "input_bytes": 401234567,
    "result_bytes": 2890123456,
}
USAGE = {
    "from": "2025-02-01",
    "to": "2025-02-16",
    "group_by": ["day", "key"],
    "rows": [{"day": "2025-02-16", "key": "k3vq8m2c", "key_name": "n8n", **_SUMS}],
    "totals": _SUMS,
}

REJECTED = {
    "index": 2,
    "filename": "notes.txt",
    "detail": "the file is not an image that we can read",
    "code": "image_invalid",
}

BATCH_ACCEPTED = {
    "success": True,
    "job_ids": [JOB_ID, "550e8400-e29b-41d4-a716-446655440001"],
    "total": 2,
    "message": "Batch processing started for 2 images; 1 refused",
    "batch_id": BATCH_ID,
    "status_url": f"/api/v1/batches/{BATCH_ID}",
    "results_url": f"/api/v1/batches/{BATCH_ID}/results",
    "rejected": [REJECTED],
}

BATCH = {
    "batch_id": BATCH_ID,
    "status": "processing",
    "created_at": "2025-02-16T10:30:00Z",
    "total": 1,
    "counts": {"queued": 0, "processing": 1, "completed": 0, "failed": 0, "cancelled": 0},
    "job_ids": [JOB_ID],
    "jobs": [{**JOB_PROCESSING, "priority": "batch", "batch_id": BATCH_ID, "batch_index": 0}],
    "rejected": [REJECTED],
    "status_url": f"/api/v1/batches/{BATCH_ID}",
    "results_url": f"/api/v1/batches/{BATCH_ID}/results",
}

JOB_LIST = {"total": 42, "returned": 1, "jobs": [JOB_COMPLETED], "next_cursor": "AAYuQ2bVPgBVDoQA4ptB1KcWRGZVRAAA"}

CLEANUP = {
    "success": True,
    "cleaned_jobs": 5,
    "message": "Cleaned up 5 job directories older than 24 hours",
    "cleaned_files": 15,
    "freed_bytes": 123456789,
    "orphaned_files": 0,
    "failed_files": 0,
    "dry_run": False,
}

EVENT = {
    "id": "62e3f0a5b3c40-1-2-12",
    "event": "progress",
    "data": f'{{"job_id":"{JOB_ID}","status":"processing","progress":{{"tiles_done":12,"tiles_total":48}}}}',
}

#: The same as it goes over the line, with what comes before and after it.
EVENTS = f"""retry: 2000

id: 62e3f0a5b3c40-1-1-0
event: processing
data: {{"job_id":"{JOB_ID}","status":"processing", …}}

id: 62e3f0a5b3c40-1-2-12
event: progress
data: {{"job_id":"{JOB_ID}","status":"processing","progress":{{"tiles_done":12,"tiles_total":48}}, …}}

: still here

id: 62e3f0a5b3c40-1-4-0
event: completed
data: {{"job_id":"{JOB_ID}","status":"completed", …}}
"""
