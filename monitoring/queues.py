"""The queues on the Operations page: what each kind of worker does, and the switch that pauses it for maintenance."""

from dataclasses import dataclass
from datetime import datetime

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBadRequest, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST

from jobs.queue import dispatch, pauses

NAMES = {
    dispatch.GPU: (gettext_lazy("gpu workers"), gettext_lazy("pictures")),
    dispatch.IO: (gettext_lazy("io workers"), gettext_lazy("downloads, webhooks, clean-up")),
}


@dataclass(frozen=True)
class Queue:
    """One kind of worker; ``since`` is None while it works."""

    cluster: str
    name: str
    what: str
    since: datetime | None
    reason: str
    by: str


def queues() -> list[Queue]:
    """Return every queue, with its pause where one is on."""
    paused = pauses.on()
    found = []
    for cluster, (name, what) in NAMES.items():
        pause = paused.get(cluster)
        since, reason, by = (pause.since, pause.reason, pause.by) if pause else (None, "", "")
        found.append(Queue(cluster, str(name), str(what), since, reason, by))
    return found


@require_POST
def switch(request: HttpRequest, cluster: str) -> HttpResponse:
    """Pause the workers of a kind (``do=pause``, with a ``reason``), or let them go on."""
    if not request.user.has_perm("jobs.pause_queue"):
        raise PermissionDenied
    if cluster not in NAMES:
        raise Http404("no such queue")
    name, wanted = str(NAMES[cluster][0]), request.POST.get("do")
    if wanted not in ("pause", "resume"):
        return HttpResponseBadRequest("do is pause or resume")
    if wanted == "pause":
        pauses.pause(cluster, reason=request.POST.get("reason", ""), by=request.user.get_username())
        text = _("%(queue)s take nothing up from now on; what runs is finished, what comes is accepted and waits.")
    else:
        pauses.resume(cluster)
        text = _("%(queue)s go on.")
    messages.success(request, text % {"queue": name})
    return HttpResponseRedirect(f"{reverse('operations')}#queues")


view = admin.site.admin_view(switch)
