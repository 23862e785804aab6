"""Results that an object storage serves itself, by a signed address of a short life (STORAGE_REDIRECT_SECONDS)."""

from django.conf import settings
from django.http import HttpResponse
from django.utils.http import content_disposition_header
from rest_framework.request import Request

from jobs.api.views.downloads import content_type
from jobs.models import Job
from jobs.storage import delivery, file_names, files

#: Conditions that are ours to judge.
_CONDITIONS = ("If-None-Match", "If-Match", "If-Modified-Since", "If-Unmodified-Since", "If-Range")


def to_storage(request: Request, job: Job) -> HttpResponse | None:
    """Return 302 to the result; None where it is to be sent from here.

    From here it is sent to our own page, whose policy allows no other host; to who sends X-API-Key, since most HTTP
    clients would hand that header on; and where its bytes are counted, since the job goes when all were sent.
    """
    if not settings.STORAGE_REDIRECT_SECONDS or request.method != "GET" or job.delete_after_download:
        return None
    headers = request.headers
    if headers.get("Sec-Fetch-Site") == "same-origin" or "X-API-Key" in headers:
        return None
    if any(name in headers for name in _CONDITIONS):
        return None
    shown = {
        "Content-Type": content_type(job.result_format),
        "Content-Disposition": content_disposition_header(True, file_names.download_name(job)) or "attachment",
    }
    address = files.link(job.result_file, seconds=settings.STORAGE_REDIRECT_SECONDS, headers=shown)
    if not address:
        return None
    delivery.record_download([job], "result", redirected=True)
    return HttpResponse(status=302, headers={"Location": address, "Cache-Control": "no-store", "X-Job-ID": str(job.id)})
