"""Django as a WSGI application: what asgi.py answers by, and Django's own development server."""

import os
import threading

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "upscaler_site.settings")
django.setup(set_prefix=False)

from jobs.queue.pooler import warn_of_pooler  # noqa: E402 - these need Django set up
from modelstore import tracing  # noqa: E402 - as above
from monitoring.requests import counter  # noqa: E402 - as above
from upscaler_site.web.wsgi_handler import Handler  # noqa: E402 - as above

tracing.instrument_web()
application = Handler()

counter.start_flushing()
threading.Thread(target=warn_of_pooler, name="pooler", daemon=True).start()
